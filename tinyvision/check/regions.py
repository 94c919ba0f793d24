"""Where mistakes tend to live: named parts of an argument's array, for each op."""

from typing import Any

import numpy as np

from . import reference
from .probes import Probe
from .windows import overlap_count, touches_border, unfold


def predicates(op: str | None, probe: Probe, argument: str) -> Any:
    """Named parts of an argument's array in which mistakes tend to live: (words, boolean array)."""
    x = np.asarray(probe.inputs[0])
    out = []
    shape = probe.options.get("x_shape", x.shape)
    pictured = argument == "dx" or (argument == "y" and op == "col2im")
    if "stride" in probe.options and pictured:
        kernel = probe.inputs[1].shape[2:] if op == "conv2d" else probe.options["kernel_size"]
        count = overlap_count(shape, kernel, probe.options["stride"], probe.options["padding"])
        out += [
            ("overlaps", count > 1),
            ("left-over", count == 0),
            ("border", touches_border(shape, kernel, probe.options["stride"], probe.options["padding"])),
        ]
    if "stride" in probe.options and argument == "y" and op in ("conv2d", "maxpool2d", "avgpool2d"):
        kernel = probe.inputs[1].shape[2:] if op == "conv2d" else probe.options["kernel_size"]
        frame = reference.padded(np.zeros((1, 1, *shape[2:])), probe.options["padding"], 1.0)
        out.append(("border", unfold(frame, kernel, probe.options["stride"], 0).any(axis=(4, 5))))
    if op == "cross_entropy" and argument == "dlogits":
        labels = probe.inputs[1]
        repeated = np.array([(labels == label).sum() > 1 for label in labels])
        column = np.arange(x.shape[1]) == labels[:, None]
        out += [
            ("repeated labels", repeated[:, None]),
            ("repeated labels", repeated[:, None] & column),
            ("the label's column", column),
            ("columns of the other classes", ~column),
        ]
    if argument in ("dx", "da", "db", "y") and probe.y.shape == x.shape and op not in ("im2col", "col2im"):
        for name, array in zip(probe.names, probe.inputs, strict=True):
            if array.shape == x.shape and array.dtype.kind == "f":
                out += [(f"where {name} < 0", array < 0), (f"where {name} > 0", array > 0)]
        if argument != "y":
            out += [("where dy < 0", probe.dy < 0), ("where dy > 0", probe.dy > 0)]
    if op == "dropout":
        out += [("where the mask is 0", ~probe.inputs[1]), ("where the mask is 1", probe.inputs[1])]
    return tuple(out)
