"""torchvision's place for two things of `tinyvision.models`."""

from ...models.blocks import _make_divisible
from ...models.feature_extraction import IntermediateLayerGetter

__all__ = ["IntermediateLayerGetter", "_make_divisible"]
