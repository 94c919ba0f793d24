"""Networks, with torchvision's names for models and parameters: `import tinyvision.models as models`."""

from functools import cache
from importlib.resources import files

from .cnn import SimpleCNN
from .efficientnet import EfficientNetLite0, efficientnet_lite0
from .resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet34, resnet50

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "EfficientNetLite0",
    "ResNet",
    "SimpleCNN",
    "efficientnet_lite0",
    "imagenet_classes",
    "resnet18",
    "resnet34",
    "resnet50",
]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of the scores."""
    return tuple(files(__package__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
