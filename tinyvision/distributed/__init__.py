"""Several processes that train one model: MPI starts them, numbers them and adds their gradients up.

    mpirun -n 4 python train.py

Every process (a *rank*) runs the same script. `init()` lets them find each other; before it, and in a process that was
started alone, `rank()` is 0, `world_size()` is 1 and everything below does nothing, so one script serves both.
`train.fit` does the rest by itself, as do `tinyvision train --processes 2` and `mpirun -n 4 tinyvision train
--distributed`. In a loop of your own, the model is wrapped in `nn.parallel.DistributedDataParallel`, batch-norm
becomes `nn.SyncBatchNorm`, and `DataLoader(..., shard=(rank(), world_size()))` cuts every batch; the numbers are then
those of one process.

Needs mpi4py and an MPI: `pip install 'tinyvision[distributed-local]'` brings both for one machine.
"""

from typing import TYPE_CHECKING

from .group import ReduceOp, check_equal, init, is_available, is_initialized, rank, world_size
from .spellings import (
    Work,
    all_gather,
    all_gather_into_tensor,
    all_gather_object,
    all_reduce,
    barrier,
    broadcast,
    broadcast_object_list,
    destroy_process_group,
    gather,
    get_backend,
    get_default_backend_for_device,
    get_rank,
    get_world_size,
    init_process_group,
    is_gloo_available,
    is_mpi_available,
    is_nccl_available,
    is_torchelastic_launched,
    reduce,
)

__all__ = [
    "ReduceOp",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "check_equal",
    "destroy_process_group",
    "gather",
    "get_backend",
    "get_default_backend_for_device",
    "get_rank",
    "get_world_size",
    "init",
    "init_process_group",
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "rank",
    "reduce",
    "world_size",
]

if not TYPE_CHECKING:
    from ..missing import missing

    __getattr__ = missing(
        "torch.distributed",
        __all__,
        {
            "DistributedDataParallel": "it is nn.parallel.DistributedDataParallel",
            "DistributedSampler": "it is utils.data.distributed.DistributedSampler",
            "convert_sync_batchnorm": "it is nn.SyncBatchNorm.convert_sync_batchnorm",
            "launch": "MPI starts the processes: mpirun -n 4 python train.py, or python -m tinyvision.distributed.run",
            "new_group": "all ranks are one group",
        },
    )
