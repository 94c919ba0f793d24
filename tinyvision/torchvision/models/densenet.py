"""torchvision's place for what is in `tinyvision.models.densenet`."""

from ...models.densenet import *
