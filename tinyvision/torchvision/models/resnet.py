"""torchvision's place for what is in `tinyvision.models.resnet`."""

from ...models.resnet import *
