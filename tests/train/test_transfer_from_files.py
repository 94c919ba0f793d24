"""Fine-tuning networks of other engines: the body of a file, a new head, a run that predicts."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import tinyvision as tv
from tinyvision import models, nn, train
from tinyvision.cli import main
from tinyvision.errors import CheckpointError, OptionError
from tinyvision.interop import READERS, export
from tinyvision.interop.heads import without_head
from tinyvision.train.bodies import pooled
from tinyvision.weights import save

pytest.importorskip("onnx", reason="the package onnx is not installed")

SIZE = 12


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


@pytest.fixture
def photos(tmp_path):
    """Two classes that colours tell apart."""
    for k, name in enumerate(("red", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng(10 * k + i).integers(0, 90, (14, 16, 3))
            pixels[..., 2 * k] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def body():
    return [nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]


def written(path, *layers):
    """A network of these layers as ONNX, of 12x12 pictures; a file that says nothing of pixels."""
    tv.manual_seed(3)
    export(nn.Sequential(*layers).eval(), np.zeros((1, 3, SIZE, SIZE), np.float32), path)
    return path


def onnx_file(folder):
    return written(folder / "net.onnx", *body(), nn.Flatten(), nn.Linear(6, 5), nn.Softmax(dim=1))


def keras_file(folder):
    """A file of Keras 2's, written entry by entry."""
    h5py = pytest.importorskip("h5py", reason="the package h5py is not installed")
    rng, path = np.random.default_rng(0), folder / "net.h5"
    convolution = {"name": "conv", "filters": 6, "kernel_size": [3, 3], "activation": "relu"}
    layers = [
        ("InputLayer", {"name": "pictures", "batch_input_shape": [None, SIZE, SIZE, 3]}),
        ("Conv2D", {**convolution, "batch_input_shape": [None, SIZE, SIZE, 3]}),
        ("GlobalAveragePooling2D", {"name": "pool"}),
        ("Dropout", {"name": "drop", "rate": 0.5}),
        ("Dense", {"name": "dense", "units": 5, "activation": "softmax"}),
    ]
    rows = [{"class_name": kind, "config": options} for kind, options in layers]
    arrays = {"conv": [(3, 3, 3, 6), (6,)], "dense": [(6, 5), (5,)]}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": rows}})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [options["name"].encode() for _, options in layers]
        for _, options in layers:
            group, shapes = weights.create_group(options["name"]), arrays.get(options["name"], [])
            names = [f"{options['name']}/{what}:0" for what, _ in zip(("kernel", "bias"), shapes, strict=False)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, shape in zip(names, shapes, strict=True):
                group[name] = rng.standard_normal(shape).astype(np.float32)
    return path


def tflite_file(folder):
    pytest.importorskip("tflite", reason="the package tflite is not installed")
    pytest.importorskip("flatbuffers", reason="the package flatbuffers is not installed")
    from tests.interop.tflite_writer import write

    rng = np.random.default_rng(0)
    values = {
        "x": (1, SIZE, SIZE, 3), "w": rng.standard_normal((6, 3, 3, 3)).astype(np.float32),
        "b": np.zeros(6, np.float32), "c": (1, 10, 10, 6), "axes": np.array([1, 2], np.int32), "m": (1, 6),
        "wf": rng.standard_normal((5, 6)).astype(np.float32), "bf": np.zeros(5, np.float32), "f": (1, 5), "y": (1, 5),
    }  # fmt: skip
    nodes = [
        ("CONV_2D", ["x", "w", "b"], ["c"], "Conv2DOptions",
         {"StrideW": 1, "StrideH": 1, "Padding": 1, "FusedActivationFunction": 1}),
        ("MEAN", ["c", "axes"], ["m"], "ReducerOptions", {"KeepDims": False}),
        ("FULLY_CONNECTED", ["m", "wf", "bf"], ["f"], "FullyConnectedOptions", {}),
        ("SOFTMAX", ["f"], ["y"], "SoftmaxOptions", {"Beta": 1.0}),
    ]  # fmt: skip
    return write(folder / "net.tflite", values, nodes, ["x"], ["y"])


@pytest.mark.parametrize(
    ("make", "freeze"), [(onnx_file, "all"), (onnx_file, "none"), (keras_file, "all"), (tflite_file, "none")]
)
def test_a_run_learns_on_the_file_s_features_and_predicts(photos, tmp_path, make, freeze, capsys):
    path, run = make(tmp_path), tmp_path / "run"
    more = [] if freeze == "all" else ["--freeze", "none", "--epochs", "3"]
    command = ["transfer", str(photos), "--model", str(path), "--pixels", "signed", "--run", str(run), "--views", "1"]
    assert main([*command, "--head-epochs" if more else "--epochs", "3", *more]) == 0
    told = capsys.readouterr()
    assert "6 features -> 2 classes" in told.err
    kept = shutil.move(path, tmp_path / f"elsewhere{path.suffix}")  # the run stands on its own feet
    network = train.load_network(run)
    assert network.classes == ["blue", "red"]
    assert network.model.fc.weight.shape == (2, 6)
    pictures = [np.asarray(Image.open(p)) for name in ("blue", "red") for p in sorted((photos / name).iterdir())]
    x = tv.tensor(np.stack([network.preprocessing.transform()(p) for p in pictures]))
    old = without_head(READERS[path.suffix](kept))[0].eval()
    with tv.no_grad():
        assert np.array_equal(network.model.body(x).numpy(), old(x).numpy()) == (freeze == "all")
        scores = network.model.fc(pooled(network.model.body(x))).numpy()
    answers = np.argmax(network.probabilities(pictures), axis=1)
    np.testing.assert_array_equal(answers, scores.argmax(axis=1))
    assert main(["predict", str(photos / "red" / "0.png"), "--model", str(run)]) == 0
    said = capsys.readouterr().out
    assert network.classes[answers[8]] in said


def test_a_file_that_says_how_it_sees_pictures_needs_no_pixels_and_a_run_goes_on(photos, tmp_path, capsys):
    prepared = train.preprocessing.Preprocessing(3, (SIZE, SIZE), (0.5,) * 3, (0.5,) * 3)
    model = nn.Sequential(*body(), nn.Flatten(), nn.Linear(6, 5)).eval()
    words = {"preprocessing": json.dumps(prepared.as_dict())}
    export(model, np.zeros((1, 3, SIZE, SIZE), np.float32), tmp_path / "says.onnx", metadata=words)
    settings = train.TransferSettings(model=str(tmp_path / "says.onnx"), head_epochs=2, views=0)
    first = train.fine_tune(photos, tmp_path / "run", settings, log=None)
    (tmp_path / "says.onnx").unlink()
    again = train.fine_tune(photos, tmp_path / "run", settings, resume=True, log=None)
    assert again.checkpoint.read_bytes() == first.checkpoint.read_bytes()
    silent = onnx_file(tmp_path)
    assert main(["transfer", str(photos), "--model", str(silent), "--run", str(tmp_path / "other")]) != 0
    assert "the file does not say how pictures become its input" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_checkpoint_needs_its_own_file(photos, tmp_path):
    settings = train.TransferSettings(model=str(onnx_file(tmp_path)), pixels="unit", head_epochs=1, views=0)
    train.fine_tune(photos, tmp_path / "run", settings, log=None)
    (tmp_path / "run" / "body.onnx").write_bytes(b"another")
    with pytest.raises(CheckpointError, match="is not the one with which it was trained"):
        train.load_network(tmp_path / "run")
    (tmp_path / "run" / "body.onnx").unlink()
    with pytest.raises(CheckpointError, match="must lie beside the checkpoint"):
        train.load_network(tmp_path / "run")


def test_a_1x1_convolution_is_a_head_and_its_places_are_averaged(tmp_path):
    layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    cut, head = without_head(READERS[".onnx"](written(tmp_path / "net.onnx", *layers)))
    assert (head.kind, head.pooled) == ("Conv", True)
    x = tv.randn(2, 3, SIZE, SIZE)
    assert cut.eval()(x).shape == (2, 6, 10, 10)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda: [*body(), nn.Flatten()], "no head is found.*behind the last layer with weights stands .*Relu"),
        (lambda: [*body(), nn.Flatten(), nn.Linear(6, 5), nn.ReLU()], "stands .*Relu"),
        (lambda: [nn.Conv2d(3, 2, SIZE), nn.Flatten()], "and no 1x1 convolution"),
        (lambda: [nn.Conv2d(3, 2, 3), nn.Conv2d(2, 2, 1), nn.Flatten()], "and not features"),
        (lambda: [nn.Flatten()], "no head is found"),
    ],
)
def test_where_no_head_is_found_one_sentence_says_so(photos, tmp_path, layers, message):
    path = written(tmp_path / "net.onnx", *layers())
    with pytest.raises(OptionError, match=message):
        train.fine_tune(photos, tmp_path / "run", train.TransferSettings(model=str(path), pixels="unit"), log=None)
    assert not (tmp_path / "run").exists()


def test_settings_that_do_not_go_with_a_file(photos):
    for options, message in (
        ({"model": "a.onnx", "weights": "b.pth"}, "weights go with the name of a network"),
        ({"model": "a.onnx", "freeze": "stem", "epochs": 1}, "which layers of a file are its first"),
        ({"model": "resnet18", "pixels": "unit"}, "--pixels is for networks in files"),
        ({"model": "model.json"}, "save the network as .keras"),
    ):
        with pytest.raises(OptionError, match=message):
            train.TransferSettings(**options)


def test_timm_s_safetensors_with_its_config(photos, tmp_path):
    folder, model = tmp_path / "timm", models.squeezenet1_1(weights=None, num_classes=7)
    folder.mkdir()
    path = folder / "model.safetensors"
    save({name: value.numpy() for name, value in model.state_dict().items()}, path)
    config = {"input_size": [3, 32, 32], "crop_pct": 0.8, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [1] * 3}
    said = {"architecture": "squeezenet1_1", "pretrained_cfg": config}
    (folder / "config.json").write_text(json.dumps(said))
    settings = train.TransferSettings(model=str(path), head_epochs=1, views=0)
    train.fine_tune(photos, tmp_path / "run", settings, log=None)
    network = train.load_network(tmp_path / "run")
    assert (network.preprocessing.shorter, network.preprocessing.interpolation) == (40, "bicubic")
    kept = network.model.state_dict()["features.0.weight"].numpy()
    np.testing.assert_array_equal(kept, model.state_dict()["features.0.weight"].numpy())
    (folder / "config.json").unlink()
    with pytest.raises(OptionError, match="nothing says which network this is"):
        train.fine_tune(photos, tmp_path / "run2", settings, log=None)
    named = shutil.copy(path, folder / "squeezenet1_1.tv_in1k.safetensors")
    with pytest.raises(CheckpointError, match="--pixels imagenet:224"):
        train.fine_tune(photos, tmp_path / "run2", train.TransferSettings(model=str(named)), log=None)
