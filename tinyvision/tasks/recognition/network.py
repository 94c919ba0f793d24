"""The network of recognition: a body whose output is compared, and a head that only the loss sees."""

from __future__ import annotations

from ... import nn
from ...errors import OptionError
from ...ops.checks import is_integer
from ...tensors.creation import randn
from ...tensors.tensor import Tensor


class Embedder(nn.Module):
    """Pictures (N, C, H, W)  ->  embeddings (N, E) of length 1, whose products are cosines.

    body     conv 3×3 → batch-norm → ReLU, twice, → max-pool → once more with twice the channels: the embedding is
             all of it, so places count
    head     once more → max-pool → linear: what the loss is made of. It takes on what is special to the classes of
             training, so that the body keeps what holds for others as well; afterwards nobody needs it
    centres  (classes, projection), the directions of the classes that are learned from, for ArcFace

    Raises OptionError for sizes that make no sense."""

    def __init__(
        self, in_channels: int = 1, classes: int = 6, image_size: int = 8, width: int = 24, projection: int = 64
    ) -> None:
        sizes = {"in_channels": in_channels, "classes": classes, "image_size": image_size}
        sizes |= {"width": width, "projection": projection}
        if bad := [name for name, n in sizes.items() if not is_integer(n) or n < 1]:
            raise OptionError(f"Embedder: {', '.join(bad)} must be positive whole numbers")
        if image_size < 4:
            raise OptionError(f"Embedder: pictures have at least 4 pixels a side, for two poolings; got {image_size}")
        side = image_size // 2 // 2
        self.body = nn.Sequential(
            *_block(in_channels, width), *_block(width, width), nn.MaxPool2d(2), *_block(width, 2 * width)
        )
        self.head = nn.Sequential(
            *_block(2 * width, 2 * width), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * width * side * side, projection)
        )
        self.centres = nn.Parameter(randn(classes, projection))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (N, E)."""
        return nn.functional.normalize(self.body(x).flatten(1))

    def projected(self, x: Tensor) -> Tensor:
        """What training compares: directions (N, projection) of length 1."""
        return nn.functional.normalize(self.head(self.body(x)))

    def cosines(self, x: Tensor) -> Tensor:
        """How close the projections of pictures are to the centres of the classes  ->  (N, classes), -1 to 1."""
        return nn.functional.linear(self.projected(x), nn.functional.normalize(self.centres))


def _block(channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()]
