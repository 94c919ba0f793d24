"""torchvision's place for what is in `tinyvision.models`."""

from typing import TYPE_CHECKING

from ...missing import missing
from ...models import *

if not TYPE_CHECKING:
    __getattr__ = missing("torchvision.models", globals())
