"""Transforms made of other transforms, and those that give several images for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import OptionError
from . import functional as F
from .base import Compose, Size, checked_probability, checked_size, drawing_from, generator_for, numbers

Callables = Sequence[Callable[[Any], Any]]


class Lambda:
    """Any function of an image."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise OptionError(f"Lambda: {lambd!r} cannot be called")
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)

    def __repr__(self) -> str:
        return "Lambda()"


class _Several:
    """Base of those that have transforms to choose from; `rng`, if given, is what all of them draw from."""

    def __init__(self, transforms: Callables) -> None:
        self.transforms = Compose(transforms).transforms

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        if rng is not None:
            given = generator_for(rng)
            with drawing_from(lambda: given):
                return self(image)
        for transform in self.chosen(generator_for(None)):
            image = transform(image)
        return image

    def chosen(self, rng: np.random.Generator) -> Callables:
        """Those that are to be applied, in order."""
        raise OptionError(f"{type(self).__name__} must define chosen(rng)")

    def __repr__(self) -> str:
        inner = "".join(f"\n    {transform!r}," for transform in self.transforms)
        return f"{type(self).__name__}([{inner}\n])"


class RandomApply(_Several):
    """With probability p, all `transforms` in order."""

    def __init__(self, transforms: Callables, p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = checked_probability(p, "RandomApply")

    def chosen(self, rng: np.random.Generator) -> Callables:
        return self.transforms if rng.random() < self.p else []


class RandomChoice(_Several):
    """One of `transforms`, with probabilities in proportion to `p`, by default the same for all."""

    def __init__(self, transforms: Callables, p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        self.p = None if p is None else numbers(p, "RandomChoice: p")
        shares = [1.0] * len(self.transforms) if self.p is None else list(self.p)
        if len(shares) != len(self.transforms) or not all(0 <= s < np.inf for s in shares) or not sum(shares) > 0:
            raise OptionError(f"RandomChoice: p must be {len(self.transforms)} numbers from 0, got {p!r}")
        self._shares = np.asarray(shares) / sum(shares)

    def chosen(self, rng: np.random.Generator) -> Callables:
        return [self.transforms[rng.choice(len(self.transforms), p=self._shares)]]


class RandomOrder(_Several):
    """All `transforms`, in any order."""

    def chosen(self, rng: np.random.Generator) -> Callables:
        return [self.transforms[i] for i in rng.permutation(len(self.transforms))]


class FiveCrop:
    """(top left, top right, bottom left, bottom right, centre), each of `size`."""

    def __init__(self, size: Size) -> None:
        self.size = checked_size(size, "FiveCrop")

    def __call__(self, image: Any) -> tuple[Any, ...]:
        return F.five_crop(image, self.size)

    def __repr__(self) -> str:
        return f"FiveCrop(size={self.size})"


class TenCrop:
    """FiveCrop of the image and of its mirror image, or of the one upside down."""

    def __init__(self, size: Size, vertical_flip: bool = False) -> None:
        self.size, self.vertical_flip = checked_size(size, "TenCrop"), vertical_flip

    def __call__(self, image: Any) -> tuple[Any, ...]:
        return F.ten_crop(image, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"TenCrop(size={self.size}, vertical_flip={self.vertical_flip})"
