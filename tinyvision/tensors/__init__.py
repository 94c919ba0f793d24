"""The face: `Tensor`, what can be done with it, and how it is made.

Read in this order: `taped` (every op of `ops`, put on the tape), `tensor` (the class), `operands` (what may stand
beside a tensor, and which kind of numbers comes out), `methods`, `creation`, `functions`. The short ones say how what
people write is understood: `arguments` (shapes, axes), `inputs` (arrays as tensors), `conversion` (dtype, device).
"""
