"""Every exception that tinyvision raises on purpose.

All of them derive from `TinyVisionError`, and each also derives from the built-in exception a Python
programmer would expect, so `except ValueError` keeps working for code that has never heard of us.
"""

import re

from .printable import printable


class TinyVisionError(Exception):
    """Base class: `except TinyVisionError` catches whatever this library raises deliberately.

    A message often names a file, a class or a tensor, and somebody else chose that name: what could move the cursor of
    a terminal or turn the direction of writing is escaped here, whoever raises the error and whoever shows it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(_readable(a) if isinstance(a, str) else a for a in args))


_SIZE = re.compile(r"torch\.Size\(\[(\d+(?:, \d+)*)?\]\)")


def _readable(message):
    """The message without what could move a cursor, and with all shapes as tuples: a tensor's prints as PyTorch's."""
    if "torch.Size(" in message:
        message = _SIZE.sub(lambda found: str(tuple(int(n) for n in (found[1] or "").split(", ") if n)), message)
    return "\n".join(printable(line, None) for line in message.split("\n"))


class ShapeError(TinyVisionError, ValueError):
    """Array shapes do not fit together. The message lists every argument with its axes and its shape."""


class DtypeError(TinyVisionError, TypeError):
    """An array holds numbers of the wrong kind, such as integer pixels where a float is needed."""


class OptionError(TinyVisionError, ValueError):
    """An option has a value, or a combination of values, that has no meaning or is not supported."""


class DeviceError(TinyVisionError, RuntimeError):
    """A device is not available, or arrays live on different devices. The message names the remedy."""


class OutOfMemoryError(DeviceError, MemoryError):
    """A device has not the memory that an array needs. The message says which array, and what to reduce."""

    @classmethod
    def on(cls, device: str, error: BaseException) -> "OutOfMemoryError":
        """The one that says what an allocator's error says."""
        return cls(
            f"{device}: not enough {'memory' if device == 'cpu' else 'GPU memory'} ({error}); use a smaller batch or "
            f"smaller images, free tensors that are still referenced (a list of losses keeps their graphs: append "
            f"loss.item()), or close other programs that use it"
        )


class GraphError(TinyVisionError, RuntimeError):
    """`backward()` cannot do what it was asked: nothing was recorded, or the record has been used up."""


class SharingError(TinyVisionError, BufferError):
    """Memory cannot be handed to another library as it lies."""


class WeightsError(TinyVisionError, ValueError):
    """A weight file, or a state dict, is malformed, refused for safety, or does not fit the model."""


class DataError(TinyVisionError, ValueError):
    """A data file or folder is missing, truncated, corrupt, or not what its name promises."""


class FileError(TinyVisionError, OSError):
    """A file cannot be written: its folder is missing or protected, or the disk is full."""


class DownloadError(TinyVisionError, OSError):
    """A file could not be fetched, or what arrived is not the file that was asked for."""


class CheckpointError(TinyVisionError, ValueError):
    """A training checkpoint cannot be written, read, or continued with the present settings."""


class ExportError(TinyVisionError, ValueError):
    """A model has a part that another engine's format cannot say."""


class TrainingError(TinyVisionError, ArithmeticError):
    """Training cannot go on, for instance because the loss is no longer a finite number."""


class DistributedError(TinyVisionError, RuntimeError):
    """The processes of a job cannot find each other, do not agree, or one of them is gone. The message says which."""
