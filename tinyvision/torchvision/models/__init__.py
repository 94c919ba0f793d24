"""torchvision's place for what is in `tinyvision.models`."""

import sys
from typing import TYPE_CHECKING

from ...missing import missing
from ...models import *
from ...models import get_model_weights, list_models
from ...places import hand_on, stand_for
from . import _utils, feature_extraction

_FILES = (
    "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "mobilenetv2", "mobilenetv3",
    "resnet", "shufflenetv2", "squeezenet", "vgg",
)  # fmt: skip

hand_on(__name__, "tinyvision.models", *_FILES)
stand_for(__name__, "mobilenet")


def _complete(file: str) -> None:
    """Have in a network's file what torchvision's has besides: the weights, and a reason for what there is not."""
    module = sys.modules[f"{__name__}.{file}"]
    names = vars(module)
    for name in list_models(module):
        weights = get_model_weights(name)
        names.setdefault(weights.__name__, weights)
    if "make_divisible" in names:
        names.setdefault("_make_divisible", names["make_divisible"])
    own = [name for name, value in names.items() if getattr(value, "__module__", "").startswith("tinyvision.models")]
    names.setdefault("__getattr__", missing(f"torchvision.models.{file}", own))


if not TYPE_CHECKING:
    for _file in _FILES:
        _complete(_file)
    __getattr__ = missing("torchvision.models", globals())
