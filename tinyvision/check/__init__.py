"""Gradient checking that names the mistake.

    from tinyvision import check
    print(check.op("conv2d", my_forward, my_backward))                 # a known op: all probes, the bank of mistakes
    print(check.gradients(forward, backward, inputs, options))       # any pair of functions
    print(check.layer(Conv, "conv2d"))                               # a class with forward and backward
    print(check.chain([Dense(4, 3), Loss()], x, labels))             # layers that are right only together
    print(check.model(model, batch))                                 # a whole network

All run where the arrays are: `check.op(..., device="cuda")`, inputs on a GPU, a model on a GPU.

An ordinary checker compares two numbers. This one runs the functions on probes on which no mistake can hide, and then
says which mistake was made, if it is sure, and where the numbers differ in any case.
"""

from .bank import Mistake, mistakes
from .check_chain import chain
from .check_gradients import gradients
from .check_layer import layer
from .check_model import model
from .check_op import op
from .findings import Finding, Picture, Where
from .ops import SPECS
from .report import Report

OPS = tuple(SPECS)

__all__ = ["OPS", "Finding", "Mistake", "Picture", "Report", "Where", "chain", "gradients", "layer", "mistakes",
           "model", "op"]  # fmt: skip
