"""Columns of a convolution, gathered: each thread fetches one number.

x (C, H, W)  ->  columns (C·K·K, OH·OW) for a K×K kernel with stride S and padding P
Row (c, u, v) and column (oh, ow) hold x[c, oh·S + u - P, ow·S + v - P], or 0 outside of the picture.
"""

KERNEL = r"""
extern "C" __global__ void columns(const float* x, float* y, int C, int H, int W, int K, int S, int P, int OH, int OW) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= C * K * K * OH * OW) return;
    int ow = i % OW, oh = i / OW % OH;
    int row = i / (OW * OH);
    # solution:
    int v = row % K, u = row / K % K, c = row / (K * K);
    int h = oh * S + u - P, w = ow * S + v - P;
    bool inside = h >= 0 && h < H && w >= 0 && w < W;
    y[i] = inside ? x[(c * H + h) * W + w] : 0.f;
    # skeleton:
    # int v = ..., u = ..., c = ...;
    # int h = ..., w = ...;
    # bool inside = ...;
    # y[i] = inside ? x[(c * H + h) * W + w] : 0.f;
    # end
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: columns"
LEVEL, MINUTES, PAGE = 2, 20, "33"
NEEDS = ("KERNEL",)
MISSING = "which pixel a number comes from, and whether it is in the picture"
HINTS = (
    "A row's number is (c·K + u)·K + v. What is left of it when it is divided by K?",
    "v = row % K; then row / K is c·K + u, and it goes on alike. A pixel has four sides on which it can be outside.",
    "u = row / K % K, c = row / (K * K); h = oh * S + u - P; inside = h >= 0 && h < H && w >= 0 && w < W",
)
PREDICT = "A pixel at w = -1 is not asked about. Which number of x does x[(c·H + h)·W + w] read then?"
ANSWER = "The last one of the row above: a wrong number, and no crash. Only the very first row reads outside of x."


def case(C, H, W, K, S, P):
    x = np.random.default_rng(C).standard_normal((C, H, W))
    padded = np.pad(x, ((0, 0), (P, P), (P, P)))
    OH, OW = (H + 2 * P - K) // S + 1, (W + 2 * P - K) // S + 1
    right = np.stack([padded[:, u : u + S * OH : S, v : v + S * OW : S] for u in range(K) for v in range(K)], 1)
    right = right[:, :, :OH, :OW].reshape(C * K * K, OH * OW)
    sizes = {"C": C, "H": H, "W": W, "K": K, "S": S, "P": P, "OH": OH, "OW": OW}
    grid = (-(-right.size // 64), 1, 1)
    return cuda.Case(grid, (64,), {"x": x, "y": cuda.Out(right.shape), **sizes}, {"y": right})


def check(your):
    return cuda.kernel(your, "columns", [case(2, 5, 7, 3, 2, 1), case(3, 6, 4, 2, 1, 0)], MISSING)
