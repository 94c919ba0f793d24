"""What a GPU buys: `python -m benchmarks --device cuda`. Ceilings, every convolution of ResNet-18, three whole
networks.

Contestants: tinyvision on NumPy, tinyvision on CuPy stage by stage (the readable ops; with fused kernels; with the
implicit-GEMM convolution), and PyTorch eager in both of its layouts, of which the faster counts. Everything is compared
with tinyvision on the CPU before it is timed; what disagrees is recorded as wrong and not timed. Needs CuPy and PyTorch
and nothing else that a bare machine may lack.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

import tinyvision as tv
from tinyvision import kernels, models, nn, optim
from tinyvision.device import cuda_problem, free_memory, report, synchronize, to_device, to_numpy

from . import conv, networks

# The drop-ins that each stage uses; None stands for all.
STAGES = {
    "CuPy 0: im2col + cuBLAS": (),
    "CuPy 1: fused": ("batchnorm", "pooling", "col2im", "cross_entropy", "sgd"),
    "CuPy 2: implicit GEMM": None,
}
NUMPY = "NumPy"
LAYOUTS = ("PyTorch NCHW", "PyTorch channels-last")
MODES = ("tf32", "ieee")

# Against float32 on the CPU: sums of up to 5·10³ products in another order; TF32 keeps 10 of 23 bits of each factor;
# a whole network passes such differences through 18 layers.
TOLERANCE = {"layer": {"ieee": 1e-4, "tf32": 4e-3}, "network": {"ieee": 1e-3, "tf32": 3e-2}}
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
    made = measure(
        options.batch, MODES[:1] if options.quick else MODES, conv.layers(options.batch)[:: 3 if options.quick else 1]
    )
    name = made["device"]["name"].lower().replace(" ", "-")
    path = options.json or Path(__file__).parent / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{section(made, path)}\n\nrecord: {path}")
    return int(any(entry["status"] == "wrong" for case in made["cases"] for entry in case["entries"].values()))


def measure(batch, modes, layers, where="cuda"):
    """The whole record."""
    torch, versions = import_torch()
    made = {
        "kind": "gpu",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": "python -m benchmarks --device cuda",
        "device": (report()["devices"] or [{"name": platform.processor() or "CPU"}])[0],
        "cpu": {"name": platform.processor() or platform.machine(), "threads": tv.get_num_threads()},
        "versions": {
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "CuPy": report()["cupy"],
            **versions,
        },
        "batch": batch,
        "ceilings": ceilings(where),
        "cases": [],
    }
    for mode in modes:
        for layer in layers:
            made["cases"] += layer_cases(layer, mode, torch, where)
        made["cases"] += network_cases(batch, mode, torch, where)
    made["crossover"] = crossover(where)
    return made


def import_torch():
    """(torch or None, {name: version})."""
    try:
        import torch
    except ImportError:
        return None, {"PyTorch": None}
    return torch, {"PyTorch": torch.__version__}


def timed(work, where="cuda", most=200):
    """The median time of one call in milliseconds, over at most `most` calls and about SECONDS; waits for the
    device."""

    def once():
        start = time.perf_counter()
        work()
        if where != "cpu":
            synchronize(where)
        return time.perf_counter() - start

    once()
    times = [once() for _ in range(3)]
    count = int(min(most, max(3, SECONDS / max(statistics.median(times), 1e-6))))
    return 1e3 * statistics.median([once() for _ in range(count)])


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


def entry(work, expected, tolerance, where):
    """Compare what `work()` gives with `expected` (a list of NumPy arrays), then time it."""
    try:
        got = [to_host(a) for a in work()]
    except Exception as error:  # one contestant's failure must not cost the record of the others
        return {"status": "failed", "why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    differences = [float(np.abs(g - e).max() / max(np.abs(e).max(), 1e-30)) for g, e in zip(got, expected, strict=True)]
    worst = max(differences)
    if not worst <= tolerance:
        return {"status": "wrong", "difference": worst, "tolerance": tolerance}
    del got
    return {"status": "timed", "difference": worst, "ms": timed(work, where)}


def to_host(value):
    """A NumPy array from an array or tensor of any contestant."""
    if hasattr(value, "detach") and hasattr(value, "cpu") and not isinstance(value, tv.Tensor):
        return value.detach().cpu().numpy()
    return to_numpy(value.detach() if isinstance(value, tv.Tensor) else value)


def staged(names, work):
    """`work` with the drop-ins of one stage."""

    def run():
        if names is None:
            return work()
        with kernels.only(*names):
            return work()

    return run


def set_torch_precision(torch, mode):
    """PyTorch has one switch for products and one for convolutions; both are set, and cuDNN may try its algorithms."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "tf32"
    torch.backends.cudnn.benchmark = True


def layer_cases(layer, mode, torch, where):
    """Forward and backward of one convolution: two cases."""
    x, weight, dy = networks.conv_data(layer)
    options = {"stride": layer.stride, "padding": layer.kernel // 2}
    pair = (tv.ops.conv2d_forward, tv.ops.conv2d_backward)
    y, cache = pair[0](x, weight, **options)
    expected = {"forward": [y], "backward": list(pair[1](dy, cache))}
    flops = 2 * dy.size * layer.channels * layer.kernel**2
    moved = {"forward": x.nbytes + weight.nbytes + y.nbytes, "backward": 3 * x.nbytes + 2 * (weight.nbytes + y.nbytes)}
    on_gpu, cases = [to_device(a, where) for a in (x, weight, dy)], []
    for way in ("forward", "backward"):
        entries, tolerance = {}, TOLERANCE["layer"][mode]
        entries[NUMPY] = {"status": "timed", "ms": timed(_conv_work(pair, x, weight, dy, options, way), "cpu", most=3)}
        with tv.precision(mode):
            for name, names in (("CuPy 0: im2col + cuBLAS", ()), ("CuPy 2: implicit GEMM", None)):
                with kernels.only(*names) if names is not None else kernels.only(*kernels.names()):
                    chosen = kernels.choose(*pair, on_gpu[:2], options)
                if names is None and chosen == pair:
                    entries[name] = {"status": "left to stage 0"}
                    continue
                entries[name] = entry(_conv_work(chosen, *on_gpu, options, way), expected[way], tolerance, where)
        if torch is not None:
            set_torch_precision(torch, mode)
            for name in LAYOUTS:
                work = _torch_conv(torch, x, weight, dy, options, way, name, where)
                entries[name] = entry(work, expected[way], tolerance, where)
        work = flops * (1 if way == "forward" else 2)
        cases.append({"case": layer.name, "group": way, "precision": mode, "count": layer.count, "flops": work,
                      "bytes": moved[way], "entries": entries})  # fmt: skip
    if where != "cpu":
        free_memory(where)
    return cases


def _conv_work(pair, x, weight, dy, options, way):
    if way == "forward":
        return lambda: [pair[0](x, weight, **options)[0]]
    _, cache = pair[0](x, weight, **options)
    return lambda: list(pair[1](dy, cache, (True, True)))


def _torch_conv(torch, x, weight, dy, options, way, layout, where):
    order = torch.channels_last if layout == LAYOUTS[1] else torch.contiguous_format
    x, weight, dy = (torch.from_numpy(a).to(where).contiguous(memory_format=order) for a in (x, weight, dy))
    if way == "forward":
        return lambda: [torch.nn.functional.conv2d(x, weight, **options)]
    pair = [options["stride"]] * 2, [options["padding"]] * 2
    return lambda: torch.ops.aten.convolution_backward(
        dy, x, weight, None, *pair, [1, 1], False, [0, 0], 1, (True, True, False)
    )[:2]


NETWORKS = {
    "SimpleCNN, training step": (lambda: models.SimpleCNN(3, 10, 24), networks.simple_cnn, 24, True),
    "ResNet-18, inference": (models.resnet18, networks.resnet18, 224, False),
    "ResNet-18, training step": (models.resnet18, networks.resnet18, 224, True),
}


def network_cases(batch, mode, torch, where, wanted=tuple(NETWORKS)):
    """One case for each network."""
    cases = []
    for name in wanted:
        build, weights, size, trains = NETWORKS[name]
        state, (images, labels) = weights(), networks.images(batch, size)
        ours = {NUMPY: ("cpu", None), **{stage: (where, names) for stage, names in STAGES.items()}}
        expected, entries = None, {}
        for contestant, (place, names) in ours.items():
            with tv.precision(mode):
                work = staged(names, _our_work(build, state, images, labels, trains, place))
                if expected is None:
                    expected = [to_host(a) for a in work()]
                    entries[contestant] = {"status": "timed", "ms": timed(work, "cpu", most=3)}
                else:
                    entries[contestant] = entry(work, expected, TOLERANCE["network"][mode], where)
            del work
            if where != "cpu":
                free_memory(where)
        if torch is not None:
            set_torch_precision(torch, mode)
            for layout in LAYOUTS:
                work = _torch_work(torch, name, state, images, labels, trains, layout, where)
                entries[layout] = entry(work, expected, TOLERANCE["network"][mode], where)
        cases.append({"case": name, "group": "network", "precision": mode, "entries": entries})
    return cases


def _our_work(build, state, images, labels, trains, where):
    model = build()
    model.load_state_dict({key: np.array(value) for key, value in state.items()})
    model.to(where)
    x, y = tv.from_numpy(images).to(where), tv.from_numpy(labels).to(where)
    if not trains:
        model.eval()

        def infer():
            with tv.no_grad():
                return [model(x)]

        return infer
    # A learning rate of 0 leaves the weights as they are, so that every step is the same work with the same result.
    optimizer, criterion = optim.SGD(model.parameters(), lr=0.0, momentum=0.9), nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return [loss]

    return step


def _torch_network(torch, name):
    if name.startswith("ResNet"):
        from torchvision.models import resnet18

        return resnet18()
    layers = torch.nn
    return layers.Sequential(
        layers.Conv2d(3, 32, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2),
        layers.Conv2d(32, 64, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2),
        layers.Flatten(), layers.Linear(64 * 36, 128), layers.ReLU(), layers.Linear(128, 10),
    )  # fmt: skip


def _torch_work(torch, name, state, images, labels, trains, layout, where):
    model = _torch_network(torch, name)
    own = model.state_dict()
    values = [torch.from_numpy(np.array(state[key])) for key in state if key in own or not name.startswith("ResNet")]
    keys = [key for key in state if key in own] if name.startswith("ResNet") else list(own)
    model.load_state_dict(dict(zip(keys, values, strict=True)), strict=False)
    order = torch.channels_last if layout == LAYOUTS[1] else torch.contiguous_format
    model = model.to(where).to(memory_format=order)
    x = torch.from_numpy(images).to(where).contiguous(memory_format=order)
    y = torch.from_numpy(labels).to(where)
    if not trains:
        model.eval()

        def infer():
            with torch.no_grad():
                return [model(x)]

        return infer
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return [loss]

    return step


def crossover(where, batches=(1, 2, 4, 8, 16, 32)):
    """ResNet-18's inference over batch sizes: {"batches", "cpu_ms", "gpu_ms", "from"}; from: where the GPU
    overtakes."""
    build, weights, size, _ = NETWORKS["ResNet-18, inference"]
    state, times = weights(), {"cpu": [], where: []}
    for batch in batches:
        images, labels = networks.images(batch, size)
        for place in {"cpu": 0, where: 0}:
            times[place].append(timed(_our_work(build, state, images, labels, False, place), place, most=3))
    faster = [b for b, c, g in zip(batches, times["cpu"], times[where], strict=True) if g < c]
    return {
        "batches": list(batches),
        "cpu_ms": times["cpu"],
        "gpu_ms": times[where],
        "from": faster[0] if faster else None,
    }


# -- Markdown


def best_torch(entries):
    """Milliseconds of PyTorch's faster layout, or None."""
    times = [entries[name]["ms"] for name in LAYOUTS if entries.get(name, {}).get("status") == "timed"]
    return min(times) if times else None


def roofline_share(case, milliseconds, found):
    """The time that the ceilings allow, divided by the time that was needed; None without ceilings."""
    peak = found.get("tf32_tflops" if case["precision"] == "tf32" else "fp32_tflops")
    if not peak or "flops" not in case:
        return None
    return max(case["flops"] / peak / 1e9, case["bytes"] / found["copy_gb_s"] / 1e6) / milliseconds


def section(record, path):
    """A GPU record as Markdown: ceilings, then a table for each precision and group, with the ratio to PyTorch
    eager."""
    device, found = record["device"], record["ceilings"]
    lines = [f"### {device['name']}", "", f"Record: `{Path(path).name}`, {record['created']}, batch {record['batch']}."]
    lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + ".")
    if found:
        lines.append(
            f"Ceilings measured: copy {found['copy_gb_s']:.0f} GB/s, products "
            f"{found['fp32_tflops']:.1f} TFLOP/s in FP32, {found['tf32_tflops']:.0f} TFLOP/s in TF32."
        )
    for mode in MODES:
        for group in ("forward", "backward", "network"):
            cases = [c for c in record["cases"] if c["precision"] == mode and c["group"] == group]
            if cases:
                lines += ["", f"**{group}, {mode}** (milliseconds)", "", *_table(cases, found)]
    cross = record["crossover"]
    place = f"from batch {cross['from']} on" if cross["from"] else "at no batch size that was tried"
    lines += ["", f"ResNet-18's inference is faster on the GPU than on the CPU {place} (tried: {cross['batches']})."]
    return "\n".join(lines)


def _table(cases, found):
    names = list(dict.fromkeys(name for case in cases for name in case["entries"]))
    rows = ["| | " + " | ".join(names) + " | ratio to PyTorch | roofline |", "|---" * (len(names) + 3) + "|"]
    for case in cases:
        cells = [_cell(case["entries"].get(name)) for name in names]
        ours = [e["ms"] for n, e in case["entries"].items() if n.startswith("CuPy") and e["status"] == "timed"]
        torch = best_torch(case["entries"])
        ratio = f"{min(ours) / torch:.2f}" if ours and torch else "—"
        share = roofline_share(case, min(ours), found) if ours else None
        rows.append(f"| {case['case']} | {' | '.join(cells)} | {ratio} | {'—' if share is None else f'{share:.0%}'} |")
    return rows


def _cell(found):
    if found is None:
        return "—"
    return f"{found['ms']:.3g}" if found["status"] == "timed" else found["status"]
