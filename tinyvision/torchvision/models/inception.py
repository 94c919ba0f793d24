"""torchvision's place for what is in `tinyvision.models.inception`."""

from ...models.inception import *
