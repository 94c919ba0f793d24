"""torchvision's place for what is in `tinyvision.models`."""

from ...models import *
