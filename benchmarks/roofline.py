"""The two ceilings of this machine, measured: how fast it multiplies large matrices, and how fast it copies memory.

No convolution by its definition can be faster than the first allows for its multiplications, or than the second
allows for its image, kernels and output moved once (Williams, Waterman, Patterson, "Roofline", 2009). Multiplications
are counted as the definition has them. Winograd's way needs fewer, so it may exceed 100 % of the ceiling.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import timing

SIZE = 2048  # a product of this size takes a tenth of a second and is as fast as any larger one
COPIED = 192 << 20  # bytes: several times the largest last-level cache in common use


def ceilings(threads, turns=8):
    """{"1": {"product": FLOP/s, "copy": B/s}, str(threads): ...}: the best of `turns` tries, by NumPy or PyTorch."""
    return {str(n): {"product": product(n, turns), "copy": copy(n, turns)} for n in sorted({1, threads})}


def product(threads, turns):
    """FLOP/s of a large square float32 product: the better of NumPy's BLAS and PyTorch, if that is loaded."""
    import sys

    from threadpoolctl import threadpool_limits

    a, b = (np.random.default_rng(seed).standard_normal((SIZE, SIZE), np.float32) for seed in (0, 1))
    works = {"NumPy": lambda: a @ b}
    torch = sys.modules.get("torch")
    if torch:
        left, right = torch.from_numpy(a), torch.from_numpy(b)
        works["PyTorch"] = lambda: left @ right
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            times = timing.alternate(works, turns, warm_up=1)
    finally:
        if torch:
            torch.set_num_threads(before)
    return 2 * SIZE**3 / min(min(values) for values in times.values())


def copy(threads, turns):
    """Bytes read and written per second by `threads` threads that copy parts of one large array."""
    source = np.ones(COPIED // 4, np.float32)
    target = np.zeros_like(source)
    pieces = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        times = timing.alternate({"copy": lambda: list(pool.map(lambda p: np.copyto(p[1], p[0]), pieces))}, turns)
    return 2 * COPIED / min(times["copy"])


def bound(flops, least_bytes, ceiling):
    """Seconds that the roofline allows: the slower of multiplying and moving."""
    return max(flops / ceiling["product"], least_bytes / ceiling["copy"])
