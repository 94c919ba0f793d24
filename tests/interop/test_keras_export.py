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
from tinyvision.errors import ExportError, OptionError
from tinyvision.interop import export, from_keras

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
    """Export with one batch size, let Keras compute another."""
    lively(model)
    export(model, np.zeros((1, *shape), np.float32), path)
    x = np.random.default_rng(3).standard_normal((batch, *shape)).astype(np.float32)
    theirs = keras.models.load_model(path)
    y = theirs(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x, training=False)
    y = keras.ops.convert_to_numpy(y)
    with tv.no_grad():
        ours = model(tv.tensor(x)).numpy()
    y = y.transpose(0, 3, 1, 2) if y.ndim == 4 else y
    assert y.shape == ours.shape
    assert np.abs(y - ours).max() <= tolerance * max(1, np.abs(ours).max())
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


def test_rows(tmp_path):
    agree(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), tmp_path / "net.keras", 6)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("cnn", lambda: models.SimpleCNN(image_size=24)),
        ("unet", lambda: models.UNet(3, 2)),
        ("resnet18", lambda: models.resnet18(num_classes=7)),
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
        self.shift, self.turn = Lambda(lambda x: x.cumsum(1)), Lambda(lambda x: x.flip(3))

    def forward(self, x):
        return self.shift(x) + self.turn(x)


REFUSED = {
    "several, all at once": (Refused(), r"(?s)cumsum in shift: Keras has no layer for it here.*flip in turn"),
    "a stride with dilation": (nn.Conv2d(4, 4, 3, stride=2, dilation=2), "no convolution with stride and dilation"),
    "a dilated pooling": (nn.MaxPool2d(2, dilation=2), "no pooling with dilation"),
    "a mean that leaves out the border": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "leaves out the border"),
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
