"""PyTorch's import paths of files that are not files here: `from torch.utils.data.sampler import Sampler`."""

import sys


def stand_for(room: str, *files: str) -> None:
    """Make `room.file` the room itself, for `import`, `from ... import` and as an attribute.

    room   the name of a module that is being imported, which holds all that PyTorch spreads over these files"""
    module = sys.modules[room]
    for file in files:
        sys.modules[f"{room}.{file}"] = module
        vars(module).setdefault(file, module)
