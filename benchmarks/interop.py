"""One network in several engines: do they agree, and how long does each take?

Networks of this package are compared with torchvision's with the same weights, are written as ONNX, run by ONNX Runtime
and read back here, and are written for Keras, run by Keras and, through TensorFlow's converter, by TensorFlow Lite.
Networks of Keras's are read here, compared with Keras and TensorFlow Lite, and go on to ONNX Runtime. All weights and
running statistics are random numbers, so that nothing hides behind zeros. Nothing is timed that was not compared, and
nobody records a gradient. Ours, and what was read back, are the networks as they are loaded: not after `fuse()`.

    python -m benchmarks interop               (about four minutes on two cores)
    python -m benchmarks interop --quick --only resnet18

TensorFlow runs in a process of its own: of this Python, or of the one that TINYVISION_TENSORFLOW_PYTHON names. Its
times hold the way of the answer through a pipe, about a tenth of a millisecond.
"""

import argparse
import importlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

import tinyvision as tv
from tinyvision import models
from tinyvision.errors import ExportError, OptionError
from tinyvision.interop import keras_export

from . import machine, tables, timing

OURS, BACK, TORCH, ORT = "tinyvision", "tinyvision, read back", "PyTorch", "ONNX Runtime"
KERAS = "Keras"  # with the backend that it runs on behind it, where it is an engine
KERAS_TF, LITE = "Keras on TensorFlow", "TensorFlow Lite"  # as tensorflow_worker.py knows them
BACKENDS = {"torch": "PyTorch", "jax": "JAX"}  # of Keras, in this process
PACKAGES = ("numpy", "onnx", "onnxruntime", "torch")  # whose versions a record keeps
# What engines may differ by, in parts of the largest output: the order of float32 additions.
TOLERANCE = 1e-4

# name -> (who has made it, height and width of its pictures)
NETWORKS = {
    "resnet18": (OURS, 224),
    "mobilenet_v3_small": (OURS, 224),
    "densenet121": (OURS, 224),
    "MobileNetV2": (KERAS, 224),
    "EfficientNetB0": (KERAS, 224),
}


class Missing(Exception):
    """An engine cannot take part; the argument says why."""


def package(name):
    """A module that need not be installed. Raises Missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Missing(f"{name} is not installed") from None


def lively(model, seed):
    """Random weights, and running statistics that are not those of a new network; -> the model in evaluation mode."""
    rng = np.random.default_rng(seed)
    for name, value in model.state_dict().items():
        if value.dtype.kind != "f":
            continue
        if "running_var" in name:
            value.array[...] = rng.uniform(0.5, 1.5, value.shape)
        elif value.ndim == 1:
            value.array[...] = rng.normal(1.0 if name.endswith("weight") else 0.0, 0.1, value.shape)
    return model.eval()


@dataclass
class Field:
    """Who takes part for one network: {engine: function of no arguments -> the output}, {engine: why it does not},
    {library: version}. What processes they need end with `open_processes`."""

    open_processes: ExitStack
    engines: dict = field(default_factory=dict)
    absent: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)

    def add(self, engine, make, *arguments):
        """Let an engine take part, or note why it cannot."""
        try:
            self.engines[engine] = make(*arguments)
        except Missing as reason:
            self.absent[engine] = str(reason)

    def add_keras(self, theirs, path, x):
        """Keras here with its model `theirs`, and what TensorFlow's process makes of the file `path`."""
        keras = sys.modules["keras"]
        self.versions["Keras"] = keras.__version__
        last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        backend = keras.backend.backend()
        if backend != "tensorflow":
            name = f"{KERAS} on {BACKENDS.get(backend, backend)}"
            self.engines[name] = partial(_keras_here, keras, theirs, last)
        try:
            worker = self.open_processes.enter_context(Worker(path, last))
        except Missing as reason:
            self.absent |= {KERAS_TF: str(reason), LITE: str(reason)}
        else:
            self.versions["TensorFlow"] = worker.version
            self.engines |= {engine: partial(worker.run, engine) for engine in (KERAS_TF, LITE)}


def of_ours(name, x, folder, open_processes):
    """The field for a network of this package."""
    tv.manual_seed(0)
    model = lively(models.get_model(name, weights=None), 1)
    found = Field(open_processes, {OURS: lambda: _ours(model, x)})
    for engine, make in ((TORCH, _torchvision), (ORT, _onnx_runtime), (BACK, _read_back)):
        found.add(engine, make, name, model, x, folder)
    try:
        keras = _keras()
        tv.export(model, x[:1], path := folder / f"{name}.keras")
    except (Missing, ExportError) as reason:
        found.absent |= {engine: str(reason) for engine in (KERAS, LITE)}
    else:
        found.add_keras(keras.models.load_model(path), path, x)
    return found


def of_keras(name, x, folder, open_processes):
    """The same for a network of Keras's. Raises Missing."""
    keras = _keras()
    keras.utils.set_random_seed(0)
    theirs = getattr(keras.applications, name)(weights=None, input_shape=(*x.shape[2:], 3))
    rng = np.random.default_rng(1)
    for v in theirs.variables:
        if "moving_variance" in v.path:
            v.assign(rng.uniform(0.5, 1.5, v.shape))
        elif v.path.endswith(("gamma", "beta", "moving_mean")):
            v.assign(rng.normal(float(v.path.endswith("gamma")), 0.1, v.shape))
    theirs.save(path := folder / f"{name}.keras")
    model = models.from_keras(path).eval()
    found = Field(open_processes, {OURS: lambda: _ours(model, x)})
    found.add(ORT, _onnx_runtime, name, model, x, folder)
    found.add_keras(theirs, path, x)
    return found


def _ours(model, x):
    with tv.no_grad():
        return model(tv.tensor(x)).numpy()


def _torchvision(name, model, x, folder):
    torch = package("torch")
    try:
        networks = package("torchvision.models")
    except RuntimeError:  # its Python half describes two operators of its compiled half, which may not fit this torch
        for operator in ("nms", "qnms"):
            arguments = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", arguments)
        networks = package("torchvision.models")
    theirs = networks.get_model(name, weights=None).eval()
    arrays = {n: np.ascontiguousarray(v.numpy()) for n, v in model.state_dict().items()}
    theirs.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()})
    theirs, pictures = theirs.to(memory_format=torch.channels_last), torch.from_numpy(x)
    pictures = pictures.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return theirs(pictures).numpy()

    return run


def _exported(name, model, x, folder):
    package("onnx")
    path = folder / f"{name}.onnx"
    if not path.exists():
        tv.export(model, x[:1], path)
    return path


def _onnx_runtime(name, model, x, folder):
    ort = package("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = tv.get_num_threads()
    path = _exported(name, model, x, folder)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": x})[0]


def _read_back(name, model, x, folder):
    back = models.from_onnx(_exported(name, model, x, folder)).eval()
    return lambda: _ours(back, x)


def _keras():
    """Keras on a backend that is there. Raises Missing."""
    for name in ("keras", "h5py"):
        if importlib.util.find_spec(name) is None:
            raise Missing(f"{name} is not installed")
    try:
        return keras_export.package()
    except ExportError as error:
        raise Missing(str(error)) from None


def _keras_here(keras, theirs, pictures):
    """Keras's answer in this process. On PyTorch it would record every step for a gradient that nobody asks for."""
    torch = sys.modules.get("torch")
    with torch.no_grad() if torch is not None else nullcontext():
        return keras.ops.convert_to_numpy(theirs(pictures, training=False))


class Worker:
    """TensorFlow in a process of its own, with a network and its input. Raises Missing where there is none.

    path  a .keras file       x  pictures (N, H, W, C)"""

    def __init__(self, path, x):
        python = os.environ.get("TINYVISION_TENSORFLOW_PYTHON")
        if python is None and importlib.util.find_spec("tensorflow") is None:
            raise Missing("tensorflow is not installed (TINYVISION_TENSORFLOW_PYTHON may name a Python that has it)")
        np.save(given := path.with_name("given.npy"), x)
        script = Path(__file__).with_name("tensorflow_worker.py")
        command = [python or sys.executable, str(script), str(path), str(given), str(tv.get_num_threads())]
        self._said = path.with_name("said.txt")
        with self._said.open("wb") as said:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env={**os.environ}
                )
            except OSError as error:
                raise Missing(f"{command[0]} cannot be run: {error.strerror}") from None

    def __enter__(self):
        try:
            self.version = str(self._answer())
        except Missing:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(self, engine):
        """The output (N, ...) of an engine. Raises Missing, with the last of what it said, if the process has ended."""
        with suppress(BrokenPipeError):  # it has ended: the answer will say so
            self._process.stdin.write(f"{engine}\n".encode())
            self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        if length := self._process.stdout.readline():
            return np.load(io.BytesIO(self._process.stdout.read(int(length))))
        lines = self._said.read_text(encoding="utf-8", errors="replace").splitlines()
        raise Missing(f"its process ended: {lines[-1] if lines else 'without a word'}")


def measure(name, batch, turns):
    """What a record keeps of one network."""
    maker, size = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal((batch, 3, size, size), np.float32)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_processes:
        found = (of_keras if maker == KERAS else of_ours)(name, x, Path(folder), open_processes)
        expected = found.engines[OURS]()
        scale = float(np.abs(expected).max())
        differences = {
            e: float(np.abs(run() - expected).max()) / scale for e, run in found.engines.items() if e != OURS
        }
        right = {e: run for e, run in found.engines.items() if differences.get(e, 0) <= TOLERANCE}
        times = timing.alternate(right, turns, warm_up=1)
    return {
        "network": name,
        "made by": maker,
        "differences": differences,
        "times": {engine: timing.summary(values) for engine, values in times.items()},
        "absent": found.absent,
        "versions": found.versions | {p: sys.modules[p].__version__ for p in PACKAGES if p in sys.modules},
    }


def table(rows, batch):
    """One line for each network and engine."""
    lines = []
    for row in rows:
        ours = row["times"][OURS]
        for engine, summary in row["times"].items():
            difference = row["differences"].get(engine)
            lines.append(
                (
                    f"{row['network']} ({row['made by']}'s)" if engine == OURS else "",
                    engine,
                    "" if difference is None else f"{difference:.1e}",
                    f"{summary['median'] * 1e3:.1f} ms",
                    "1" if engine == OURS else f"{timing.ratio(ours, summary)[0]:.2f}",
                )
            )
        lines += [("", e, f"{d:.1e}", "wrong", "") for e, d in row["differences"].items() if d > TOLERANCE]
        lines += [("", engine, "", f"absent: {why}", "") for engine, why in row["absent"].items()]
    columns = ("network", "engine", "largest difference", "time", "tinyvision's time / its time")
    note = (
        "Differences are parts of the largest output; the row of tinyvision is what the others are compared with. "
        "No engine records gradients; tinyvision's networks are as they are loaded, without fuse()."
    )
    return tables.Table(f"One network in several engines, batch {batch}", columns, lines, note)


def main(argv=None):
    """Compare, time, print; -> 0, or 1 if an engine disagrees."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks interop",
        description=__doc__.split("\n\n")[0],
        epilog="The networks: " + ", ".join(NETWORKS),
    )
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="pictures in a batch (default 8)")
    parser.add_argument("--turns", type=int, default=9, metavar="N", help="turns for every engine (default 9)")
    parser.add_argument("--quick", action="store_true", help="three turns with two pictures: for development")
    parser.add_argument("--only", metavar="NAMES", help="some networks, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the record to FILE")
    options = parser.parse_args(argv)
    names = options.only.split(",") if options.only else list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise OptionError(f"there is no network {unknown[0]!r} here; there are {', '.join(NETWORKS)}")
    batch, turns = (2, 3) if options.quick else (options.batch, options.turns)
    if batch < 1 or turns < 1:
        raise OptionError("--batch and --turns are positive numbers")
    console, rows = Console(), []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            rows.append(measure(name, batch, turns))
        except Missing as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
    if rows:
        tables.show(table(rows, batch), console)
    if options.json:
        about = {"cpu": machine.processor(), "threads": tv.get_num_threads(), "commit": machine.commit()}
        options.json.write_text(json.dumps({"machine": about, "batch": batch, "rows": rows}, indent=1) + "\n")
    return int(any(d > TOLERANCE for row in rows for d in row["differences"].values()))
