"""The import path of torch.multiprocessing, and nothing behind it: processes do not share the memory of tensors."""

from typing import TYPE_CHECKING

__all__: list[str] = []

if not TYPE_CHECKING:
    from .missing import missing

    _REASON = "tensors are not shared between processes; run processes of your own with Python's multiprocessing"
    _NAMES = ("Pool", "Process", "Queue", "get_context", "set_sharing_strategy", "set_start_method", "spawn")
    __getattr__ = missing("torch.multiprocessing", __all__, dict.fromkeys(_NAMES, _REASON))
