"""torchvision's place for what is in `tinyvision.models`."""

from typing import TYPE_CHECKING

from ...missing import missing
from ...models import *
from ...places import hand_on, stand_for
from . import _utils, feature_extraction

hand_on(
    __name__, "tinyvision.models", "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception",
    "mobilenetv2", "mobilenetv3", "resnet", "shufflenetv2", "squeezenet", "vgg",
)  # fmt: skip
stand_for(__name__, "mobilenet")

if not TYPE_CHECKING:
    __getattr__ = missing("torchvision.models", globals())
