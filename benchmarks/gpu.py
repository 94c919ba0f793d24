"""What a GPU buys: `python -m benchmarks --device cuda`. Ceilings, every convolution of ResNet-18, three whole
networks.

Contestants: tinyvision on NumPy, tinyvision on CuPy stage by stage (the readable ops; with fused kernels; with the
implicit-GEMM and depthwise convolutions; with Winograd's, in full precision; as a CUDA graph), and PyTorch eager in
both of its layouts, of which the faster counts, and as a CUDA graph. Layers are timed by replaying a graph of several
calls, so that it is the GPU's time and not that of the launches; whole networks by the clock on the wall. Everything
is compared with tinyvision on the CPU before it is timed; what disagrees is recorded as wrong and not timed. Needs
CuPy and PyTorch and nothing else that a bare machine may lack; pictures are drawn where Matplotlib is installed.
"""

import argparse
import importlib.util
import platform
import statistics
import sys
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

import tinyvision as tv
from tinyvision import kernels, models, nn, optim
from tinyvision.capturing import capture
from tinyvision.device import cuda_problem, free_memory, report, synchronize, to_device, to_numpy
from tinyvision.kernels.graph import WARM_UP, GraphedStep
from tinyvision.kernels.launch import rehearsal

from . import conv, gpu_page, networks, record
from .contestants import Layer, pytorch

# The drop-ins that each stage uses.
FUSED = ("activation", "dropout", "batchnorm", "pooling", "col2im", "cross_entropy", "sgd", "adam", "clip")
GEMM = (*FUSED, "conv2d", "conv2d_inference", "depthwise", "linear")
STAGES = {
    "CuPy 0: im2col + cuBLAS": (),
    "CuPy 1: fused": FUSED,
    "CuPy 2: implicit GEMM": GEMM,
    "CuPy 3: Winograd": (*GEMM, "winograd"),  # in full precision; TF32 has tensor cores for the same layers
}
# All drop-ins, and the whole step in one launch; an inference with its batch-norms folded into the kernels as well.
GRAPH, FOLDED, TORCH_GRAPH = gpu_page.GRAPH, gpu_page.FOLDED, gpu_page.TORCH_GRAPH
NUMPY, LAYOUTS, MODES, DIRECTIONS = gpu_page.NUMPY, gpu_page.LAYOUTS, gpu_page.MODES, gpu_page.DIRECTIONS
REPLAYED = 10  # calls in the graph by which a layer is timed

# EfficientNet-Lite0's depthwise convolutions, the largest of each kind: name, channels, size, kernel, stride, count.
DEPTHWISE = (
    ("depthwise 3×3, 32 at 112²", 32, 112, 3, 1, 1),
    ("depthwise 3×3/2, 96 at 112²", 96, 112, 3, 2, 1),
    ("depthwise 5×5, 240 at 28²", 240, 28, 5, 1, 1),
    ("depthwise 5×5/2, 144 at 56²", 144, 56, 5, 2, 1),
)

# Against float32 on the CPU: sums of up to 5·10³ products in another order; TF32 keeps 10 of 23 bits of each factor;
# a whole network passes such differences through 18 layers. bf16 keeps 7, for which 3 more bits are allowed.
TOLERANCE = {"layer": {"ieee": 1e-4, "tf32": 4e-3}, "network": {"ieee": 1e-3, "tf32": 3e-2, "bf16": 0.24}}
SECONDS = 0.25  # of timing for each entry


def build_parser():
    """The arguments of `python -m benchmarks --device cuda`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks --device cuda", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where to write the record (default: a name from the GPU's)"
    )
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in a batch (default 64)")
    parser.add_argument("--quick", action="store_true", help="one precision, a third of the layers: for development")
    return parser


def main(argv=None):
    """Measure, print, write the record; 0, or 1 if a result was wrong, 2 if there is no GPU that works."""
    options = build_parser().parse_args(argv)
    if options.batch < 1:
        print(f"benchmarks: --batch must be positive, got {options.batch}", file=sys.stderr)
        return 2
    problem = cuda_problem()
    if problem:
        print(f"benchmarks: cuda cannot be used: {problem}\nNothing was measured.", file=sys.stderr)
        return 2
    name = report()["devices"][0]["name"].lower().replace(" ", "-")
    path = options.json or Path(__file__).parent / "results" / f"{name}.json"
    record.check_writable(path)
    layers = conv.layers(options.batch) + depthwise_layers(options.batch)
    made = measure(options.batch, MODES[:1] if options.quick else MODES, layers[:: 3 if options.quick else 1])
    record.write(path, made)
    pictures = gpu_page.draw(made, path) if importlib.util.find_spec("matplotlib") else {}
    print(f"{gpu_page.section(made, path)}\n\nrecord: {path}")
    print("\n".join(f"picture: {path.with_name(file)}" for file, _ in pictures.values()) or gpu_page.NO_PICTURES)
    return int(any(entry["status"] == "wrong" for case in made["cases"] for entry in case["entries"].values()))


def measure(batch, modes, layers, where="cuda"):
    """The whole record."""
    torch, versions = import_torch()
    made = empty_record(batch, versions, "python -m benchmarks --device cuda")
    made["ceilings"] = ceilings(where)
    for layer in layers:
        made["cases"] += layer_cases(layer, modes, torch, where)
    made["cases"] += network_cases(batch, modes, torch, where)
    made["small"] = small_things(torch, where)
    made["crossover"] = {name: crossover(name, batches, where) for name, batches in CROSSOVERS.items()}
    return made


def empty_record(batch, versions, command):
    """A record in which nothing is measured yet."""
    return {
        "kind": "gpu",
        "schema": gpu_page.SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "device": (report()["devices"] or [{"name": platform.processor() or "CPU"}])[0],
        "cpu": {"name": platform.processor() or platform.machine(), "threads": tv.get_num_threads()},
        "versions": {
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "CuPy": report()["cupy"],
            **versions,
        },
        "batch": batch,
        "ceilings": {},
        "cases": [],
        "crossover": {},
    }


def depthwise_layers(batch):
    """EfficientNet-Lite0's, as layers with one input channel for each output."""
    return [Layer(name, batch, 1, c, size, kernel, stride, count) for name, c, size, kernel, stride, count in DEPTHWISE]


def import_torch():
    """(torch or None, {name: version})."""
    try:
        import torch
    except ImportError:
        return None, {"PyTorch": None}
    return torch, {"PyTorch": torch.__version__}


def timed(work, where="cuda", most=200):
    """The median time of one call in milliseconds, over at most `most` calls and about SECONDS; waits for the device.

    Work that takes longer than SECONDS is timed twice, so that a slow contestant does not use up everybody's time."""

    def once():
        start = time.perf_counter()
        work()
        if where != "cpu":
            synchronize(where)
        return time.perf_counter() - start

    once()
    first = once()
    count = 1 if first > SECONDS else min(most, max(4, int(SECONDS / max(first, 1e-6))))
    return 1e3 * statistics.median([first, *(once() for _ in range(count))])


def replayed(work, where):
    """The GPU's time for one call in milliseconds: several calls as one graph, replayed.

    What calls cuBLAS, which refuses to be captured, is timed by the clock."""
    with rehearsal():
        for _ in range(2):
            work()
    try:
        _, replay = capture(lambda: [work() for _ in range(REPLAYED)], where)
    except NotImplementedError:
        return timed(work, where)
    return timed(replay, where) / REPLAYED


def torch_replayed(torch, work):
    """The same for work of PyTorch's."""
    replay = torch_graph(torch, lambda: [work() for _ in range(REPLAYED)])

    def run():
        replay()
        torch.cuda.synchronize()

    return timed(run) / REPLAYED


def torch_graph(torch, work):
    """A function that repeats PyTorch's `work()` as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def small_things(torch, where):
    """What a launch costs, and what a copy between host and device does: {"launch_us", "copies": [...]}."""
    if where == "cpu":
        return {}
    a = tv.ones(4).to(where)
    launch_us = {"tinyvision": 1e3 * timed(lambda: [a + a for _ in range(100)], where) / 100}
    if torch is not None:
        b = torch.ones(4, device=where)

        def additions():
            for _ in range(100):
                b + b
            torch.cuda.synchronize()

        launch_us["PyTorch"] = 1e3 * timed(additions) / 100
    copies = []
    for size in (1 << 10, 1 << 15, 1 << 20, 1 << 25, 1 << 28):
        host = np.ones(size // 4, np.float32)
        device = to_device(host, where)
        to, back = timed(lambda h=host: to_device(h, where), where, 50), timed(lambda d=device: to_numpy(d), where, 50)
        copies.append({"bytes": size, "to_ms": to, "back_ms": back})
    return {"launch_us": launch_us, "copies": copies}


def ceilings(where):
    """{"copy_gb_s", "fp32_tflops", "tf32_tflops"}: what this device reaches in a plain copy and in large products."""
    if where == "cpu":
        return {}
    n = 8192
    a = to_device(np.ones((n, n), np.float32), where)
    b = np.empty_like(a)
    found = {"copy_gb_s": 2 * a.nbytes / 1e6 / timed(lambda: np.copyto(b, a), where)}
    for mode, name in (("ieee", "fp32_tflops"), ("tf32", "tf32_tflops")):
        with tv.precision(mode):
            found[name] = 2 * n**3 / 1e9 / timed(lambda: np.matmul(a, a, out=b), where, most=20)
    return found


def entry(prepare, expected, tolerance, where, clock=timed):
    """Compare what the work that `prepare()` returns gives with `expected` (a list of NumPy arrays), then time it by
    `clock(work, where)`."""
    try:
        work = prepare()
        got = [to_host(a) for a in work()]
        pairs = zip(got, expected, strict=True)
        worst = max(float(np.abs(g - e).max() / max(np.abs(e).max(), 1e-30)) for g, e in pairs)
        if not worst <= tolerance:
            return {"status": "wrong", "difference": worst, "tolerance": tolerance}
        del got
        return {"status": "timed", "difference": worst, "ms": clock(work, where)}
    except Exception as error:  # one contestant's failure must not cost the record of the others
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return {"status": "failed", "why": why}


def to_host(value):
    """A NumPy array from an array or tensor of any contestant."""
    if hasattr(value, "detach") and hasattr(value, "cpu") and not isinstance(value, tv.Tensor):
        return value.detach().cpu().numpy()
    return to_numpy(value.detach() if isinstance(value, tv.Tensor) else value)


def staged(names, prepare, *arguments, **options):
    """The work that `prepare` returns, with the drop-ins of one stage alone, while it is prepared as well."""

    def run():
        with kernels.only(*names):
            return work()

    with kernels.only(*names):
        work = prepare(*arguments, **options)
    return run


def set_torch_precision(torch, mode):
    """PyTorch has one switch for products and one for convolutions; both are set, and cuDNN may try its algorithms."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode != "ieee"
    torch.backends.cudnn.benchmark = True


def _nobody(case):
    pass


def layer_cases(layer, modes, torch, where, stages=STAGES, numpy=True, note=_nobody):
    """Forward, image gradient and weight gradient of one convolution: a case for each, in every precision.

    note(case)  is called after each entry that a case has got"""
    x, weight, dy = networks.conv_data(layer)
    options = {"stride": layer.stride, "padding": layer.padding}
    if layer.channels == 1:  # depthwise: as many channels as kernels
        x, options["groups"] = networks.conv_data(layer._replace(channels=layer.outputs))[0], layer.outputs
    pair = (tv.ops.conv2d_forward, tv.ops.conv2d_backward)
    y, cache = pair[0](x, weight, **options)
    dx, dweight = pair[1](dy, cache)[:2]
    expected = dict(zip(DIRECTIONS, ([y], [dx], [dweight]), strict=True))
    moved = x.nbytes + weight.nbytes + y.nbytes  # each direction reads two of the three and writes the third
    on_cpu = {way: {} for way in expected}
    if numpy:
        on_cpu = {way: numpy_entry(_conv_work(pair, x, weight, dy, options, way)) for way in expected}
    # Channels last in memory, as the layers of a network hand them on, and as PyTorch's faster layout has them.
    on_gpu, cases = [channels_last(to_device(a, where)) for a in (x, weight, dy)], []
    for mode, way in ((mode, way) for mode in modes for way in expected):
        entries, tolerance = dict(on_cpu[way]), TOLERANCE["layer"][mode]
        cases.append({"case": layer.name, "group": way, "precision": mode, "count": layer.count, "flops": layer.flops,
                      "bytes": moved, "entries": entries})  # fmt: skip
        with tv.precision(mode):
            used = {}
            for name, names in stages.items():
                with kernels.only(*names):
                    chosen = kernels.choose(*pair, on_gpu[:2], options)
                if chosen[0] in used:
                    entries[name] = {"status": f"as stage {used[chosen[0]]}"}
                    continue
                used[chosen[0]] = name[len("CuPy ")]
                work = partial(_conv_work, chosen, *on_gpu, options, way)
                clock = timed if where == "cpu" else replayed
                with kernels.only(*names):
                    entries[name] = entry(work, expected[way], tolerance, where, clock)
                note(cases[-1])
        if torch is not None:
            set_torch_precision(torch, mode)
            for name in LAYOUTS:
                work = partial(_torch_conv, torch, x, weight, dy, options, way, name, where)
                clock = timed if where == "cpu" else lambda work, where: torch_replayed(torch, work)
                entries[name] = entry(work, expected[way], tolerance, where, clock)
                note(cases[-1])
    if where != "cpu":
        free_memory(where)
    return cases


def numpy_entry(work):
    """What NumPy's contestant gets, whose results are those that the others are compared with."""
    return {NUMPY: {"status": "timed", "ms": timed(work, "cpu")}}


def channels_last(array):
    """The same array (N, C, H, W) with its channels next to each other in memory."""
    return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


def _conv_work(pair, x, weight, dy, options, way):
    if way == "forward":
        return lambda: [pair[0](x, weight, **options)[0]]
    _, cache = pair[0](x, weight, **options)
    needs = (way == DIRECTIONS[1], way == DIRECTIONS[2])
    return lambda: [gradient for gradient in pair[1](dy, cache, needs)[:2] if gradient is not None]


def _torch_conv(torch, x, weight, dy, options, way, layout, where):
    order = torch.channels_last if layout == LAYOUTS[1] else torch.contiguous_format
    x, weight, dy = (torch.from_numpy(a).to(where).contiguous(memory_format=order) for a in (x, weight, dy))
    if way == "forward":
        return lambda: [torch.nn.functional.conv2d(x, weight, **options)]
    pair, needs = ([options["stride"]] * 2, [options["padding"]] * 2), (way == DIRECTIONS[1], way == DIRECTIONS[2])

    def gradients():
        found = torch.ops.aten.convolution_backward(
            dy, x, weight, None, *pair, [1, 1], False, [0, 0], options.get("groups", 1), (*needs, False)
        )
        return [gradient for gradient in found[:2] if gradient is not None]

    return gradients


NETWORKS = {
    "SimpleCNN, training step": (lambda: models.SimpleCNN(3, 10, 24), networks.simple_cnn, 24, True),
    "ResNet-18, inference": (models.resnet18, networks.resnet18, 224, False),
    "ResNet-18, training step": (models.resnet18, networks.resnet18, 224, True),
}


def network_cases(batch, modes, torch, where, wanted=tuple(NETWORKS), stages=STAGES, numpy=True, note=_nobody):
    """One case for each network and precision; `note` as in `layer_cases`."""
    return [case for name in wanted for case in _network_cases(name, batch, modes, torch, where, stages, numpy, note)]


def _network_cases(name, batch, modes, torch, where, stages, numpy, note):
    build, weights, size, trains = NETWORKS[name]
    given = (weights(), *networks.images(batch, size), trains)
    work = our_work(build, *given, "cpu")
    expected, on_cpu = [to_host(a) for a in work()], numpy_entry(work) if numpy else {}
    del work
    cases = []
    for mode in modes:
        entries, tolerance = dict(on_cpu), TOLERANCE["network"][mode]
        cases.append({"case": name, "group": "network", "precision": mode, "entries": entries})
        tried = {name: names for name, names in stages.items() if mode == "ieee" or "winograd" not in names}
        if where != "cpu":
            tried |= dict.fromkeys(
                [GRAPH] if trains or not name.startswith("ResNet") else [GRAPH, FOLDED], tuple(kernels.names())
            )
        for stage, names in tried.items():
            with tv.precision(mode):
                how = {"as_graph": stage in (GRAPH, FOLDED), "folded": stage == FOLDED}
                work = partial(staged, names, our_work, build, *given, where, **how)
                entries[stage] = entry(work, expected, tolerance, where)
                note(cases[-1])
            if where != "cpu":
                free_memory(where)
        if torch is not None:
            set_torch_precision(torch, mode)
            for layout in LAYOUTS:
                work = partial(_torch_work, torch, name, *given, layout, where, mode)
                entries[layout] = entry(work, expected, tolerance, where)
                note(cases[-1])
            if where != "cpu":
                work = partial(_torch_as_graph, torch, name, *given, where, mode)
                entries[TORCH_GRAPH] = entry(work, expected, tolerance, where)
                note(cases[-1])
    return cases


def our_work(build, state, images, labels, trains, where, as_graph=False, folded=False):
    """A function that does one step of ours, or one inference, and returns [the loss or the scores]."""
    model = build()
    model.load_state_dict({key: np.array(value) for key, value in state.items()})
    model.to(where)
    x, y = tv.from_numpy(images).to(where), tv.from_numpy(labels).to(where)
    if not trains:
        model.eval()
        model = model.fuse() if folded else model

        def infer():
            with tv.no_grad():
                return [model(x)]

        if not as_graph:
            return infer
        with rehearsal():
            for _ in range(WARM_UP):
                infer()
        found, replay = capture(infer, where)

        def again():
            replay()
            return found

        return again
    # A learning rate of 0 leaves the weights as they are, so that every step is the same work with the same result.
    optimizer, criterion = optim.SGD(model.parameters(), lr=0.0, momentum=0.9), nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = GraphedStep(step, optimizer) if as_graph else step
    for _ in range(WARM_UP if as_graph else 0):
        run(x, y)
    return lambda: [run(x, y)]


def _torch_work(torch, name, state, images, labels, trains, layout, where, mode):
    model = pytorch.networks()[name.startswith("ResNet")]()
    model.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    order = torch.channels_last if layout == LAYOUTS[1] else torch.contiguous_format
    model = model.to(where).to(memory_format=order)
    x = torch.from_numpy(images).to(where).contiguous(memory_format=order)
    y = torch.from_numpy(labels).to(where)
    # A graph must not keep what autocast has cast, and no weight is used twice.
    cast = partial(torch.autocast, where, torch.bfloat16, enabled=mode == "bf16", cache_enabled=False)
    if not trains:
        model.eval()

        def infer():
            with torch.no_grad(), cast():
                return [model(x).float()]

        return infer
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)

    def step():
        optimizer.zero_grad()
        with cast():
            loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return [loss]

    return step


def _torch_as_graph(torch, name, state, images, labels, trains, where, mode):
    """PyTorch's faster layout for tensor cores, channels-last, with the whole step as one CUDA graph."""
    work, found = _torch_work(torch, name, state, images, labels, trains, LAYOUTS[1], where, mode), []

    def keep():
        found[:] = work()

    replay = torch_graph(torch, keep)

    def run():
        replay()
        torch.cuda.synchronize()
        return found

    return run


CROSSOVERS = {
    "SimpleCNN, training step": (1, 4, 16, 64, 256),
    "ResNet-18, inference": (1, 2, 4, 8, 16, 32),
}


def crossover(name, batches, where):
    """A network over batch sizes: {"batches", "cpu_ms", "gpu_ms", "from"}; from: the batch from which on the GPU is the
    faster one, at this and every larger one that was tried, or None."""
    build, weights, size, trains = NETWORKS[name]
    state, times = weights(), {"cpu": [], "gpu": []}
    for batch in batches:
        images, labels = networks.images(batch, size)
        for key, place in (("cpu", "cpu"), ("gpu", where)):
            times[key].append(timed(our_work(build, state, images, labels, trains, place), place, most=20))
    slower = [b for b, c, g in zip(batches, times["cpu"], times["gpu"], strict=True) if not g < c]
    ahead = [b for b in batches if not slower or b > slower[-1]]
    return {"batches": list(batches), "cpu_ms": times["cpu"], "gpu_ms": times["gpu"], "from": min(ahead, default=None)}
