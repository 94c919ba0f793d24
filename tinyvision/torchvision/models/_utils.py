"""torchvision's place for two things of `tinyvision.models`."""

from ...models.blocks import make_divisible
from ...models.feature_extraction import IntermediateLayerGetter

_make_divisible = make_divisible

__all__ = ["IntermediateLayerGetter", "_make_divisible"]
