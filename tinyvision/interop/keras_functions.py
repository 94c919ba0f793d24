"""Keras's layers that have learnt nothing, or next to nothing: windows, places, sums, noise. Entered into the table of
`keras_layers`, where the order of the axes is explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OptionError
from ..nn import functional as F
from ..nn.module import Module, Parameter
from ..tensors.functions import cat, randn_like
from ..tensors.tensor import Tensor
from .chains import Role
from .keras_activations import activation_of
from .keras_layers import axis_here, from_keras_order, layer, padded, to_keras
from .keras_options import Options


class FunctionLayer(Module):
    """A layer without arrays."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        options.arrays(given)
        if options.get("data_format", "channels_last") not in ("channels_last", None):
            raise options.refuse("data_format channels_first is not known here; save the model with channels_last")
        self.kind = options.kind
        self.set_up(options)

    def set_up(self, options: Options) -> None:
        """Read the options."""

    def extra_repr(self) -> str:
        """The layer's name in Keras."""
        return self.kind

    @property
    def role(self) -> Role | None:
        """What it is in a chain of layers that are computed together."""
        return None


@layer("MaxPooling2D", "MaxPool2D", "AveragePooling2D", "AvgPool2D")
class _Pooling(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.kernel = options.pair("pool_size", 2)
        self.stride = options.pair("strides") if options.get("strides") is not None else self.kernel
        self.same = options.choice("padding", "valid", "same") == "same"
        self.largest = options.kind.startswith("Max")

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, OH, OW). What lies outside of the image takes no part."""
        if self.largest:
            x = padded(x, self.kernel, self.stride, value=-np.inf) if self.same else x
            return F.max_pool2d(x, self.kernel, self.stride)
        if not self.same:
            return F.avg_pool2d(x, self.kernel, self.stride)
        inside = padded(Tensor.of(np.ones((1, 1, *x.shape[2:]), x.dtype)).to(x.device), self.kernel, self.stride)
        sums, counts = (
            F.avg_pool2d(v, self.kernel, self.stride) for v in (padded(x, self.kernel, self.stride), inside)
        )
        return sums / counts


@layer("GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPooling2D", "GlobalMaxPool2D")
class _Global(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.keep, self.largest = bool(options.get("keepdims", False)), "Max" in options.kind

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C), or (N, C, 1, 1)."""
        return x.amax((2, 3), keepdim=self.keep) if self.largest else x.mean((2, 3), keepdim=self.keep)


@layer("Flatten")
class _Flatten(FunctionLayer):
    def forward(self, x: Any) -> Any:
        """(N, ...) -> (N, K), in Keras's order."""
        return to_keras(x).reshape(x.shape[0], -1)


@layer("Reshape", "ops.Reshape")
class _Reshape(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.whole = options.kind == "ops.Reshape"  # with the number of images
        name = "newshape" if self.whole else "target_shape"
        self.target = tuple(options.get(name) or ())
        if not all(isinstance(n, int) for n in self.target):
            raise options.refuse(f"{name} must be integers, not {self.target!r:.40}")

    def forward(self, x: Any) -> Any:
        """(N, ...) -> (N, *target_shape), in Keras's order."""
        images = () if self.whole else (x.shape[0],)
        return from_keras_order(to_keras(x).reshape(*images, *self.target))


@layer("Permute")
class _Permute(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.order = tuple(options.get("dims") or ())
        if sorted(self.order) != list(range(1, len(self.order) + 1)):
            raise options.refuse(f"dims must be an order of the axes from 1, not {self.order!r:.40}")

    def forward(self, x: Any) -> Any:
        """The axes of every image in another order."""
        return from_keras_order(to_keras(x).permute(0, *self.order))


@layer("ZeroPadding2D", "Cropping2D")
class _Border(FunctionLayer):
    def set_up(self, options: Options) -> None:
        crops = options.kind == "Cropping2D"
        top, bottom, left, right = options.borders("cropping" if crops else "padding")
        self.border = tuple(-n if crops else n for n in (left, right, top, bottom))

    @property
    def role(self) -> Role | None:
        """Zeros around a picture."""
        left, right, top, bottom = self.border
        return Role("pad", borders=(top, left, bottom, right)) if min(self.border) >= 0 else None

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> the same with other height and width."""
        return F.pad(x, self.border)


@layer("UpSampling2D", "Resizing")
class _Resize(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.mode = options.choice("interpolation", *("nearest", "bilinear")[:: 1 if options.kind[0] == "U" else -1])
        self.size: Any = None
        self.factor: Any = None
        if options.kind == "Resizing":
            self.size = options.integer("height"), options.integer("width")
            if options.get("crop_to_aspect_ratio") or options.get("pad_to_aspect_ratio") or options.get("antialias"):
                raise options.refuse("cropping, padding and antialias are not known here")
        else:
            self.factor = options.pair("size", 2)

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> the same with other height and width."""
        if self.mode == "bilinear":
            size = self.size or tuple(n * f for n, f in zip(x.shape[2:], self.factor, strict=True))
            return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        if self.factor:
            return F.interpolate(x, scale_factor=self.factor, mode="nearest")
        return F.interpolate(x, size=self.size, mode="nearest-exact")  # the pixel under the middle of the new one


_OF_TWO = "Add", "Subtract", "Multiply", "Maximum", "Minimum", "TrueDivide"


@layer("Average", "Concatenate", "ops.Concatenate", *_OF_TWO, *(f"ops.{name}" for name in _OF_TWO))
class _Merge(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.kind = options.kind.removeprefix("ops.")
        self.axis = options.get("axis", -1)

    @property
    def role(self) -> Role | None:
        """A sum, or a product."""
        return {"Add": Role("add"), "Multiply": Role("mul")}.get(self.kind)

    def forward(self, *given: Any) -> Any:
        """Several tensors, in a list or one by one, as one."""
        xs = list(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else list(given)
        if self.kind == "Concatenate":
            return cat(xs, axis_here(self.axis, xs[0].ndim))
        total = xs[0]
        for x in xs[1:]:
            total = _MERGED[self.kind](total, x)
        return total / len(xs) if self.kind == "Average" else total


_MERGED: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: a + b,
    "Average": lambda a, b: a + b,
    "Subtract": lambda a, b: a - b,
    "Multiply": lambda a, b: a * b,
    "TrueDivide": lambda a, b: a / b,
    "Maximum": lambda a, b: b.maximum(a) if isinstance(b, Tensor) else a.maximum(b),  # one may be a number
    "Minimum": lambda a, b: b.minimum(a) if isinstance(b, Tensor) else a.minimum(b),
}


_ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "Softplus": "softplus",
    "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
}  # fmt: skip  # the functions of keras.ops that have no options


@layer("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "ops.Softmax", *(f"ops.{name}" for name in _ACTIVATIONS))
class _Activation(FunctionLayer):
    def set_up(self, options: Options) -> None:
        kind = options.kind.removeprefix("ops.")
        if kind in _ACTIVATIONS:
            options = Options("Activation", {"activation": _ACTIVATIONS[kind], **options}, options.version)
        self.after = activation_of(options, kind)

    @property
    def role(self) -> Role | None:
        """An activation."""
        return self.after.behind("act")

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return self.after(x)


@layer("PReLU")
class _PReLU(Module):
    """max(x, 0) + alpha · min(0, x), with an alpha for every place or every channel."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        if len(given) != 1:
            raise options.refuse(f"{len(given)} arrays, where alpha is expected")
        self.alpha = Parameter(Tensor.of(np.asarray(given[0], np.float32)[None]))  # in Keras's order, for every image

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        x = to_keras(x)
        return from_keras_order(x.clamp(min=0) + self.alpha * x.clamp(max=0))


@layer("Dropout", "SpatialDropout2D", "GaussianNoise")
class _Noise(FunctionLayer):
    def set_up(self, options: Options) -> None:
        self.amount = options.number("stddev" if options.kind == "GaussianNoise" else "rate", 0.5)

    @property
    def role(self) -> Role | None:
        """Nothing in evaluation, and a chain is never computed together in training."""
        return Role("same")

    def forward(self, x: Any) -> Any:
        """The shape stays; in evaluation mode nothing happens."""
        if not self.training:
            return x
        if self.kind == "GaussianNoise":
            return x + self.amount * randn_like(x)
        return (F.dropout if self.kind == "Dropout" or x.ndim != 4 else F.dropout2d)(x, self.amount, True)


@layer("ActivityRegularization", "Identity")
class _Nothing(FunctionLayer):
    @property
    def role(self) -> Role | None:
        """Nothing."""
        return Role("same")

    def forward(self, x: Any) -> Any:
        """x itself: what the layer adds to a loss is not part of what it computes."""
        return x


@layer(*(f"Random{what}" for what in ("Flip", "Rotation", "Zoom", "Translation", "Crop", "Contrast", "Brightness")))
class _Augmentation(FunctionLayer):
    def forward(self, x: Any) -> Any:
        """x itself in evaluation mode. Raises OptionError in training, where Keras would change the picture."""
        if self.training:
            raise OptionError(
                f"{self.kind}: a layer read from Keras does not change pictures; augment them in the DataLoader, and "
                f"put nn.Identity() in its place"
            )
        return x


@layer("LayerScale")
class _LayerScale(Module):
    """Every channel times a learned number (ConvNeXt's)."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        self.gamma = Parameter(Tensor.of(options.arrays(given, gamma=1)[0]))

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return from_keras_order(to_keras(x) * self.gamma)
