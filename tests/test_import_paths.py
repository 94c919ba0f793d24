"""The import lines of PyTorch's scripts work with tinyvision's name in them, each in an interpreter of its own."""

import subprocess
import sys

import pytest

import tinyvision

LINES = {
    "import tinyvision.nn as nn": "nn.Linear",
    "import tinyvision.nn.functional as F": "F.relu",
    "from tinyvision.nn import functional as F": "F.relu",
    "import tinyvision.nn.init as init": "init.kaiming_uniform_",
    "import tinyvision.nn.utils": "tinyvision.nn.utils.clip_grad_norm_",
    "from tinyvision.nn.utils import clip_grad_norm_, clip_grad_value_": "clip_grad_value_",
    "import tinyvision.optim as optim": "optim.SGD",
    "from tinyvision.optim.lr_scheduler import StepLR": "StepLR",
    "import tinyvision.utils.data as data": "data.DataLoader",
    "import tinyvision.utils.data": "tinyvision.utils.data.TensorDataset",
    "from tinyvision import utils": "utils.data.Subset",
    "from tinyvision.utils import data": "data.random_split",
    "from tinyvision.utils.data import DataLoader, Dataset, TensorDataset, Subset, random_split": "TensorDataset",
    "from tinyvision.utils.data import default_collate": "default_collate",
    "import tinyvision.backends.cudnn as cudnn": "cudnn.is_available",
    "from tinyvision.cuda.amp import GradScaler, autocast": "GradScaler, autocast",
    "from tinyvision.nn.modules import Module, Sequential": "Module, Sequential",
    "from tinyvision.nn.modules.container import Sequential": "Sequential",
    "from tinyvision.utils.checkpoint import checkpoint, checkpoint_sequential": "checkpoint",
    "from tinyvision.optim.optimizer import Optimizer, required": "Optimizer",
    "import tinyvision.multiprocessing as mp": "mp.__getattr__",
    "import tinyvision.utils.model_zoo as model_zoo": "model_zoo.load_url",
    "from tinyvision.functional import F, einsum": "F.relu",
    "from tinyvision.nn.utils import spectral_norm, weight_norm": "weight_norm",
    "from tinyvision.nn.utils.parametrizations import spectral_norm": "spectral_norm",
    "import tinyvision.nn.utils.parametrize as parametrize": "parametrize.register_parametrization",
    "from tinyvision.optim.swa_utils import SWALR, AveragedModel, update_bn": "AveragedModel",
    "from tinyvision.utils.tensorboard import SummaryWriter": "SummaryWriter",
    "from tinyvision.hub import load_state_dict_from_url": "load_state_dict_from_url",
    "from tinyvision import torchvision": "torchvision.models.resnet18, torchvision.ops.nms",
    "import tinyvision.torchvision as torchvision": "torchvision.datasets.MNIST, torchvision.transforms.Compose",
    "import tinyvision.torchvision.transforms as transforms": "transforms.ToTensor",
    "import tinyvision.torchvision.models as models": "models.ResNet18_Weights, models.vgg16",
    "from tinyvision.torchvision import datasets, models, transforms, utils": "utils.save_image",
    "from tinyvision.torchvision.utils import make_grid, save_image": "make_grid",
    "from tinyvision.torchvision.ops import box_iou, nms": "nms",
    "from tinyvision.torchvision.models import resnet18, ResNet18_Weights": "resnet18",
    "from tinyvision.torchvision.models.resnet import BasicBlock, Bottleneck": "Bottleneck",
    "import tinyvision": "tinyvision.utils.data.DataLoader, tinyvision.nn.utils.clip_grad_norm_",
}


@pytest.mark.parametrize("line", LINES)
def test_import(line):
    code = f"{line}\nprint(callable(({LINES[line]},)[-1]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "True", result.stderr


def test_both_places_hold_the_same_things():
    for name in {*tinyvision.utils.data.__all__} - {"distributed"}:
        ours = getattr(tinyvision.data, "collate" if name == "default_collate" else name)
        assert getattr(tinyvision.utils.data, name) is ours
    assert tinyvision.nn.utils.clip_grad_norm_ is tinyvision.nn.clip_grad_norm_


def test_importing_tinyvision_loads_none_of_them():
    rooms = "('tinyvision.utils', 'tinyvision.nn', 'tinyvision.data', 'tinyvision.torchvision')"
    code = f"import sys, tinyvision; print(*[m for m in sys.modules if m.startswith({rooms})])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_multiprocessing_says_that_tensors_are_not_shared():
    import tinyvision.multiprocessing as mp

    with pytest.raises(AttributeError, match="not shared between processes"):
        _ = mp.reductions


def test_the_sampler_of_several_processes_is_there_as_an_attribute_too():
    assert tinyvision.utils.data.distributed.DistributedSampler is tinyvision.utils.data.DistributedSampler
