"""SUPPORTED.md: every public name of PyTorch's rooms, here or not and why, made from the installed torch."""

import importlib
import inspect
from collections import defaultdict
from pathlib import Path

import tinyvision
from tinyvision.missing import MissingName
from tinyvision.missing.reasons import INNER, UNBUILT, instead, reason
from tinyvision.nn.absent import is_absent

PAGE = Path(__file__).with_name("SUPPORTED.md")
ROOMS = (
    *("torch", "torch.Tensor", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.optim"),
    *("torch.optim.lr_scheduler", "torch.utils.data", "torchvision.transforms", "torchvision.transforms.v2"),
    *("torchvision.datasets", "torchvision.models", "torchvision.ops", "torchvision.utils"),
)


def page():
    """The text of SUPPORTED.md. Raises ImportError without torch and torchvision."""
    import torch

    try:
        import torchvision
    except RuntimeError:  # its compiled half does not fit this torch; names are all that is wanted of it
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

    rows, parts = [], []
    for room in ROOMS:
        here, absent = _sorted_out(room)
        inner = absent.pop(INNER, [])
        rows.append(f"| `{room}` | {len(here)} | {sum(map(len, absent.values()))} | {len(inner)} |")
        parts.append(f"## {room}\n\nHere: " + ", ".join(f"`{n}`" for n in here) + "\n")
        parts += [f"Not here, {why}: {_listed(names)}\n" for why, names in absent.items()]
    versions = ", ".join(f"{m.__name__} {m.__version__.split('+')[0]}" for m in (torch, torchvision))
    head = f"""# What is here of PyTorch, and what is not

Made by `python -m tutorials supported --write` beside {versions}. A name that is here
means what PyTorch means by it, and refuses by name the options that are not. Inner parts are names that PyTorch's
modules hold for themselves; they are counted, not listed.

| room | here | not here | inner parts |
|---|---|---|---|
"""
    return head + "\n".join(rows) + "\n\n" + "\n".join(parts)


def counts():
    """The table of counts of the page that is kept."""
    return "\n".join(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


def _sorted_out(room):
    """(names that are here, {why: names that are not}) of one room."""
    theirs, ours = _find(room, room.partition(".")[0]), _find(room, "tinyvision")
    names = [n for n in sorted(dir(theirs)) if not n.startswith("_") and not _foreign(getattr(theirs, n, None))]
    here = [n for n in names if hasattr(ours, n) and not is_absent(getattr(ours, n))]
    absent = defaultdict(list)
    for name in names:
        if name not in here:
            absent[_why(room, ours, name)].append(name)
    return here, {why: absent[why] for why in sorted(absent, key=lambda w: (w == UNBUILT, w))}


def _find(room, root):
    """PyTorch's room, or ours of the same place."""
    first, *rest = room.split(".")
    value = tinyvision if root == "tinyvision" else importlib.import_module(first)
    for part in [first, *rest] if root == "tinyvision" and first == "torchvision" else rest:
        value = getattr(value, part, None) or importlib.import_module(f"{value.__name__}.{part}")
    return value


def _why(room, ours, name):
    try:
        getattr(ours, name)
    except MissingName as error:
        own = error.args[3]
        if name in own:
            return own[name]
    except AttributeError:
        pass
    return reason(room.replace("torch.Tensor", "Tensor"), name)


def _foreign(value):
    """True for modules, and for what a module imports from Python's own library."""
    module = getattr(value, "__module__", None) or ""
    return inspect.ismodule(value) or module.partition(".")[0] in (
        "typing",
        "collections",
        "functools",
        "warnings",
        "math",
    )


def _listed(names):
    return ", ".join(f"`{n}` (instead: {instead('', n)})" if instead("", n) else f"`{n}`" for n in names)
