"""Weight files: `load` reads what PyTorch, safetensors and NumPy write, `save` writes it. Nothing in a file
is run.

    state = load("resnet18-f37072fd.pth")       # names -> arrays
    save(state, "resnet18.safetensors")

`find_weights` (in `tinyvision.weights.hub`) knows where pretrained weights come from.
"""

import os
import stat
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError, WeightsError
from ..formats import npz, pth, pth_writer
from ..formats import safetensors as safe
from ..formats.files import atomic_write
from ..formats.refused import Refused
from ..formats.zip import DEFLATED, STORED, ZipArchive

__all__ = ["load", "load_with_metadata", "save"]

_MAX_MESSAGE = 300
_SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")
_MISTAKES = (
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"<", "a web page; the download went wrong"),
    (b"\x93NUMPY", "a single .npy array; only .npz archives have names"),
    (b"\x89HDF", "an HDF5 file; only .pth, .safetensors and .npz are read"),
    (b"\x1f\x8b", "gzipped; unpack it first"),
    (b"\x80", "a bare pickle; only .pth, .safetensors and .npz are read"),
)


def load(path: str | PathLike[str], *, map_location: Any = None, weights_only: bool = True) -> dict[str, Any]:
    """Read the weights in a file -> dict of name -> NumPy array, without running anything that is in it.

    path   a file; what it is, is seen from its content:
           .pth/.pt in PyTorch's zip format, its legacy format and its tar format of 2017; .safetensors; .npz
    ->     arrays of float64/32/16, int64/32/16/8, uint64/32/16/8 and bool in the machine's byte order;
           bfloat16 becomes float32. They are the caller's own, except that tensors which share memory in a
           .pth share it here too, and that repeated elements (stride 0) make an array read-only.

    From a .pth that holds more than a state dict, the state dict is taken (the entry 'state_dict', 'model',
    ..., or the only dict of tensors; else all tensors, with dotted names), and a prefix 'module.' that all
    names share is removed. A .npz may unpack to at most 48 MiB + 6 times its size. Checksums are
    compared, except in a zip that was written without any (all zero).

    map_location   the device on which the arrays shall be, for instance "cuda"; else they are NumPy arrays
    weights_only   as in PyTorch, but there is no other way here: False is refused

    Raises WeightsError, in one line, if the file cannot be read or holds anything else; OptionError, DeviceError."""
    if weights_only is not True:
        raise OptionError("load: only weights are read here, and nothing in a file is ever run; leave weights_only out")
    state = load_with_metadata(path)[0]
    if map_location is None:
        return state
    from ..device import to_device

    return to_device(state, map_location)


def load_with_metadata(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """As `load`, but -> (arrays by name, metadata): the dict of text that `save` put into a .safetensors
    file.

    For files of other kinds the metadata are an empty dict."""
    try:
        name = os.fspath(path)
        # Opening a pipe would wait for a writer, and a device may never end.
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise Refused("a folder" if os.path.isdir(name) else "not a regular file")
        with open(name, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except TypeError:
        raise OptionError(f"load: path is a {type(path).__name__}; give a file's name") from None
    except Refused as reason:
        raise WeightsError(_message(path, f"refused: {reason}")) from None
    except FileNotFoundError:
        raise WeightsError(_message(path, "no such file")) from None
    except MemoryError:
        raise WeightsError(_message(path, "there is not enough memory for its tensors")) from None
    except (OSError, ValueError) as reason:
        # A ValueError can only come from a path with a NUL in it: _read raises nothing but Refused.
        raise WeightsError(_message(path, str(getattr(reason, "strerror", None) or reason))) from None


def _read(file, size):
    head = file.read(512)
    if not head:
        raise Refused("an empty file")
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        archive = ZipArchive(file, size, (STORED, DEFLATED))
        if pth.is_pth_zip(archive):
            return pth.read_zip(archive), {}
        if npz.is_npz(archive):
            return npz.read(archive), {}
        raise Refused("a zip archive that holds neither PyTorch's data.pkl nor NumPy's arrays")
    if head.startswith(pth.LEGACY_MAGIC):
        return pth.read_legacy(file, size), {}
    if head[257:262] == b"ustar":
        return pth.read_tar(file, size), {}
    if safe.looks_like_safetensors(head, size):
        return safe.read(file, size)
    for beginning, what in _MISTAKES:
        if head.startswith(beginning):
            raise Refused(what)
    raise Refused("neither .pth nor .safetensors nor .npz, or the beginning is damaged")


def _message(path, text):
    """One line of ASCII, whatever the path and the file contain."""
    shown = ascii(os.fspath(path))
    if len(shown) > 100:
        shown = "..." + shown[-97:]
    text = ascii(text)[1:-1].replace('\\"', '"').replace("\\'", "'").replace("\\\\", "\\")
    return f"{shown}: {text}"[:_MAX_MESSAGE]


def save(state: Any, path: str | PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a dict of name -> array to a file: under `path` there is the old file or the whole new one.

    state     NumPy or CuPy arrays, or tensors of ours or of PyTorch; in C order and little-endian in the file
    path      ends in .safetensors, .npz, .pth or .pt (which `torch.load(path, weights_only=True)` opens)
    metadata  a dict of text, kept by .safetensors only

    Raises OptionError for another suffix or for metadata that cannot be kept, WeightsError for names and
    values that the format cannot hold and if the file cannot be written (folder missing, disk full, ...)."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise OptionError(f"save: {path} does not end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")
    if metadata and suffix != ".safetensors":
        raise OptionError(f"save: a {suffix} file cannot keep metadata; use .safetensors")
    texts = [*metadata.keys(), *metadata.values()] if isinstance(metadata, Mapping) else [metadata or ""]
    if not all(type(text) is str and _is_unicode(text) for text in texts) or (metadata and len(texts) == 1):
        raise OptionError("save: metadata is a dict of text to text")
    if not isinstance(state, Mapping):
        raise WeightsError(f"save: state is a {type(state).__name__}, not a dict of name to array")
    arrays = {}
    for name, value in state.items():
        _check_name(name, suffix)
        arrays[name] = _as_array(name, value, suffix)
    with atomic_write(path, error=WeightsError) as file:
        if suffix == ".safetensors":
            safe.write(file, arrays, dict(metadata or {}))
        elif suffix == ".npz":
            npz.write(file, arrays)
        else:
            pth_writer.write(file, arrays)


def _is_unicode(text):
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _check_name(name, suffix):
    if type(name) is not str or not name or not _is_unicode(name):
        raise WeightsError(f"save: a name is text and not empty, got {ascii(name)[:100]}")
    if suffix == ".safetensors" and name == "__metadata__":
        raise WeightsError("save: safetensors keeps the name '__metadata__' for itself")
    if suffix == ".npz" and (name[0] == "/" or ".." in name.split("/") or set(name) & set("\\:\0") or len(name) > 1000):
        raise WeightsError(f"save: {ascii(name)[:100]} cannot be the name of a record in an .npz file")


def _as_array(name, value, suffix):
    """A NumPy array from NumPy, CuPy, or anything tensor-like, with a dtype that the format knows."""
    if hasattr(value, "detach"):
        value = value.detach()
        value = (value.cpu() if hasattr(value, "cpu") else value).numpy()
    if hasattr(value, "__cuda_array_interface__"):
        value = value.get()
    if not isinstance(value, (np.ndarray, np.generic)) or isinstance(value, np.ma.MaskedArray):
        raise WeightsError(f"save: {ascii(name)[:100]} is a {type(value).__name__}, not an array")
    array = np.asarray(value)
    known = pth_writer.KINDS if suffix in (".pth", ".pt") else safe.KINDS
    if array.dtype.str[1:] not in known:
        raise WeightsError(f"save: {ascii(name)[:100]} has dtype {array.dtype}, which {suffix} files do not know")
    return array
