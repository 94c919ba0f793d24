"""How pictures become what a network sees: the same in training, in testing, and for a photo years later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..data import transforms
from ..errors import CheckpointError, OptionError

LARGEST_SIDE = 8192  # pixels; nobody trains on more, and a damaged note must not ask for all memory


@dataclass(frozen=True)
class Preprocessing:
    """The way from a uint8 picture (H, W, C) to a network's input (C, H, W).

    channels   1 or 3; other pictures are converted
    size       (height, width) that the network gets
    shorter    the shorter side is first scaled to this length, then the centre is cut out; None: the picture
               is scaled to `size` whatever its proportions, or left alone if it has that size
    mean, std  per channel, of pixels scaled to 0 to 1
    interpolation  "bilinear" or "bicubic" """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter: int | None = None
    interpolation: str = "bilinear"

    def transform(self, augment: Sequence[Any] = (), resize: bool = True) -> transforms.Compose:
        """The transforms as one; `augment` come before the conversion to numbers, in place of `resize` if
        that is False."""
        steps: list[Any] = []
        if resize and self.shorter is not None:
            steps += [transforms.Resize(self.shorter, self.interpolation), transforms.CenterCrop(self.size)]
        elif resize:
            steps.append(ToSize(self.size, self.interpolation))
        steps += [*augment, Channels(self.channels), transforms.ToTensor()]
        return transforms.Compose([*steps, transforms.Normalize(self.mean, self.std)])

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, notes: Any) -> Preprocessing:
        """From a checkpoint. Raises CheckpointError if the notes make no sense."""
        try:
            values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in notes.items()}
            made = cls(**values)
            sizes = [
                made.channels,
                *made.size,
                *([] if made.shorter is None else [made.shorter]),
            ]
            if made.channels not in (1, 3) or len(made.size) != 2 or any(type(n) is not int for n in sizes):
                raise ValueError(f"channels {made.channels!r}, size {made.size!r}")
            if not all(0 < n <= LARGEST_SIDE for n in sizes) or len(made.mean) != len(made.std):
                raise ValueError(f"size {made.size!r}, mean {made.mean!r}, std {made.std!r}")
            made.transform()
        except (TypeError, ValueError, AttributeError, OptionError) as error:
            raise CheckpointError(f"the notes on the network's input are damaged: {str(error)[:120]}") from None
        return made


class ToSize(transforms.Transform):
    """Scale a picture to (height, width); what has that size already is handed on untouched, batches included."""

    elementwise = True

    def __init__(self, size: tuple[int, int], interpolation: str = "bilinear") -> None:
        self.size, self._resize = tuple(size), transforms.Resize(size, interpolation)

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """The picture at its new size."""
        if image.shape[-3:-1] == self.size:
            return image
        return np.stack([self._resize(one) for one in image]) if image.ndim == 4 else self._resize(image)


class Channels(transforms.Transform):
    """A uint8 picture (H, W, C), or a batch of them, with 1 or 3 channels: brightness, or three equal channels."""

    elementwise = True

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """The picture with the channels asked for."""
        if image.shape[-1] == self.channels:
            return image
        if image.shape[-1] == 1:
            return np.repeat(image, 3, axis=-1)
        return (image[..., :3] @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)[..., None]
