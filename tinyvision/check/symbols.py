"""The numbers that a wrong factor may be: sizes and options of a probe, by the names that formulas have for them."""

from typing import Any

import numpy as np

from . import reference


def batch_sizes(inputs: Any, options: Any, y: Any) -> dict[str, float]:
    """Sizes and options by the names that a formula of any op has for them."""
    shape = np.shape(inputs[0])
    names = {"N": shape[0], "N·D": int(np.prod(shape)), "D": int(np.prod(shape[1:]))}
    if "p" in options:
        p = options["p"]
        names.update({"p": p, "1 - p": 1 - p, "(1 - p)²": (1 - p) ** 2, "p/(1 - p)": p / (1 - p)})
    return _distinct(names)


def _distinct(names):
    return {k: float(v) for k, v in names.items() if v}


def window_sizes(inputs: Any, options: Any, y: Any) -> dict[str, float]:
    """Sizes and options by the names that a formula of windows has for them."""
    if np.ndim(inputs[0]) == 4:
        n, c, h, w = np.shape(inputs[0])
    else:
        n, c, h, w = options["x_shape"]
    kernel = np.shape(inputs[1])[2:] if len(inputs) > 1 else reference.pair(options["kernel_size"])
    kh, kw = kernel
    sh, sw = reference.pair(options["stride"])
    oh, ow = reference.out_size((h, w), kernel, options["stride"], options["padding"])
    names = {
        "N": n,
        "C": c,
        "H·W": h * w,
        "KH": kh,
        "KW": kw,
        "KH·KW": kh * kw,
        "OH·OW": oh * ow,
        "N·OH·OW": n * oh * ow,
        "C·KH·KW": c * kh * kw,
        "KH²": kh * kh,
        "KW²": kw * kw,
        "(KH·KW)²": (kh * kw) ** 2,
        "SH·SW": sh * sw,
        "SH": sh,
        "SW": sw,
        "N·C": n * c,
        "N·H·W": n * h * w,
        "OH": oh,
        "OW": ow,
        "KH/KW": kh / kw,
        "OH·OW/(KH·KW)": oh * ow / (kh * kw),
        "SH·SW/(KH·KW)": sh * sw / (kh * kw),
    }
    if len(inputs) > 1:
        names["O"] = np.shape(inputs[1])[0]
    return _distinct(names)


def linear_sizes(inputs: Any, options: Any, y: Any) -> dict[str, float]:
    """Sizes and options by the names that a formula of a linear layer has for them."""
    n, o = np.shape(y)
    i = inputs[0].shape[1]
    return _distinct({"N": n, "O": o, "I": i, "N·O": n * o, "N·I": n * i, "√I": i**0.5, "√N": n**0.5})


def channel_sizes(inputs: Any, options: Any, y: Any) -> dict[str, float]:
    """Sizes and options by the names that a formula of channels has for them."""
    n, c, h, w = inputs[0].shape
    return _distinct(
        {
            "N": n,
            "C": c,
            "H·W": h * w,
            "N·H·W": n * h * w,
            "(N·H·W - 1)": n * h * w - 1,
            "(N·H·W - 1)/(N·H·W)": (n * h * w - 1) / (n * h * w),
            "N·C": n * c,
            "N·C·H·W": n * c * h * w,
            "C·H·W": c * h * w,
            "H": h,
            "W": w,
        }
    )


def class_sizes(inputs: Any, options: Any, y: Any) -> dict[str, float]:
    """Sizes and options by the names that a formula of classes has for them."""
    n, k = inputs[0].shape
    return _distinct(
        {
            "N": n,
            "K": k,
            "N·K": n * k,
            "N²": n * n,
            "ln 2": np.log(2),
            "ln 10": np.log(10),
            "K - 1": k - 1,
            "N/K": n / k,
        }
    )
