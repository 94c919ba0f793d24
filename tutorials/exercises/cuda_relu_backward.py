"""ReLU's gradient by a fixed number of threads, each of which takes many numbers.

dy, x: count numbers  ->  dx: dy where x > 0, else 0
Two blocks of 32 threads are launched, whatever the count: thread t takes numbers t, t + 64, t + 128, ...
"""

KERNEL = r"""
extern "C" __global__ void relu_backward(const float* dy, const float* x, float* dx, int count) {
    int first = blockIdx.x * blockDim.x + threadIdx.x;
    # solution:
    int step = gridDim.x * blockDim.x;
    for (int i = first; i < count; i += step) dx[i] = x[i] > 0.f ? dy[i] : 0.f;
    # skeleton:
    # int step = ...;  // how many threads there are in all
    # for (int i = first; i < count; i += step) dx[i] = ...;
    # end
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: ReLU backward"
LEVEL, MINUTES, PAGE = 1, 10, "33"
NEEDS = ("KERNEL",)
MISSING = "the step from one number of a thread to its next, and the gradient"
HINTS = (
    "Thread 0 takes number 0. Which thread takes number 1, and which is the first number that nobody has taken?",
    "All threads together take gridDim.x · blockDim.x numbers in one go.",
    "int step = gridDim.x * blockDim.x; dx[i] = x[i] > 0.f ? dy[i] : 0.f",
)
PREDICT = "Why should neighbouring threads take neighbouring numbers, and not each a stretch of its own?"
ANSWER = "A warp's 32 numbers then lie side by side, and memory hands them over in one piece of 128 bytes."


def case(count):
    rng = np.random.default_rng(count)
    dy, x = rng.standard_normal((2, count))
    x[::7] = 0
    arguments = {"dy": dy, "x": x, "dx": cuda.Out((count,)), "count": count}
    return cuda.Case((2, 1, 1), (32,), arguments, {"dx": dy * (x > 0)})


def check(your):
    return cuda.kernel(your, "relu_backward", [case(150), case(20)], MISSING)
