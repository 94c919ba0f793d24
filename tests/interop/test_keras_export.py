"""To Keras: what Keras computes of its own file is what we compute; what Keras has no layer for is named."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn
from tinyvision.cli import main
from tinyvision.errors import ExportError, OptionError, TinyVisionError
from tinyvision.interop import export, from_keras
from tinyvision.tasks.recognition.network import Embedder

pytest.importorskip("h5py", reason="the package h5py is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it when it is imported
keras = pytest.importorskip("keras", reason="the oracle, Keras, is not installed")


def lively(model, seed=0):
    """Every number another one: zeros and ones would hide a mistake."""
    rng = np.random.default_rng(seed)
    for name, value in model.state_dict().items():
        if value.dtype.kind == "f" and value.ndim <= 1:
            low = 0.5 if "var" in name or name.endswith("weight") else -0.5
            value.array[...] = rng.uniform(low, low + 1, value.shape)
    return model.eval()


def agree(model, path, *shape, batch=3, tolerance=1e-6):
    """Export with one batch size, let Keras compute another; then read it back, and compare again."""
    lively(model)
    export(model, np.zeros((1, *shape), np.float32), path)
    x = np.random.default_rng(3).standard_normal((batch, *shape)).astype(np.float32)
    theirs = keras.models.load_model(path)
    y = theirs(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x, training=False)
    y = keras.ops.convert_to_numpy(y)
    with tv.no_grad():
        ours, back = model(tv.tensor(x)).numpy(), from_keras(path).eval()(tv.tensor(x)).numpy()
    y = y.transpose(0, 3, 1, 2) if y.ndim == 4 else y
    assert y.shape == ours.shape == back.shape
    for one in (y, back):
        assert np.abs(one - ours).max() <= tolerance * max(1, np.abs(ours).max())
    return theirs


class Lambda(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Attention(nn.Module):
    """Two linear layers that look at each other, over places."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.norm = nn.Linear(4, 5), nn.Linear(4, 5), nn.LayerNorm(4)

    def forward(self, x):
        x = self.norm(x.flatten(2).transpose(1, 2))
        return (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1) @ x


class Computed(nn.Module):
    """Weights and numbers that are computed, but not from the input."""

    def __init__(self):
        super().__init__()
        self.scale, self.weight = nn.Parameter(tv.arange(1.0, 5.0)), nn.Parameter(tv.randn(6, 4, 3, 3))

    def forward(self, x):
        return nn.functional.conv2d(x * self.scale.view(1, -1, 1, 1), self.weight / self.weight.norm())


class Twice(nn.Module):
    """One convolution, used twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x).relu())


CHANNELS = tv.tensor(np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1))
LAYERS = {
    "same": nn.Conv2d(4, 6, 3, padding=1),
    "stride and padding": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
    "groups and dilation": nn.Conv2d(4, 8, 3, dilation=2, groups=2, bias=False),
    "depthwise": nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4),
    "depthwise with two strides": nn.Conv2d(4, 8, 3, stride=(2, 1), padding=1, groups=4),
    "transposed": nn.ConvTranspose2d(4, 5, (3, 2), stride=2, padding=1, output_padding=(1, 0)),
    "transposed, apart": nn.ConvTranspose2d(4, 5, 2, stride=3, bias=False),
    "maxima of what is below 0": nn.Sequential(Lambda(lambda x: x - 9), nn.MaxPool2d(3, 2, 1)),
    "maxima behind a relu": nn.Sequential(nn.ReLU(), nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True)),
    "means": nn.AvgPool2d(3, 2, 1),
    "adaptive, equal and unequal": nn.Sequential(nn.AdaptiveAvgPool2d((4, 7)), nn.AdaptiveAvgPool2d((2, 3))),
    "flatten between": nn.Sequential(nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(3 * 6 * 7, 5)),
    "flatten of one place": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5)),
    "norms": nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)),
    "norms without weights": nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.LayerNorm((8, 9))),
    "nearest, bilinear": nn.Sequential(nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear")),
    "corners, cubic": nn.Sequential(nn.Upsample((11, 5), mode="bilinear", align_corners=True),
                                    nn.Upsample((7, 12), mode="bicubic")),
    "borders": nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.ReflectionPad2d(2), nn.ConstantPad2d(1, 0.5)),
    "borders of no width": nn.Sequential(nn.ReflectionPad2d(0), nn.Conv2d(4, 4, 3, padding_mode="reflect")),
    "activations": nn.Sequential(nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Mish(), nn.ELU(0.7), nn.LeakyReLU(0.1)),
    "more activations": nn.Sequential(nn.PReLU(4), nn.Hardsigmoid(), nn.Tanh(), nn.Softplus(), nn.SELU(), nn.ReLU6(),
                                      nn.Hardtanh(-0.3, 0.9), nn.GELU("tanh"), nn.Softmax(1)),
    "numbers beside": Lambda(lambda x: (1 - x * 3) / 7 + x.clamp(max=0.5) - CHANNELS + x * CHANNELS),
    "sums": Lambda(lambda x: x.mean((2, 3)) + x.amax((2, 3)) - x.sum(3).mean(2)),
    "parts": Lambda(lambda x: tv.cat([x[:, :2, 1:], x[:, 2:, :-1]], 1)[..., 2]),
    "channels shuffled": Lambda(lambda x: x.reshape(x.shape[0], 2, 2, 8, 9).transpose(1, 2).reshape(x.shape)),
    "attention": Attention(),
    "computed": Computed(),
    "places": Lambda(lambda x: x.index_select(1, tv.tensor([3, 1])) + x[:, [0, -1], 0:8]),
    "each twice": Lambda(lambda x: x.repeat_interleave(2, dim=-1)),
    "repeated": Lambda(lambda x: (x[:, :, :1] * 2).expand(-1, -1, 3, -1).repeat(1, 2, 1, 1)),
    "backwards": Lambda(lambda x: x.flip(1, 3)),
    "lengths": Lambda(lambda x: x.norm(dim=1) + x.norm(3, dim=1) + x.norm(1, dim=1)),
    "normalised": Lambda(lambda x: nn.functional.normalize(x)),
    "rounded": Lambda(lambda x: x.round() + x.floor() * 2 + x.ceil() * 3 + x.trunc() * 4 + x.sign()),
    "logarithms": Lambda(lambda x: tv.log1p(x.abs()) + tv.log2(x * x + 1) + tv.log10(x * x + 1) + tv.expm1(x)),
    "angles": Lambda(lambda x: tv.tan(x / 3) + tv.asin(x.sigmoid()) + tv.atan(x) + tv.sinh(x) + (x * x + 1).rsqrt()),
    "shrinking": nn.Sequential(nn.Softshrink(0.1), nn.Hardshrink(0.2), nn.Threshold(-0.3, 2.0), nn.Softsign()),
    "powers and neighbours": nn.Sequential(nn.LPPool2d(2, 2), nn.LocalResponseNorm(2)),
    "one norm for all": nn.LayerNorm((4, 8, 9)),
    "products and extremes": Lambda(lambda x: x.prod(1) + x.amax(2).sum(1, keepdim=True)),
    "exponents": Lambda(lambda x: x.logsumexp((1, 3), keepdim=True)),
    "used twice": Twice(),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(tmp_path, name):
    # PyTorch's bicubic and Keras's sums differ in the order of additions
    agree(LAYERS[name], tmp_path / "net.keras", 4, 8, 9, tolerance=2e-6)


def test_a_module_that_is_used_twice_is_one_layer(tmp_path):
    theirs = agree(Twice(), tmp_path / "net.keras", 4, 8, 9)
    assert [layer.name for layer in theirs.layers].count("conv") == 1
    assert theirs.count_params() == 4 * 4 * 9 + 4


def _change(kind, **options):
    def change(layers):
        row = next(row for row in layers if row["class_name"] == kind)
        for name, value in options.items():
            if name == "args":
                row["inbound_nodes"][0]["args"][1:] = value
            else:
                row["config"][name] = value

    return change


LIES = {
    "a border of text": (
        nn.MaxPool2d(3, 2, 1),
        _change("Pad", pad_width="all"),
        "pad_width must be two numbers from 0",
    ),
    "a border inwards": (nn.MaxPool2d(3, 2, 1), _change("Pad", pad_width=[[0, 0], [-1, 0]]), "pad_width must be two"),
    "borders of few axes": (nn.MaxPool2d(3, 2, 1), _change("Pad", pad_width=[[1, 1]] * 7), None),
    "an axis that is none": (Lambda(lambda x: x.sum(3)), _change("Sum", axis="C"), "axis must be numbers of axes"),
    "an axis too far": (Lambda(lambda x: x.flip(3)), _change("Flip", axis=[9]), None),
    "no place": (Lambda(lambda x: x[:, :2]), _change("GetItem", args=[]), None),
    "places of text": (Lambda(lambda x: x[:, :2]), _change("GetItem", args=["a"]), "neither a tensor nor a number"),
    "places beyond the end": (Lambda(lambda x: x[:, [0, 1]]), _change("Take", args=[[0, 99]]), None),
    "places that are no numbers": (Lambda(lambda x: x[:, [0, 1]]), _change("Take", args=[[0, [1]]]), None),
    "no axis": (Lambda(lambda x: x[:, [0, 1]]), _change("Take", axis={}), None),
    "repeats that are none": (Lambda(lambda x: x.repeat(1, 2, 1, 1)), _change("Tile", repeats=None), None),
    "a power of nothing": (Lambda(lambda x: x**2), _change("Power", args=[]), None),
    "a product with a number": (Lambda(lambda x: x @ x.transpose(2, 3)), _change("Matmul", args=[2]), None),
    "bounds of text": (Lambda(lambda x: x.clamp(0, 0.5)), _change("Clip", x_min="low"), "x_min must be a number"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_function_that_is_called_with_nonsense_is_refused(tmp_path, name):
    """When it is read, or when it is called with a picture: in our words."""
    model, change, message = LIES[name]
    export(model.eval(), np.zeros((1, 4, 8, 8), np.float32), tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        parts = {part: file.read(part) for part in file.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        for part, data in parts.items():
            file.writestr(part, data)
    with pytest.raises(TinyVisionError, match=message):
        from_keras(tmp_path / "net.keras").eval()(tv.zeros(2, 4, 8, 8))


def test_rows(tmp_path):
    agree(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), tmp_path / "net.keras", 6)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("cnn", lambda: models.SimpleCNN(image_size=24)),
        ("unet", lambda: models.UNet(3, 2)),
        ("resnet18", lambda: models.resnet18(num_classes=7)),
        ("squeezenet", lambda: models.squeezenet1_0(num_classes=7)),
        ("shufflenet", lambda: models.shufflenet_v2_x0_5(num_classes=7)),
        ("embedder", lambda: Embedder(3, image_size=32)),
    ],
)
def test_models_and_back(tmp_path, name, make):
    tv.manual_seed(0)
    model, size = make(), 24 if name == "cnn" else 32
    agree(model, tmp_path / "net.keras", 3, size, size, batch=2, tolerance=3e-6)
    x = tv.tensor(np.random.default_rng(4).standard_normal((2, 3, size, size)).astype(np.float32))
    with tv.no_grad():
        ours, back = model(x).numpy(), from_keras(tmp_path / "net.keras").eval()(x).numpy()
    assert np.abs(ours - back).max() <= 3e-6 * np.abs(ours).max()


def test_keras_reloads_the_file_without_this_package(tmp_path):
    """Another process, in which this package cannot be imported."""
    lively(model := nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)))
    export(model, np.zeros((1, 3, 8, 8), np.float32), tmp_path / "net.keras")
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['tinyvision'] = None; import keras, numpy as np; "
        "y = keras.models.load_model('net.keras')(np.load('x.npy')); np.save('y.npy', keras.ops.convert_to_numpy(y))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ}, check=True, timeout=600)
    ours = model(tv.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).detach().numpy()
    assert np.abs(np.load(tmp_path / "y.npy") - ours).max() < 1e-6 * np.abs(ours).max() + 1e-6


def test_and_on_to_tensorflow_lite(tmp_path):
    """Keras's file through TensorFlow's converter: its interpreter, and we, read what comes out."""
    from .test_tflite import results, tensorflow

    tv.manual_seed(0)
    model = lively(models.SimpleCNN(image_size=24))
    export(model, np.zeros((1, 3, 24, 24), np.float32), tmp_path / "net.keras")
    x = np.random.default_rng(0).standard_normal((1, 24, 24, 3)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x)
    tensorflow(tmp_path / "net.keras", tmp_path / "net.tflite", tmp_path / "in.npz", tmp_path / "out.npz")
    (ours,) = results(model, x)
    with np.load(tmp_path / "out.npz") as kept:
        theirs = kept[kept.files[0]]
    assert np.abs(ours - theirs).max() <= 2e-6 * np.abs(ours).max()
    (back,) = results(tv.models.from_tflite(tmp_path / "net.tflite"), x)
    assert np.abs(back - theirs).max() <= 2e-6 * np.abs(ours).max()


class Refused(nn.Module):
    """What Keras has no layer for, in two layers."""

    def __init__(self):
        super().__init__()
        self.shift, self.turn = Lambda(lambda x: x.cumsum(1)), Lambda(lambda x: tv.roll(x, 1, 3))

    def forward(self, x):
        return self.shift(x) + self.turn(x)


REFUSED = {
    "several, all at once": (Refused(), r"(?s)cumsum in shift: Keras has no layer for it here.*roll in turn"),
    "a stride with dilation": (nn.Conv2d(4, 4, 3, stride=2, dilation=2), "no convolution with stride and dilation"),
    "a dilated pooling": (nn.MaxPool2d(2, dilation=2), "no pooling with dilation"),
    "a mean that leaves out the border": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "leaves out the border"),
    "the same for every input": (
        Lambda(lambda x: (x, tv.ones(3).view(1, 3))),
        "output 1 of the model is the same whatever",
    ),
    "new places": (
        Lambda(lambda x: x[:, None]),
        "index of new axes, or of an array with several axes, is not in Keras",
    ),
    "an array and a number": (Lambda(lambda x: x[:, [0, 1], [1, 2]]), "an index of several arrays"),
    "images turned": (Lambda(lambda x: x.flip(0)), "turns the batch round"),
    "images repeated": (
        Lambda(lambda x: x[:, :1].expand(2, *x.shape[:1], 4, 8, 9)),
        "repeats along the batch, or along",
    ),
    "the batch": (Lambda(lambda x: x.mean((0, 2, 3), keepdim=True) + x), "reduces over the batch"),
    "circular": (Lambda(lambda x: tv.nn.functional.pad(x, (1, 1, 1, 1), mode="circular")), "mode 'circular'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_has_not_is_named_with_its_layer(tmp_path, name):
    model, message = REFUSED[name]
    with pytest.raises(ExportError, match=message):
        export(model, np.zeros((1, 4, 8, 9), np.float32), tmp_path / "net.keras")
    assert not (tmp_path / "net.keras").exists()


def test_options_that_would_be_forgotten_are_refused(tmp_path):
    with pytest.raises(OptionError, match="no place for metadata, got classes"):
        export(nn.Linear(2, 2), np.zeros((1, 2), np.float32), tmp_path / "net.keras", metadata={"classes": "[]"})
    with pytest.raises(OptionError, match=r"written in float32, got float32, float64; model\.float\(\)"):
        export(nn.Linear(2, 2).double(), np.zeros((1, 2), np.float32), tmp_path / "net.keras")
    with pytest.raises(OptionError, match="expected a model, got int"):
        export(3, np.zeros((1, 2), np.float32), tmp_path / "net.keras")


def test_without_keras_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ExportError, match="pip install keras, and tensorflow, torch or jax"):
        export(nn.Linear(2, 2), np.zeros((1, 2), np.float32), tmp_path / "net.keras")


def test_the_command_line(tmp_path, capsys):
    export(nn.Conv2d(3, 4, 3), np.zeros((1, 3, 8, 8), np.float32), tmp_path / "net.keras")
    assert main(["export", str(tmp_path / "net.keras"), str(tmp_path / "again.keras")]) == 0
    assert "for inputs (8, 8, 3)" in capsys.readouterr().out  # as the file that is written takes them
    with zipfile.ZipFile(tmp_path / "again.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["keras_version"] == keras.__version__
    assert main(["export", str(tmp_path / "net.keras"), str(tmp_path / "net.tflite")]) == 2
    assert "only .onnx, .keras and .safetensors files are written" in capsys.readouterr().err
