"""What the nodes of ONNX and of TensorFlow Lite can be in a chain of layers that are computed together (`chains`).

A role is told by the node, and by the values that the file has for its arguments; kinds that are not in a table, and
options that no chain can have, are computed by themselves."""

from __future__ import annotations

from ..nn.fusing import Convolution, FrozenNorm
from ..tape import Variable
from . import onnx_ops, tflite_ops
from .chains import Describing, Role
from .onnx_ops import integers, plain


def _always(role):
    return lambda node, given: role


def _clip(node, given):
    """From 0 on, and up to 6 or without an end: what ReLU and ReLU6 become in a file."""
    low, high = (
        node.get(option) if len(given) <= k or given[k] is None else float(plain(given[k]))
        for k, option in ((1, "min"), (2, "max"))
    )
    if any(name for k, name in enumerate(node.inputs[1:3], 1) if name != "" and given[k] is None):
        return None  # the bounds are computed
    return Role("act", "relu6" if high == 6 else "relu") if low == 0 and high in (None, 6, float("inf")) else None


def _hardsigmoid(node, given):
    usual = abs(node.get("alpha", 0.2) - 1 / 6) < 1e-6 and node.get("beta", 0.5) == 0.5
    return Role("act", "hardsigmoid") if usual else None


def _norm_of_onnx(node, given):
    return Role("norm") if node.get("spatial", 1) and not node.get("training_mode") else None


def _pad_of_onnx(node, given):
    """Zeros around the last two axes of four."""
    pads = node.get("pads") if len(given) < 2 or given[1] is None else integers(given[1])
    value = node.get("value", 0.0) if len(given) < 3 or given[2] is None else float(plain(given[2]))
    known = all(name == "" or given[k] is not None for k, name in enumerate(node.inputs) if k)
    if not known or pads is None or len(pads) != 8 or value != 0 or node.get("mode", "constant") != "constant":
        return None
    if len(node.inputs) > 3 and node.inputs[3] != "":  # of some axes only
        return None
    top, left, bottom, right = pads[2], pads[3], pads[6], pads[7]
    plain_axes = [*pads[:2], *pads[4:6]] == [0, 0, 0, 0]
    return Role("pad", borders=(top, left, bottom, right)) if plain_axes and min(pads) >= 0 else None


def _convolution_of_onnx(node, x, weight, bias=None):
    if not isinstance(weight, Variable) or not isinstance(bias, (Variable, type(None))):
        return None
    options, first = onnx_ops.convolution_options(node, x, weight)
    beyond = (0, 0)
    if first:
        left, right, top, bottom = first
        options["padding"], beyond = (top, left), (bottom - top, right - left)
    return Convolution(weight, bias, **options, beyond=beyond)


ONNX = Describing(
    {
        "Conv": _always(Role("conv")),
        "BatchNormalization": _norm_of_onnx,
        "Pad": _pad_of_onnx,
        "Add": _always(Role("add")),
        "Mul": _always(Role("mul")),
        "Relu": _always(Role("act", "relu")),
        "Clip": _clip,
        "HardSwish": _always(Role("act", "hardswish")),
        "HardSigmoid": _hardsigmoid,
        "Sigmoid": _always(Role("act", "sigmoid")),
        "Swish": lambda node, given: Role("act", "silu") if node.get("alpha", 1.0) == 1 else None,
        "Identity": _always(Role("same")),
        "Dropout": _always(Role("same")),
    },
    _convolution_of_onnx,
    lambda node, weight, bias, mean, var: FrozenNorm(weight, bias, mean, var, node.get("epsilon", 1e-5)),
)

# The activations that are part of a node, by their numbers in the file.
_PART_OF_A_NODE = {0: None, 1: "relu", 3: "relu6"}


def _with_activation(kind):
    def role(node, given):
        number = node.get("FusedActivationFunction", 0)
        return Role(kind, _PART_OF_A_NODE[number]) if number in _PART_OF_A_NODE else None

    return role


def _product(node, given):
    return None if node.get("FusedActivationFunction", 0) else Role("mul")


def _pad_of_tflite(node, given):
    """Zeros around the two axes in the middle: (N, H, W, C)."""
    borders = None if len(given) != 2 or given[1] is None else plain(given[1]).reshape(-1).tolist()
    if borders is None or len(borders) != 8 or any(borders[:2] + borders[6:]) or min(borders) < 0:
        return None
    top, bottom, left, right = borders[2:6]
    return Role("pad", borders=(top, left, bottom, right))


def _convolution_of_tflite(node, x, weight, bias=None):
    if not isinstance(weight, Variable) or not isinstance(bias, (Variable, type(None))):
        return None
    options, (top, left, bottom, right) = tflite_ops.convolution_options(node, x, weight)
    return Convolution(weight, bias, padding=(top, left), **options, beyond=(bottom - top, right - left))


TFLITE = Describing(
    {
        "CONV_2D": _with_activation("conv"),
        "DEPTHWISE_CONV_2D": _with_activation("conv"),
        "PAD": _pad_of_tflite,
        "ADD": _with_activation("add"),
        "MUL": _product,
        "RELU": _always(Role("act", "relu")),
        "RELU6": _always(Role("act", "relu6")),
        "LOGISTIC": _always(Role("act", "sigmoid")),
        "HARD_SWISH": _always(Role("act", "hardswish")),
    },
    _convolution_of_tflite,
    lambda node, weight, bias, mean, var: FrozenNorm(weight, bias, mean, var, 0.0),  # there is no such node
)
