"""What all transforms share: their base class, `Compose`, the source of random numbers, the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any

import numpy as np

from ... import random
from ...arrays import full_name, plain
from ...device import to_numpy
from ...errors import DtypeError, OptionError, ShapeError
from ...ops.checks import is_integer, is_number
from ...tape import Variable
from ...tensors.tensor import Tensor

Size = int | Sequence[int]

WIDE_MODES = "I", "F", "I;16"  # Pillow's images of one band whose pixels are no bytes

_sample_stream: ContextVar[Any] = ContextVar("tinyvision_sample_stream", default=None)


@contextmanager
def drawing_from(make_generator: Callable[[], np.random.Generator]) -> Iterator[None]:
    """For the length of a `with` block, in this thread: random transforms draw from `make_generator()`.

    It is called at the first draw, so a block in which nothing is random costs next to nothing."""
    made: list[np.random.Generator] = []

    def generator() -> np.random.Generator:
        if not made:
            made.append(make_generator())
        return made[0]

    token = _sample_stream.set(generator)
    try:
        yield
    finally:
        _sample_stream.reset(token)


def generator_for(rng: np.random.Generator | None) -> np.random.Generator:
    """The generator a transform draws from: the one given, else the sample's own, else the one in force."""
    if rng is not None:
        if not isinstance(rng, np.random.Generator):
            what = "a transform takes one image, and as second argument the NumPy Generator to draw from"
            raise OptionError(f"{what}, got {full_name(rng)}")
        return rng
    sample = _sample_stream.get()
    return random.generator() if sample is None else sample()


class Transform:
    """Base of the transforms: shows its settings, checks its image, gives back the kind that it was given.

    An image is a Pillow image, a uint8 array (H, W, C) or (H, W), or a Tensor (C, H, W); a floating-point array is
    (C, H, W) too. `apply` sees uint8 arrays (H, W, C) and floating-point arrays (C, H, W).

    elementwise   whether a batch (N, ...) may be passed in place of one image, with the same result
    moves         whether it only moves pixels, so that all pictures of a Tensor (..., C, H, W) can be moved alike, and
                  numbers of any dtype, such as labels"""

    elementwise = False
    moves = False

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        """The transformed image; `image` itself is left as it is. `rng` matters to random transforms only."""
        if rng is not None:
            generator_for(rng)
        if is_pillow(image):
            return self.of_pillow(image, rng)
        if isinstance(image, Variable):
            return self.of_tensor(image, rng)
        return self.apply(self._checked(image), rng)

    def of_pillow(self, image: Any, rng: np.random.Generator | None) -> Any:
        """What the transform does to a Pillow image; for those in which Pillow's arithmetic is another one."""
        if self.moves and image.mode in WIDE_MODES:
            from PIL import Image

            return Image.fromarray(self.apply(np.asarray(image)[None], rng)[0])
        return as_pillow(self._for(image.mode).apply(pillow_pixels(image, self._title()), rng), image)

    def of_tensor(self, image: Variable, rng: np.random.Generator | None) -> Tensor:
        """What the transform does to a Tensor; for those in which the arithmetic of tensors is another one."""
        array = to_numpy(image)
        before = array.shape[:-3]
        if self.moves and before:
            array = array.reshape(-1, *array.shape[-2:])
        if array.dtype != np.uint8:
            made = self.apply(self._checked(array, any_dtype=self.moves), rng)
        else:
            pixels = self._checked(np.moveaxis(array, -3, -1) if array.ndim > 2 else array)
            made = np.ascontiguousarray(np.moveaxis(self.apply(pixels, rng), -1, -3))
        return Tensor.of(made.reshape(*before, -1, *made.shape[-2:]) if self.moves and before else made)

    def _checked(self, image: Any, any_dtype: bool = False) -> np.ndarray:
        array = checked_image(image, self._title(), any_dtype)
        if array.ndim != 3 and not self.elementwise:
            raise ShapeError(f"{self._title()}: expected one image of three axes, got {told(array)}")
        return array

    def _title(self) -> str:
        """What an error message calls it."""
        return type(self).__name__

    def _for(self, mode: str) -> Transform:
        """This transform for a Pillow image of a mode: between the entries of a palette there is nothing, and what is
        not black in an image of two colours is white."""
        changes: dict[str, Any] = {}
        if mode in ("1", "P") and getattr(self, "interpolation", "nearest") != "nearest":
            changes["interpolation"] = "nearest"
        if mode == "1" and np.any(getattr(self, "fill", 0)):
            changes["fill"] = 255
        if not changes:
            return self
        other = copy(self)
        vars(other).update(changes)
        return other

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """What a transform does to an image that has been checked."""
        raise OptionError(f"{type(self).__name__} must define apply(image, rng)")

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({settings})"


class Compose:
    """One transform after another: `Compose([Resize(256), CenterCrop(224), ToTensor()])`; any callables
    will do."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        try:
            self.transforms = list(transforms)
        except TypeError:
            raise OptionError(
                f"Compose: expected a list of transforms, got a {type(transforms).__name__}; write Compose([...])"
            ) from None
        for transform in self.transforms:
            if not callable(transform):
                raise OptionError(f"Compose: {transform!r} cannot be called")

    @property
    def elementwise(self) -> bool:
        """Whether a batch may be passed in place of one image."""
        return all(getattr(transform, "elementwise", False) for transform in self.transforms)

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        """`image` after all transforms; `rng`, if given, is what all random ones draw from."""
        if rng is not None:
            given = generator_for(rng)
            with drawing_from(lambda: given):
                return self(image)
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        inner = "".join(f"\n    {transform!r}," for transform in self.transforms)
        return f"Compose([{inner}\n])" if inner else "Compose([])"


def is_pillow(image: Any) -> bool:
    """Whether it is a Pillow image (Pillow need not be there to say no)."""
    return hasattr(image, "__array_interface__") and hasattr(image, "mode") and hasattr(image, "getbands")


def pillow_pixels(image: Any, name: str) -> np.ndarray:
    """A Pillow image of 8 bits a band as uint8 (H, W, C). Raises DtypeError for other modes."""
    pixels = np.asarray(image)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype != np.uint8:
        raise DtypeError(f"{name}: a Pillow image of mode {image.mode!r} is not of 8 bits; convert it first")
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def as_pillow(pixels: np.ndarray, model: Any) -> Any:
    """uint8 (H, W, C) as a Pillow image of the mode of `model` if that has as many bands, else of L, RGB or RGBA."""
    from PIL import Image

    bands = pixels.shape[2]
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if bands == 1 else pixels))
    if len(model.getbands()) != bands or model.mode == image.mode:
        return image
    if model.mode == "1":
        return image.convert("1")
    image = Image.frombytes(model.mode, image.size, image.tobytes())
    if model.mode == "P":
        image.putpalette(model.getpalette())
    return image


def checked_image(image: Any, name: str, any_dtype: bool = False) -> np.ndarray:
    """`image` as an array of one of the two kinds, or, with `any_dtype`, of the second with whatever numbers.

    Raises DtypeError, ShapeError."""
    if not isinstance(image, np.ndarray):
        raise DtypeError(f"{name}: expected a Pillow image, a Tensor or a NumPy array, got {type(image).__name__}")
    image = plain(name, "the image", image)
    if image.dtype != np.uint8 and image.dtype.kind != "f" and not any_dtype:
        raise DtypeError(f"{name}: expected uint8 pixels or floating-point numbers, got {told(image)}")
    if image.ndim == 2 and image.dtype == np.uint8:
        image = image[:, :, None]
    if 0 in image.shape:
        raise ShapeError(f"{name}: the image has no pixels: {told(image)}")
    return image


def told(image: np.ndarray) -> str:
    """An image in an error message: its dtype and its shape."""
    return f"{image.dtype} {image.shape}"


def checked_size(size: Size, name: str, shorter: bool = False) -> Any:
    """`size` as (height, width), or as an integer where that means the shorter side."""
    sides: list[Any] = [size] if is_integer(size) else list(size) if isinstance(size, Sequence) else []
    good = all(is_integer(s) and 0 < s < 1 << 20 for s in sides)
    if len(sides) not in (1, 2) or not good:
        raise OptionError(f"{name}: size must be a positive integer or (height, width), got {size!r}")
    if len(sides) == 1 and shorter:
        return int(sides[0])
    return int(sides[0]), int(sides[-1])


def checked_border(padding: Size, name: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) out of 1, 2 or 4 numbers."""
    sides: list[Any] = list(padding) if isinstance(padding, (tuple, list)) else [padding]
    good = all(is_integer(s) and s >= 0 for s in sides)
    if len(sides) not in (1, 2, 4) or not good:
        raise OptionError(f"{name}: padding must be 1, 2 or 4 integers from 0, got {padding!r}")
    left, top, right, bottom = (int(s) for s in (sides * 4 if len(sides) == 1 else sides * 2)[:4])
    return left, top, right, bottom


def checked_padding_mode(mode: str, name: str) -> str:
    """`mode`, or an OptionError that lists the modes there are."""
    if mode not in ("constant", "edge", "reflect", "symmetric"):
        raise OptionError(f"{name}: padding_mode is constant, edge, reflect or symmetric, got {mode!r}")
    return mode


def checked_probability(p: float, name: str) -> float:
    """`p`, or an OptionError if it does not lie from 0 to 1."""
    if not is_number(p) or not 0 <= p <= 1:
        raise OptionError(f"{name}: p must lie from 0 to 1, got {p!r}")
    return p


def checked_range(limits: Sequence[float], name: str, most: float | None) -> tuple[float, float]:
    """(least, most), both above 0 and in this order. Raises OptionError."""
    values = numbers(limits, name)
    if len(values) != 2 or not 0 < values[0] <= values[1] < np.inf or (most is not None and values[1] > most):
        raise OptionError(f"{name} must be (least, most) above 0{f' and up to {most}' if most else ''}, got {limits!r}")
    return values


def numbers(values: Any, name: str) -> tuple[float, ...]:
    """A number, or several in a list or an array, as a tuple of floats. Raises OptionError."""
    try:
        return tuple(float(v) for v in np.asarray(values, np.float64).reshape(-1))
    except (TypeError, ValueError) as error:
        raise OptionError(f"{name} must be numbers, got {values!r}") from error
