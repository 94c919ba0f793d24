"""torchvision's place for what is in `tinyvision.models.vgg`."""

from ...models.vgg import *
