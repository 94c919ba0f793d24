"""What is said of names that PyTorch has and this has not: why, and what there is instead."""

import copy
import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.missing import MissingName, missing, reasons
from tinyvision.nn.absent import NAMES, is_absent

SAID = {
    "nn.TransformerEncoder": "convolutional",
    "nn.AvgPool3d": "volumes and videos.*instead: nn.AvgPool2d",
    "nn.LazyLinear": "made with their sizes.*in_features",
    "nn.Conv2D": r"did you mean Conv2d\?",
    "nn.functional.conv3d": "volumes",
    "torchvision.ops.deform_conv2d": "numbers that a network learns",
    "nn.functional.rellu": r"did you mean relu\?",
    "nn.init.orthogonal": "orthogonal_",
    "nn.utils.parametrizations.orthogonal": "factorising.*instead: nn.init.orthogonal_",
    "nn.utils.prune": "not masked here",
    "optim.Rprop": "full batches; instead: RMSprop",
    "optim.SparseAdam": "sparse",
    "optim.Muon": "language models",
    "optim.Adma": r"there are Adadelta, .*did you mean Ada",
    "optim.lr_scheduler.StepLr": r"did you mean StepLR\?",
    "utils.data.IterDataPipe": "DataLoader",
    "torchvision.transforms.Compos": r"did you mean Compose\?",
    "torchvision.transforms.Scale": "instead: Resize",  # as torchvision called it until 0.13
    "torchvision.datasets.Kinetics": "videos",
    "torchvision.models.vit_b_16": "convolutional",
    "torchvision.ops.roi_align": "two stages",
    "torchvision.utils.flow_to_image": "optical flow",
    "jit.trace": "models are not compiled",
    "hub.download_url_to_file": "urlretrieve",
    "nn.modules.utils.consume_prefix_in_state_dict_if_present": "load_state_dict, which takes",
    "fft.fft2": "complex",
    "sparse.mm": "sparse",
    "profiler.profile": "cProfile",
    "complex64": "complex",
    "svd": "np.linalg",
    "conv2d_": r"did you mean",
    "linalg.svd": "np.linalg",
    "cuda.Stream": "CuPy",
    "onnx.dynamo_export": "torch.onnx has no dynamo_export",
    "accelerator.graphs": "torch.accelerator has no graphs here: it is not built",
}


def attribute(path):
    value = tv
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("path", SAID)
def test_the_reason_or_the_nearest_name(path):
    with pytest.raises(AttributeError, match=SAID[path]):
        attribute(path)
    room, _, name = path.rpartition(".")
    assert not hasattr(attribute(room) if room else tv, name)
    # The same to an import, for which Python's own error would hide it.
    module = f"tinyvision.{room}" if room else "tinyvision"
    importlib.import_module(module)
    code = compile(f"from {module} import {name}", "script", "exec")
    with pytest.raises(ImportError, match=SAID[path]):
        exec(code, {})


def test_the_spelling_of_one_hot_labels_by_way_of_torch_sparse():
    assert tv.sparse.torch.eye(3).index_select(0, tv.tensor([1])).tolist() == [[0, 1, 0]]


def test_an_import_of_a_submodule_is_none_of_its_business():
    code = "from tinyvision import models, nn; from tinyvision.nn import layers, init; print(layers.__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["tinyvision.nn.layers"], result.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("svd", "Tensor has no svd here: matrices"),
        ("to_sparse", "sparse"),
        ("reshap", r"did you mean reshape\?"),
        ("backwards", r"did you mean backward\?"),
        ("cfloat", "complex"),
    ],
)
def test_a_tensor(name, said):
    x = tv.ones(2)
    assert not hasattr(x, name)
    with pytest.raises(AttributeError, match=said):
        getattr(x, name)
    with pytest.raises(AttributeError):
        getattr(tv.nn.Parameter(np.ones(2)), name)


def test_a_tensor_is_copied_kept_and_read_by_numpy_as_ever():
    x = tv.ones(2, 3)
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        np.testing.assert_array_equal(np.asarray(twin), np.ones((2, 3)))
    assert getattr(x, "missing", 7) == 7
    bare = tv.Tensor.__new__(tv.Tensor)  # as a copy is before it is filled
    with pytest.raises(AttributeError):
        bare.array  # noqa: B018


def test_a_property_that_fails_speaks_for_itself():
    class Odd(tv.Tensor):
        @property
        def mean_of_rows(self):
            return self.array.no_such_thing

    with pytest.raises(AttributeError, match="no attribute 'no_such_thing'"):
        Odd(np.ones(2)).mean_of_rows  # noqa: B018


def test_asking_is_quick_because_the_sentence_is_made_when_read(monkeypatch):
    monkeypatch.setattr(reasons, "reason", lambda *_: pytest.fail("nobody read it"))
    for _ in range(100):
        assert not hasattr(tv.ones(1), "lstm")
        assert not hasattr(tv.nn, "Transformer")
    with pytest.raises(MissingName) as caught:
        tv.ones(1).lstm  # noqa: B018
    assert caught.value.args[2] is tv.Tensor  # its names are listed when the sentence is read


def test_layers_that_are_not_built_are_classes_that_no_module_is_of():
    """Functions that initialise any network ask for them, and none is of one of them here."""
    from tinyvision.nn import LSTM, Conv3d

    kinds = tuple(getattr(tv.nn, name) for name in sorted(NAMES))
    for layer in (tv.nn.Conv2d(1, 1, 1), tv.nn.BatchNorm2d(1), tv.nn.Linear(1, 1), tv.nn.Sequential()):
        assert not isinstance(layer, (Conv3d, LSTM, *kinds))
    for kind in kinds:
        with pytest.raises(MissingName, match=f"^torch.nn has no {kind.__name__} here[:;] "):
            kind(3, 4, 3)
    with pytest.raises(MissingName, match="recurrent layers are for sequences"):
        type("Mine", (LSTM,), {})(2, input_size=3)
    assert not {*NAMES} & {*dir(tv.nn), *tv.nn.__all__}
    assert Conv3d is tv.nn.Conv3d


def test_reasons_of_a_modules_own_come_first():
    ask = missing("torch.attic", ["desk"], {"LSTM": "the roof leaks"})
    with pytest.raises(MissingName, match=r"^torch.attic has no LSTM here: the roof leaks$"):
        ask("LSTM")
    with pytest.raises(MissingName, match=r"there are desk; did you mean desk\?"):
        ask("dessk")


def test_what_stands_in_the_tables_can_be_met():
    """No remedy for a name that is here, and none that names what is not."""
    rooms = [tv, tv.nn, tv.nn.functional, tv.nn.init, tv.optim]
    for name, remedy in reasons.INSTEAD.items():
        found = [room.__name__ for room in rooms if hasattr(room, name) and not is_absent(getattr(room, name))]
        assert not found, name
        for word in remedy.replace(",", " ").replace(";", " ").split():
            dotted = word.split("(")[0].rstrip(".").removeprefix("torch.")
            if dotted.startswith("nn.") or (word.startswith("torch.") and "." in word):
                attribute(dotted)
