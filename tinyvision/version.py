"""torch.version: which CUDA is in use, `torch.version.cuda`, None without a GPU that can be used."""

from typing import TYPE_CHECKING, Any

from .device import report
from .missing import missing

cuda: str | None  # its runtime's version, "12.9"; looked up when it is asked for
hip = None  # GPUs of AMD's are not used here

__all__ = ["cuda", "hip"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "cuda":
            return report()["runtime"]
        return missing("torch.version", __all__)(name)
