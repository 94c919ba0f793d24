"""The known ops: their arguments, their probes, what is right for them, and ours where the learner brings none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from . import inputs_of, reference, symbols
from .inputs_of import PAIRED
from .probes import Probe, upstream
from .windows import columns, fold, unfold, windows


@dataclass(frozen=True)
class Spec:
    """One known op. `make(pairs)` yields (name, inputs, options); `forward(*inputs, **options)` is the reference."""

    name: str
    arguments: tuple
    axes: tuple
    output_axes: str
    forward: Callable[..., Any]
    backward: Any  # a function; an update rule has none, and no probes
    make: Any
    symbols: Callable[..., Any] | None = None
    linear: bool = True
    lone_output: bool = False  # a forward may return y alone, without a cache

    @property
    def gradients(self) -> tuple[str | None, ...]:
        """The names of the gradients, in input order: "dx", ...; None for labels and masks."""
        return tuple(None if a in ("labels", "mask") else "d" + a for a in self.arguments)

    def probes(self, pairs: bool = True) -> Any:
        """The op's probes, with options as pairs or as plain integers."""
        return [self._probe(k, *parts) for k, parts in enumerate(self.make(pairs))]

    def _probe(self, index, name, inputs, options):
        y = self.forward(*inputs, **options)
        names = (self.symbols or symbols.batch_sizes)(inputs, options, y)
        if np.shape(y) == ():
            names["dy"] = float(upstream(y, index))
        axes = tuple(a if len(a) == np.ndim(i) else "" for a, i in zip(self.axes, inputs, strict=True))
        return Probe(
            name,
            inputs,
            options,
            y,
            lambda dy: self.backward(inputs, options, dy),
            upstream(y, index),
            symbols=names,
            output=lambda i, o: self.forward(*i, **o),
            backward=self.backward,
            names=self.arguments,
            axes=axes,
            output_axes=self.output_axes if len(self.output_axes) == np.ndim(y) else "",
            index=index,
            op=self.name,
        )

    def functions(self, mistake: Any = None) -> Any:
        """The reference as a (forward, backward) pair, with one mistake from the bank built in, or none."""
        if self.name == "sgd":
            return (mistake.wrong() if mistake else self.forward), None
        wrong = mistake.wrong if mistake else None
        target = mistake.argument if mistake else None

        def forward(*inputs, **options):
            cache = (tuple(np.array(i) for i in inputs), options)
            if target == "y":
                return wrong(inputs, options), cache
            return self.forward(*inputs, **options), cache

        def backward(dy, cache):
            inputs, options = cache
            grads = list(self.backward(inputs, options, dy))
            if target is not None and target in self.gradients:
                grads[self.gradients.index(target)] = np.array(wrong(inputs, options, dy))
            return tuple(grads)

        return forward, backward

    def ours(self) -> Any:
        """tinyvision's own (forward, backward) for this op, imported when first needed."""
        from .. import ops

        if self.name in ("sgd",):
            return self.forward, None
        if self.name == "col2im":
            return _our_col2im, _our_col2im_backward
        name = _OURS.get(self.name, self.name)
        return getattr(ops, name + "_forward"), getattr(ops, name + "_backward")


_OURS = {"maxpool2d": "max_pool2d", "avgpool2d": "avg_pool2d"}


def _our_col2im(columns, x_shape, kernel_size, stride, padding):
    from ..ops.im2col import col2im

    return col2im(columns, x_shape, kernel_size, stride, padding), (kernel_size, stride, padding)


def _our_col2im_backward(dy, cache):
    from ..ops.im2col import im2col_forward

    return (im2col_forward(dy, *cache)[0],)


def _im2col(x, kernel_size, stride, padding):
    return columns(unfold(x, kernel_size, stride, padding))


def _im2col_backward(inputs, options, dy):
    shape = inputs[0].shape
    return (fold(windows(dy, shape, options), shape, options["stride"], options["padding"]),)


def _col2im(cols, x_shape, **options):
    return fold(windows(cols, x_shape, options), x_shape, options["stride"], options["padding"])


def _col2im_backward(inputs, options, dy):
    return (_im2col(dy, **{k: options[k] for k in PAIRED}),)


def _sgd(weight, grad, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + grad + weight_decay * weight
    return weight - lr * velocity, velocity


SPECS = {
    s.name: s
    for s in (
        Spec(
            "linear",
            ("x", "weight", "bias"),
            ("NI", "OI", "O"),
            "NO",
            reference.linear,
            reference.linear_backward,
            inputs_of.linear,
            symbols.linear_sizes,
        ),
        *(
            Spec(
                name,
                ("x",),
                ("NI",),
                "NI",
                getattr(reference, name),
                getattr(reference, f"{name}_backward"),
                make,
                linear=False,
            )
            for name, make in (
                ("relu", inputs_of.relu),
                ("sigmoid", inputs_of.smooth),
                ("tanh", inputs_of.smooth),
                ("softplus", inputs_of.smooth),
                ("leaky_relu", inputs_of.leaky_relu),
                ("elu", inputs_of.elu),
                ("silu", inputs_of.smooth),
                ("gelu", inputs_of.gelu),
            )
        ),
        Spec(
            "conv2d",
            ("x", "weight", "bias"),
            ("NCHW", "OCHW", "O"),
            "NOHW",
            reference.conv2d,
            reference.conv2d_backward,
            inputs_of.conv2d,
            symbols.window_sizes,
        ),
        Spec(
            "maxpool2d",
            ("x",),
            ("NCHW",),
            "NCHW",
            reference.maxpool2d,
            reference.maxpool2d_backward,
            inputs_of.maxpool,
            symbols.window_sizes,
            linear=False,
        ),
        Spec(
            "avgpool2d",
            ("x",),
            ("NCHW",),
            "NCHW",
            reference.avgpool2d,
            reference.avgpool2d_backward,
            inputs_of.avgpool,
            symbols.window_sizes,
        ),
        Spec(
            "batchnorm_train",
            ("x", "weight", "bias"),
            ("NCHW", "C", "C"),
            "NCHW",
            reference.batchnorm_train,
            reference.batchnorm_train_backward,
            inputs_of.batchnorm,
            symbols.channel_sizes,
            linear=False,
        ),
        Spec(
            "cross_entropy",
            ("logits", "labels"),
            ("NK", "N"),
            "",
            reference.cross_entropy,
            reference.cross_entropy_backward,
            inputs_of.cross_entropy,
            symbols.class_sizes,
            linear=False,
        ),
        Spec(
            "softmax",
            ("x",),
            ("NK",),
            "NK",
            reference.softmax,
            reference.softmax_backward,
            inputs_of.softmax,
            symbols.class_sizes,
            linear=False,
        ),
        Spec("add", ("a", "b"), ("NI", "NI"), "NI", reference.add, reference.add_backward, inputs_of.add),
        Spec(
            "dropout",
            ("x", "mask"),
            ("NI", "NI"),
            "NI",
            reference.dropout,
            reference.dropout_backward,
            inputs_of.dropout,
        ),
        Spec(
            "im2col",
            ("x",),
            ("NCHW",),
            "RQ",
            _im2col,
            _im2col_backward,
            inputs_of.im2col,
            symbols.window_sizes,
            lone_output=True,
        ),
        Spec(
            "col2im",
            ("columns",),
            ("RQ",),
            "NCHW",
            _col2im,
            _col2im_backward,
            inputs_of.col2im,
            symbols.window_sizes,
            lone_output=True,
        ),
        Spec("sgd", ("weight", "grad", "velocity"), ("", "", ""), "", _sgd, None, None),
    )
}


def spec(name: str) -> Spec:
    """The known op of that name. Raises OptionError with the list of names."""
    key = {
        "max_pool2d": "maxpool2d",
        "avg_pool2d": "avgpool2d",
        "batchnorm": "batchnorm_train",
        "batch_norm": "batchnorm_train",
        "residual": "add",
        "leakyrelu": "leaky_relu",
        "lrelu": "leaky_relu",
        "swish": "silu",
    }.get(name, name)
    if not isinstance(key, str) or key not in SPECS:
        raise OptionError(
            f"check.op: no op is called {name!r}; known are {', '.join(SPECS)}. For any other pair of "
            "functions there is check.gradients(forward, backward, inputs)"
        )
    return SPECS[key]
