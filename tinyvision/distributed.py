"""What a script asks of torch.distributed before it decides to train in one process: that is all there is here."""

from typing import TYPE_CHECKING


def is_available() -> bool:
    """False: training here runs in one process, on one device."""
    return False


def is_initialized() -> bool:
    """False: there is no process group."""
    return False


__all__ = ["is_available", "is_initialized"]

if not TYPE_CHECKING:
    from .missing import missing

    _ALONE = "training here runs in one process, on one device"
    _REASONS = dict.fromkeys(
        ("init_process_group", "get_rank", "get_world_size", "all_reduce", "barrier", "broadcast", "all_gather"), _ALONE
    )
    __getattr__ = missing("torch.distributed", __all__, _REASONS)
