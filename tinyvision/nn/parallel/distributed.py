"""DistributedDataParallel: one model on several processes, whose gradients are those of one process.

Each rank computes its own rows of a batch. The loss of the whole batch is the mean over all rows, so a rank's gradient
counts by its share of them: n of N rows. The share is multiplied in where the backward enters the model, so that
everything inside, SyncBatchNorm as well, sees gradients of one and the same loss. While the backward goes on, the
gradients that it has finished are added up over the ranks (see `buckets`); then all ranks take the same step.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...device import is_capturing
from ...distributed import group, shares
from ...distributed.group import check_agreement, digest
from ...errors import DistributedError, OptionError, ShapeError
from ...grad_mode import is_grad_enabled
from ...ops.checks import is_number
from ...tape import Variable, differentiable
from ...walks import at_the_end, when_ready
from ..module import Module
from .buckets import Buckets, state_of


def _entered_forward(x, weight=1.0, buckets=None):
    """y = x: the door between a model and its loss."""
    return x, (weight, buckets)


def _entered_backward(dy, cache, needs=(True,)):
    """dx = weight · dy; from here on, gradients that are ready are exchanged, and all are at the end."""
    weight, buckets = cache
    if buckets is not None and at_the_end(buckets.finish):
        buckets.begin()
    return (dy * dy.dtype.type(weight),)


_entered = differentiable(_entered_forward, _entered_backward, views=True)


class DistributedDataParallel(Module):
    """Calls `module`; after every backward, each rank's gradients are those of the mean over the rows of all ranks.

    module   the same on all ranks; it begins with rank 0's weights. Names in the state dict begin with 'module.'
    bucket_cap_mb
             gradients cross between ranks in pieces of about so many MiB (8)
    find_unused_parameters, gradient_as_bucket_view, static_graph, broadcast_buffers
             change nothing here: which parameters were used, on whatever rank, is always counted. Gradients live in
             memory that the next backward uses again. Buffers are each rank's own, until `sync_buffers()`

    The loss must be the mean over the rows of a batch, with labels that all count alike. Ranks may have different
    numbers of rows; random numbers that are drawn for rows are those that one process draws. With batch-norm, only
    nn.SyncBatchNorm computes what one process does.
    Raises OptionError, and DistributedError if the ranks have different models or do not come."""

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        *,
        find_unused_parameters: bool = False,
        bucket_cap_mb: float | None = None,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        if not isinstance(module, Module):
            raise OptionError(f"DistributedDataParallel: expected a module, got {type(module).__name__}")
        if (device_ids is not None and len(device_ids) > 1) or dim != 0:
            raise OptionError("DistributedDataParallel: a rank has one device, and batches lie along axis 0")
        if bucket_cap_mb is not None and (not is_number(bucket_cap_mb) or not bucket_cap_mb > 0):
            raise OptionError(f"DistributedDataParallel: bucket_cap_mb is a number above 0, got {bucket_cap_mb!r}")
        self.module, self._syncing = module, True
        self._bytes = (8 if bucket_cap_mb is None else bucket_cap_mb) * 2**20
        self._buckets: Buckets | None = None
        self._check_same_model()
        for tensor in (*module.parameters(), *module.buffers()):
            group.broadcast(tensor, what="the copying of rank 0's weights")

    def _check_same_model(self):
        named = [*self.module.named_parameters(), *self.module.named_buffers()]
        shapes = {f"{name} {t.dtype} {tuple(t.shape)} {t.requires_grad}": np.zeros(0) for name, t in named}
        own = np.frombuffer(digest(shapes), np.uint8)
        table = group.gather(own, "the comparison of the models")
        check_agreement(table, "DistributedDataParallel: the names or shapes of the weights on", "from those on rank 0")

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module makes of this rank's rows: axis 0 of the first tensor."""
        if not self.training or not is_grad_enabled() or group.world_size() == 1:
            return self.module(*inputs, **options)
        if is_capturing():
            raise DistributedError(
                "DistributedDataParallel: the ranks tell each other in every step how many rows they have, which a "
                "CUDA graph would not repeat; train on several ranks without capturing"
            )
        rows, start, counted, total = self._rows(inputs, options)
        with shares.rows_of_all(start, rows, total):
            output = self.module(*inputs, **options)
        # Gradients are averaged over the ranks: what is equal on all of them already, such as a gradient that was
        # exchanged before and is added to, then stays as it is.
        weight = counted / total * group.world_size()
        return _through(output, weight, self._current_buckets() if self._syncing else None)

    def _rows(self, inputs, options):
        """(rows that this rank computes, number of the first, how many of them count, rows of all ranks)"""
        first = next((x for x in (*inputs, *options.values()) if isinstance(x, Variable) and x.shape), None)
        if first is None:
            raise ShapeError("DistributedDataParallel: no input is a tensor with rows along axis 0")
        rows, counted = first.shape[0], 0 if shares.is_stand_in() else first.shape[0]
        if rows != 1 and shares.is_stand_in():
            raise DistributedError(
                f"DistributedDataParallel: rank {group.rank()} has no row of this batch and was handed one as a "
                f"stand-in, but the model got {rows}; call it with the batch that came last"
            )
        counts = group.gather(np.array([counted], np.int64), "the count of the batch's rows").ravel()
        total = int(counts.sum())
        if not total:
            raise ShapeError("DistributedDataParallel: no rank has any row")
        start = int(counts[: group.rank()].sum()) if counted else 0
        return rows, start, counted, total

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A `with` block in which gradients gather on each rank: the next backward after it exchanges their sum."""
        before, self._syncing = self._syncing, False
        try:
            yield
        finally:
            self._syncing = before

    def sync_buffers(self) -> None:
        """Average the running statistics of all ranks, which local batch-norm lets drift apart; all ranks call it.

        Do so before evaluating or saving. Buffers of whole numbers become rank 0's. Raises DistributedError."""
        for buffer in self.module.buffers():
            if buffer.dtype.kind == "f":
                group.all_reduce(buffer, "mean", "the averaging of buffers")
            else:
                group.broadcast(buffer, what="the averaging of buffers")

    def give_back(self) -> None:
        """The memory in which gradients were exchanged may be used for another model; all ranks call it at one point.

        Gradients that are there stay. A further backward makes such memory anew."""
        if self._buckets is not None:
            self._buckets.give_back()
            self._buckets = None

    def _current_buckets(self):
        """The buckets of the parameters that are trained; others than before, if the model has been moved since."""
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        if self._buckets is None or self._buckets.state != state_of(named):
            self._check_same_model()
            self._buckets = Buckets(named, self._bytes)
            tell = partial(_tell, weakref.ref(self._buckets))
            weakref.finalize(self._buckets, _call_all, [when_ready(p, tell) for _, p in named])
        return self._buckets


def _tell(buckets, p):
    """Tell buckets, if they are still there, of a parameter whose gradient is ready."""
    if (found := buckets()) is not None:
        found.ready(p)


def _call_all(functions):
    for function in functions:
        function()


def _through(output, weight, buckets):
    """All tensors of an output that depend on parameters, handed through the door."""
    if isinstance(output, Variable):
        return _entered(output, weight=weight, buckets=buckets) if output.requires_grad else output
    if isinstance(output, dict):
        return type(output)((key, _through(value, weight, buckets)) for key, value in output.items())
    if isinstance(output, (tuple, list)):
        parts = [_through(value, weight, buckets) for value in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return output
