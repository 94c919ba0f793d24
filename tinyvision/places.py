"""PyTorch's import paths that are no files here: `from torch.utils.data.sampler import Sampler`.

Some stand for what is found elsewhere. The others are PyTorch's rooms that are not built, and an import of one is told
why: Python would only say that there is no such module."""

import importlib
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

_OURS = "tinyvision."


def stand_for(room: str, *files: str) -> None:
    """Make `room.file` the room itself, for `import`, `from ... import` and as an attribute.

    room   the name of a module that is being imported, which holds all that PyTorch spreads over these files"""
    module = sys.modules[room]
    for file in files:
        sys.modules[f"{room}.{file}"] = module
        vars(module).setdefault(file.rpartition(".")[2], module)


def hand_on(room: str, other: str, *files: str) -> None:
    """Make `room.file` the module `other.file`, and let that say what it has not: PyTorch keeps in `room` what is in
    `other` here."""
    from .missing import missing

    for file in files:
        found = sys.modules[f"{room}.{file}"] = importlib.import_module(f"{other}.{file}")
        vars(sys.modules[room]).setdefault(file, found)
        names = getattr(found, "__all__", ())
        vars(found).setdefault("__getattr__", missing(f"{_theirs(room)}.{file}", names))


def _theirs(path: str) -> str:
    """What PyTorch calls a module: "torchvision.models" for "tinyvision.torchvision.models", "torch.nn"."""
    path = path.removeprefix(_OURS)
    return path if path.startswith("torchvision.") else f"torch.{path}"


def explain_imports() -> None:
    """Let an import of a module that PyTorch has, and this has not, fail with the reason."""
    if _Unbuilt not in sys.meta_path:
        sys.meta_path.append(_Unbuilt)  # behind all others, so it is asked only for what none of them has found


class _Unbuilt:
    """What Python asks for the module of a name. An import is told why there is none; `importlib.util.find_spec`, which
    asks whether there is one, gets a plain no."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Raise ModuleNotFoundError, with the reason, for a module of PyTorch's; of others this knows nothing."""
        if not name.startswith(_OURS) or not _is_import(sys._getframe(1)):
            return
        from .missing import MissingName, sentence
        from .missing.module_paths import is_module

        room, _, file = _theirs(name).rpartition(".")
        if not is_module(room, file):
            return
        try:
            getattr(sys.modules[name.rpartition(".")[0]], file)  # the room may have a reason of its own
            said = sentence(room, file, ())
        except MissingName as reason:
            said = str(reason)
        raise ModuleNotFoundError(said, name=name)


def _is_import(frame: FrameType | None) -> bool:
    """True if it is an import for which Python's `_find_spec`, in this frame, asks the finders."""
    asker = frame.f_back if frame is not None else None
    return asker is not None and asker.f_code.co_name == "_find_and_load_unlocked"
