"""A product of matrices by tiles: a block of 8×8 threads reads each number once and uses it eight times.

a (M, K), b (K, N)  ->  c (M, N) = a @ b
Block (x, y) makes the 8×8 numbers of c from row 8·y and column 8·x on; thread (x, y) makes one of them. Step by step,
the block puts a tile of a and a tile of b into shared memory, all wait, and each thread adds up eight products.
"""

KERNEL = r"""
#define T 8
extern "C" __global__ void product(const float* a, const float* b, float* c, int M, int K, int N) {
    __shared__ float left[T][T], right[T][T];
    int x = threadIdx.x, y = threadIdx.y;
    int row = blockIdx.y * T + y, column = blockIdx.x * T + x;
    float sum = 0.f;
    for (int k = 0; k < K; k += T) {
        left[y][x] = row < M && k + x < K ? a[row * K + k + x] : 0.f;
        # solution:
        right[y][x] = k + y < K && column < N ? b[(k + y) * N + column] : 0.f;
        __syncthreads();
        for (int i = 0; i < T; i++) sum += left[y][i] * right[i][x];
        __syncthreads();
        # skeleton:
        # right[y][x] = ...;
        # for (int i = 0; i < T; i++) sum += left[y][i] * right[i][x];
        # end
    }
    if (row < M && column < N) c[row * N + column] = sum;
}
"""


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import cuda

TITLE = "a kernel: a product by tiles"
LEVEL, MINUTES, PAGE = 3, 30, "33"
NEEDS = ("KERNEL",)
MISSING = "the tile of b, and the places where all threads wait"
HINTS = (
    "Thread (x, y) reads what the other 63 have put there. How does it know that they have?",
    "Once before anybody reads the tiles; and once more before anybody overwrites them in the next round.",
    "right[y][x] = k + y < K && column < N ? b[(k + y) * N + column] : 0.f; __syncthreads() before and after the sum",
)
PREDICT = "The second __syncthreads() is forgotten, and the result is right in a thousand runs. Is the kernel right?"
ANSWER = "No: a fast warp may overwrite a tile that a slow one still reads. That it never happened is luck."


def case(M, K, N):
    rng = np.random.default_rng(M)
    a, b = rng.standard_normal((M, K)), rng.standard_normal((K, N))
    arguments = {"a": a, "b": b, "c": cuda.Out((M, N)), "M": M, "K": K, "N": N}
    return cuda.Case((-(-N // 8), -(-M // 8), 1), (8, 8), arguments, {"c": a @ b})


def check(your):
    return cuda.kernel(your, "product", [case(8, 16, 8), case(11, 13, 10)], MISSING)
