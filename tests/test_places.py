"""Import paths of PyTorch's that are no files here: some stand for other rooms, the others say why there is nothing."""

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

import tinyvision as tv
from tinyvision.missing.module_paths import MODULES
from tinyvision.places import explain_imports

NOWHERE = {
    "func": "torch has no func here: functions are not transformed.*autograd.grad",
    "nn.attention": "torch.nn has no attention here.*convolutional",
    "nn.utils.rnn": "torch.nn.utils has no rnn here: recurrent layers",
    "jit.mobile": "models are not compiled",  # tinyvision.jit is a file, not a folder
    "cuda.nvtx": "belong to CuPy",
    "backends.openmp": "two devices",
    "distributed.fsdp": "started by MPI",
    "autograd.forward_ad": "not transformed",
    "distributions.beta": "torch.distributions has no beta here: it is not built$",
    "serialization": "without running what is in it",
    "ao": "quantised",
    "_six": "instead: math.inf",
    "utils.benchmark": "timeit",
    "torchvision.io.image": "PILToTensor",  # the room's own reason
    "torchvision.datasets.coco": "no reader",
    "torchvision.models.detection": "CentreDetector",
    "torchvision.models.vision_transformer": "convolutional",
    "torchvision.tv_tensors": "pictures alone",
}
ROOMS = {  # PyTorch's file, and what is asked of it
    "optim.sparse_adam": "SparseAdam",
    "nn.modules.rnn": "LSTM",
    "nn.modules.transformer": "TransformerEncoder",
    "torchvision.transforms.autoaugment": "AutoAugment",
}


@pytest.mark.parametrize("path", NOWHERE)
def test_an_import_says_why_it_leads_nowhere(path):
    with pytest.raises(ModuleNotFoundError, match=NOWHERE[path]) as caught:
        importlib.import_module(f"tinyvision.{path}")
    assert caught.value.name == f"tinyvision.{path}"
    room, _, file = f"tinyvision.{path}".rpartition(".")
    with pytest.raises(ImportError, match=NOWHERE[path]):
        exec(f"from {room} import {file}", {})
    assert not hasattr(importlib.import_module(room), file)


def test_a_script_may_try():
    code = "try:\n    import tinyvision.func as func\nexcept ImportError:\n    func = None"
    names = {}
    exec(code, names)
    assert names["func"] is None


@pytest.mark.parametrize("path", ROOMS)
def test_a_file_of_what_is_not_here_can_be_asked(path):
    with pytest.raises(ImportError, match=f"has no {ROOMS[path]} here: "):
        exec(f"from tinyvision.{path} import {ROOMS[path]}", {})


def test_what_pytorch_does_not_have_either_is_pythons_affair():
    explain_imports()  # once more, which changes nothing
    assert [finder.__name__ for finder in sys.meta_path if isinstance(finder, type)].count("_Unbuilt") == 1
    for path in NOWHERE:  # whether there is such a module is answered by no, and not by an error
        assert importlib.util.find_spec(f"tinyvision.{path}") is None
    for path in ("tinyvision.other", "tinyvision.nn.other", "tinyvision.jit.other", "torch_other.func"):
        if "torch_other" not in path:
            assert importlib.util.find_spec(path) is None
        with pytest.raises(ModuleNotFoundError, match="No module named"):
            importlib.import_module(path)


def test_files_that_are_elsewhere_here():
    from tinyvision.utils.data._utils.collate import default_collate

    from tinyvision.autograd import profiler
    from tinyvision.torchvision.models import efficientnet

    assert default_collate is tv.data.collate is tv.utils.data._utils.collate.default_collate
    assert profiler is tv.profiler
    assert efficientnet is importlib.import_module("tinyvision.models.efficientnet")
    googlenet = importlib.import_module("tinyvision.torchvision.models.googlenet")
    assert googlenet.Inception is importlib.import_module("tinyvision.models.googlenet").Inception
    assert callable(tv.torchvision.models.alexnet)  # the network, and not the file of this name
    assert importlib.import_module("tinyvision.torchvision.models.alexnet").AlexNet is tv.models.AlexNet
    assert importlib.import_module("tinyvision.backends.mps").is_available() is False
    assert tv.version.cuda is None or "." in tv.version.cuda


def test_the_table_lists_modules_of_pytorchs():
    """Looked for on the disk, as torchvision may be there and not load."""
    of_earlier_releases = {
        *("torch._six", "torch.onnx.symbolic_registry", "torch.utils.bottleneck", "torch.utils.ffi"),
        *("torchvision.prototype", "torchvision.models.utils"),
        *("torchvision.transforms.functional_pil", "torchvision.transforms.functional_tensor"),
    }
    gone = set()
    for room, names in MODULES.items():
        found = importlib.util.find_spec(room.partition(".")[0])
        if found is None:
            pytest.skip("PyTorch is not there")
        folder = Path(found.submodule_search_locations[0]).joinpath(*room.split(".")[1:])
        for name in names.split():
            if importlib.machinery.PathFinder.find_spec(name, [str(folder)]) is None:
                gone.add(f"{room}.{name}")
    assert gone <= of_earlier_releases
