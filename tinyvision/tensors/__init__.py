"""The face: `Tensor`, what can be done with it, and how it is made.

Read in this order: `taped` (every op of `ops`, put on the tape), `tensor` (the class), `operands` (what may stand
beside a tensor, and which kind of numbers comes out), `indexing` and `writing` (x[i], x[i] = y and all else in place),
`creation`, and the two tables of PyTorch's names, `methods` and `functions`, whose entries lie in files by kind:
`elementwise`, `reductions`, `products`, `arranging`, `choosing`, `sampling`, `alike`, `facts`. The short ones say how
what people write is understood: `arguments` (shapes, axes), `inputs` (arrays as tensors), `conversion` (dtype, device).
"""
