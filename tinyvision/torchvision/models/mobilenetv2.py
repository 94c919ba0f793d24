"""torchvision's place for what is in `tinyvision.models.mobilenetv2`."""

from ...models.mobilenetv2 import *
