"""Sums over channels, as a convolution's bias gradient needs them: many threads, one number.

dy (N, C, P)  ->  dbias (C): the sum over n and p
One block of 64 threads for each channel. Each thread first adds up its share; then half of the threads add the other
half's sums to their own, then half of these, until one is left.
"""

KERNEL = r"""
extern "C" __global__ void channel_sums(const float* dy, float* dbias, int N, int C, int P) {
    __shared__ float sums[64];
    int t = threadIdx.x, c = blockIdx.x;
    float sum = 0.f;
    for (int i = t; i < N * P; i += 64) sum += dy[(i / P * C + c) * P + i % P];
    sums[t] = sum;
    # solution:
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
        if (t < half) sums[t] += sums[t + half];
        __syncthreads();
    }
    # skeleton:
    # for (int half = 32; half > 0; half /= 2) {
    #     ...
    # }
    # end
    if (t == 0) dbias[c] = sums[0];
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: channel sums"
LEVEL, MINUTES, PAGE = 3, 25, "33"
NEEDS = ("KERNEL",)
MISSING = "half of the threads adding the other half, and the waits between"
HINTS = (
    "Thread 0 adds sums[32] to its own. Who wrote sums[32], and has it been written yet?",
    "Only threads below half add; *all* threads wait. A __syncthreads() that some threads never reach hangs a GPU.",
    "__syncthreads(); then for each half: if (t < half) sums[t] += sums[t + half]; __syncthreads();",
)
PREDICT = "Would it do to let every thread say dbias[c] += sum, without shared memory?"
ANSWER = "No: two threads read the same old sum, and one of the two additions is lost. It is the classic race."


def case(N, C, P):
    dy = np.random.default_rng(P).standard_normal((N, C, P))
    arguments = {"dy": dy, "dbias": cuda.Out((C,)), "N": N, "C": C, "P": P}
    return cuda.Case((C, 1, 1), (64,), arguments, {"dbias": dy.sum((0, 2))})


def check(your):
    return cuda.kernel(your, "channel_sums", [case(3, 2, 35), case(2, 3, 5)], MISSING)
