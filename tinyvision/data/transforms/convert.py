"""From one kind of image to another, and from one dtype to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import full_name
from ...device import to_numpy
from ...errors import DtypeError, OptionError, ShapeError
from ...tape import Variable
from ...tensors.tensor import Tensor
from .base import is_pillow, told

_MODES: dict[int, tuple[str, ...]] = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_MODES_OF_ONE: dict[str, tuple[str, ...]] = {"uint8": ("L",), "int16": ("I;16",), "int32": ("I",), "float32": ("F",)}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A Tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a Pillow image.

    Floating-point numbers of 0 to 1 become 0 to 255, cut off, except for mode="F". C is 1 to 4; without
    `mode` the image is L, LA, RGB or RGBA (of one channel of other integers I;16 or I). Raises DtypeError,
    ShapeError, OptionError."""
    from PIL import Image

    if isinstance(pic, Variable):
        array = to_numpy(pic)
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise DtypeError(f"to_pil_image: expected a Tensor or an array, got {full_name(pic)}")
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or 0 in array.shape:
        raise ShapeError(f"to_pil_image: expected one image of 1 to 4 channels, got {told(pic)}")
    if array.dtype.kind == "f" and mode != "F":
        array = (array * 255).astype(np.int64).astype(np.uint8)
    channels = array.shape[2]
    if channels == 1:
        allowed = _MODES_OF_ONE.get(str(array.dtype))
    else:
        allowed = _MODES[channels] if array.dtype == np.uint8 else None
    if not allowed:
        raise DtypeError(f"to_pil_image: Pillow has no images of {channels} channels of {array.dtype}")
    if mode is not None and mode not in allowed:
        raise OptionError(f"to_pil_image: mode of {channels} channels of {array.dtype} is {allowed}, got {mode!r}")
    array = np.ascontiguousarray(array[:, :, 0] if channels == 1 else array)
    made = Image.fromarray(array)
    return made if mode in (None, made.mode) else Image.frombytes(mode, made.size, array.tobytes())


def pil_to_tensor(pic: Any) -> Tensor:
    """A Pillow image as a Tensor (C, H, W) of its own numbers."""
    if not is_pillow(pic):
        raise DtypeError(f"pil_to_tensor: expected a Pillow image, got {full_name(pic)}")
    array = np.array(pic)
    array = array[:, :, None] if array.ndim == 2 else array
    return Tensor.of(np.ascontiguousarray(np.moveaxis(array, 2, 0)))


def convert_image_dtype(image: Any, dtype: Any = np.float32) -> Any:
    """An image of another dtype, white remaining white: of integers that is the largest one, of other numbers 1.

    A Tensor, or an array. Raises DtypeError where the integers are too fine for the numbers (float32 to int32)."""
    array = to_numpy(image) if isinstance(image, Variable) else np.asarray(image)
    new = _dtype(dtype)
    made = _converted(array, new)
    return made if not isinstance(image, Variable) else image if new == array.dtype else Tensor.of(made)


def _dtype(dtype: Any) -> np.dtype:
    try:
        return np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"expected a dtype such as torch.float32, got {dtype!r}") from error


def _converted(array: np.ndarray, new: np.dtype) -> np.ndarray:
    old = array.dtype
    if old == new or (old.kind == "f" and new.kind == "f"):
        return array.astype(new, copy=False)
    if old.kind not in "iuf" or new.kind not in "iuf":
        raise DtypeError(f"convert_image_dtype: from integers or numbers to integers or numbers, got {old} and {new}")
    if old.kind == "f":
        if np.finfo(old).nmant < np.iinfo(new).bits - 8:
            raise DtypeError(f"convert_image_dtype: {old} is not fine enough for the integers of {new}")
        # Just under one more than white, so that every integer gets an equal share.
        return (array * old.type(np.iinfo(new).max + 1.0 - 1e-3)).astype(new)
    white = np.iinfo(old).max
    if new.kind == "f":
        return array.astype(new) / new.type(white)
    other = np.iinfo(new).max
    if white > other:
        return (array // ((white + 1) // (other + 1))).astype(new)
    return array.astype(new) * new.type((other + 1) // (white + 1))


def to_image(inpt: Any) -> Tensor:
    """A Pillow image or an array (H, W, C) or (H, W) as a Tensor (C, H, W) of its own numbers; a Tensor
    stays as it is."""
    if isinstance(inpt, Tensor):
        return inpt
    if is_pillow(inpt):
        return pil_to_tensor(inpt)
    if not isinstance(inpt, np.ndarray) or inpt.ndim not in (2, 3):
        raise DtypeError(f"to_image: expected a Pillow image, Tensor or array (H, W, C), got {full_name(inpt)}")
    array = inpt[:, :, None] if inpt.ndim == 2 else inpt
    return Tensor.of(np.ascontiguousarray(np.moveaxis(array, 2, 0)))


def to_dtype(inpt: Any, dtype: Any = np.float32, scale: bool = False) -> Any:
    """A Tensor or an array of another dtype; with `scale` white remains white, as convert_image_dtype has it. A Pillow
    image stays as it is."""
    if is_pillow(inpt):
        return inpt
    if scale:
        return convert_image_dtype(inpt, dtype)
    new = _dtype(dtype)
    return Tensor.of(to_numpy(inpt).astype(new)) if isinstance(inpt, Variable) else np.asarray(inpt).astype(new)


class ToPILImage:
    """A Tensor or an array as a Pillow image (see functional.to_pil_image)."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({f'mode={self.mode}' if self.mode else ''})"


class PILToTensor:
    """A Pillow image as a Tensor (C, H, W) of its own numbers: uint8 of 0 to 255 for most."""

    def __call__(self, pic: Any) -> Tensor:
        return pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ConvertImageDtype:
    """Another dtype, white remaining white (see functional.convert_image_dtype)."""

    elementwise = True

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, image: Any) -> Any:
        return convert_image_dtype(image, self.dtype)

    def __repr__(self) -> str:
        return f"ConvertImageDtype({self.dtype!r})"


class ToImage:
    """v2: any picture as a Tensor (C, H, W) of its own numbers (see to_image)."""

    def __call__(self, picture: Any) -> Tensor:
        return to_image(picture)

    def __repr__(self) -> str:
        return "ToImage()"


class ToDtype:
    """v2: another dtype; with scale=True white remains white, without it the numbers stay what they are."""

    elementwise = True

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        if isinstance(dtype, dict):
            raise OptionError("ToDtype: a dtype for each kind of input is not supported; give one dtype for the images")
        self.dtype, self.scale = dtype, scale

    def __call__(self, image: Any) -> Any:
        return to_dtype(image, self.dtype, self.scale)

    def __repr__(self) -> str:
        return f"ToDtype({self.dtype!r}, scale={self.scale})"
