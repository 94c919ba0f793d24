"""Your first kernel: a bias for each channel, one thread for each number.

x (N, C, P) as one row of N·C·P numbers, bias (C)  ->  y like x
The launch starts whole blocks of 32 threads, as many as reach all numbers; the last block reaches further.
"""

KERNEL = r"""
extern "C" __global__ void add_bias(const float* x, const float* bias, float* y, int N, int C, int P) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;  // the number that this thread is for
    # solution:
    if (i >= N * C * P) return;
    int c = i / P % C;
    y[i] = x[i] + bias[c];
    # skeleton:
    # int c = ...;  // the channel of number i
    # y[i] = x[i] + bias[c];
    # end
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: the bias"
LEVEL, MINUTES, PAGE = 1, 15, "33"
NEEDS = ("KERNEL",)
MISSING = "the channel of a number, and what threads beyond the end do"
HINTS = (
    "Numbers lie in the order n, c, p. How often does c change, and when does it begin again at 0?",
    "i / P counts the (n, c) pairs passed so far; and the last block has threads for numbers that are not there.",
    "if (i >= N * C * P) return; and int c = i / P % C;",
)
PREDICT = "There are 30 numbers and blocks of 32 threads. What do the last two threads do if nobody tells them?"
ANSWER = "They read and write beyond the ends of x and y. A GPU may not notice: other arrays lie there."


def case(N, C, P):
    rng = np.random.default_rng(N)
    x, bias = rng.standard_normal((N, C, P)), rng.standard_normal(C)
    arguments = {"x": x, "bias": bias, "y": cuda.Out(x.shape), "N": N, "C": C, "P": P}
    return cuda.Case((-(-x.size // 32), 1, 1), (32,), arguments, {"y": x + bias[:, None]})


def check(your):
    return cuda.kernel(your, "add_bias", [case(2, 3, 5), case(4, 2, 8)], MISSING)
