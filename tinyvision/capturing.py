"""CUDA graphs: work that was launched once, kept as one thing that the driver repeats with a single call."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .device import DeviceName, device, recording, replays, require_cuda


def capture(work: Any, where: DeviceName = "cuda") -> Any:
    """(what `work()` returns, a function that does the same work again): the launches of `work` as one CUDA graph.

    Nothing is computed before the first replay. All memory that `work` asks for comes from a pool which lives as long
    as the function, so a replay finds its arrays where they were. Raises what `work` raises, and DeviceError."""
    results: list[Any] = []
    (replay,) = capture_in_turn([lambda: results.append(work())], where)
    return results[0], replay


def capture_in_turn(works: Sequence[Callable[[], Any]], where: DeviceName = "cuda") -> list[Callable[[], None]]:
    """For each of `works` a function that does it again, as `capture` makes it. They share a pool of memory, so that
    each can go on with what those before it have left, and are to be replayed in their order."""
    where = device(where)
    cupy = require_cuda(where)
    with cupy.cuda.Device(where.index):
        pool, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        return [_capture(cupy, work, where, pool, stream) for work in works]


def _capture(cupy, work, where, pool, stream):
    with cupy.cuda.Device(where.index):
        cupy.cuda.get_current_stream().synchronize()
        with stream, cupy.cuda.using_allocator(pool.malloc):
            stream.begin_capture()
            recording.now = True
            try:
                work()
            except BaseException:
                with suppress(Exception):  # it may have ended by itself, with the error that is on its way
                    stream.end_capture()
                raise
            finally:
                recording.now = False
            graph = stream.end_capture()

    def replay(pool=pool):  # keeps the pool
        replays[0] += 1
        with cupy.cuda.Device(where.index):
            present = cupy.cuda.get_current_stream()
            stream.wait_event(present.record())
            graph.launch(stream)
            present.wait_event(stream.record())

    return replay
