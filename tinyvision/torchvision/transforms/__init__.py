"""torchvision's place for what is in `tinyvision.data.transforms`."""

from ...data.transforms import *
