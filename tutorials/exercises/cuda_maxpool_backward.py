"""Max pooling's gradient as a gather: each pixel asks its windows whether it won.

x (H, W), dy (OH, OW)  ->  dx (H, W), for windows of K×K pixels, S apart, without padding
Windows overlap where S < K, so that a thread for each *window* would have to add to pixels that others add to as well.
A thread for each *pixel* writes its own number alone. Of equal pixels, the first in reading order wins.
"""

KERNEL = r"""
__device__ bool wins(const float* x, int W, int top, int left, int K, int h, int w) {
    float best = x[h * W + w];
    for (int i = top; i < top + K; i++)
        for (int j = left; j < left + K; j++) {
            bool earlier = i < h || (i == h && j < w);
            if (x[i * W + j] > best || (earlier && x[i * W + j] == best)) return false;
        }
    return true;
}

extern "C" __global__ void maxpool_backward(const float* dy, const float* x, float* dx, int H, int W, int K, int S,
                                            int OH, int OW) {
    int w = blockIdx.x * blockDim.x + threadIdx.x, h = blockIdx.y * blockDim.y + threadIdx.y;
    if (h >= H || w >= W) return;
    float sum = 0.f;
    for (int oh = 0; oh < OH; oh++)
        for (int ow = 0; ow < OW; ow++) {
            int top = oh * S, left = ow * S;
            # solution:
            bool holds = h >= top && h < top + K && w >= left && w < left + K;
            if (holds && wins(x, W, top, left, K, h, w)) sum += dy[oh * OW + ow];
            # skeleton:
            # bool holds = ...;  // whether the window holds pixel (h, w)
            # ...
            # end
        }
    dx[h * W + w] = sum;
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: max-pool"
LEVEL, MINUTES, PAGE = 2, 20, "33"
NEEDS = ("KERNEL",)
MISSING = "whether a window holds the pixel, and its pay if the pixel won"
HINTS = (
    "A pixel may lie in four windows of 3×3 with stride 2, or in none. What does it get from each that it won?",
    "The window's rows are top to top + K - 1. Ask that first: wins() only knows pixels of the window.",
    "h >= top && h < top + K && w >= left && w < left + K; if (holds && wins(...)) sum += dy[oh * OW + ow];",
)
PREDICT = "A pixel at the edge lies in no window. What must its thread do?"
ANSWER = "Write 0. If it wrote nothing, whatever lay in memory before would pass for a gradient."


def case(H, W, K, S):
    rng = np.random.default_rng(H)
    x = rng.integers(-3, 4, (H, W)).astype(float)  # with ties
    OH, OW = (H - K) // S + 1, (W - K) // S + 1
    dy, dx = rng.standard_normal((OH, OW)), np.zeros((H, W))
    for oh in range(OH):
        for ow in range(OW):
            window = x[oh * S : oh * S + K, ow * S : ow * S + K]
            i, j = divmod(int(window.argmax()), K)
            dx[oh * S + i, ow * S + j] += dy[oh, ow]
    sizes = {"H": H, "W": W, "K": K, "S": S, "OH": OH, "OW": OW}
    arguments = {"dy": dy, "x": x, "dx": cuda.Out(dx.shape), **sizes}
    return cuda.Case((-(-W // 8), -(-H // 4), 1), (8, 4), arguments, {"dx": dx})


def check(your):
    return cuda.kernel(your, "maxpool_backward", [case(7, 10, 3, 2), case(6, 9, 2, 2)], MISSING)
