"""Files of weights and checkpoints: `load` reads what PyTorch, safetensors and NumPy write, `save` writes it.
Nothing in a file is run.

    save({"epoch": 3, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, "last.ckpt")
    checkpoint = load("last.ckpt")
    model.load_state_dict(checkpoint["state_dict"])

`find_weights` (in `tinyvision.weights.hub`) knows where pretrained weights come from.
"""

import io
import json
import os
import stat
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import atomic_write
from ..device import to_device
from ..errors import DataError, OptionError, WeightsError
from ..formats import npz, pth, pth_writer
from ..formats import safetensors as safe
from ..formats.refused import Refused, shown
from ..formats.source import read_bytes
from ..formats.zip import DEFLATED, STORED, ZipArchive
from ..nn.matching import named_tensors
from ..nn.module import Parameter
from ..tensors.tensor import Tensor

__all__ = ["load", "load_arrays", "load_with_metadata", "save"]

_MAX_MESSAGE = 300
_MAX_INDEX = 64 << 20  # bytes
_MISTAKES = (
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"<", "a web page; the download went wrong"),
    (b"\x93NUMPY", "a single .npy array; only .npz archives have names"),
    (b"\x89HDF", "an HDF5 file; only .pth, .safetensors and .npz are read"),
    (b"\x1f\x8b", "gzipped; unpack it first"),
    (b"\x80", "a bare pickle; only .pth, .safetensors and .npz are read"),
)


def load(
    f: str | PathLike[str] | Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = False,
) -> Any:
    """Read a checkpoint or weights, everything that is in the file, without running anything of it.

    f      a file, or an open binary file or `io.BytesIO`; what it is, is seen from its content, whatever its suffix:
           PyTorch's zip format, its legacy format and its tar format of 2017; .safetensors; .npz; or the
           `.index.json` of a checkpoint that was cut up, beside its parts
    ->     of a PyTorch file what was saved: nested dicts, lists, tuples, sets, numbers, text, None, paths, namespaces,
           counters, NumPy's numbers and arrays, and Tensors; of the others a dict of name -> Tensor

    Tensors have the file's dtype (bfloat16 becomes float32). They are the caller's own, except that tensors which
    share memory in the file share it here too, and that repeated elements (stride 0) are read-only. A .npz may unpack
    to at most 48 MiB + 6 times its size. Checksums are compared, except in a zip that was written without any.

    map_location   where the tensors shall be: a device, a dict from devices in the file to devices, or a function of
                   (storage, device in the file); without it they are on the CPU
    weights_only   changes nothing: plain data is read either way, and objects such as a whole pickled model never are
    mmap, pickle_module
                   change nothing

    Raises WeightsError, in one line, if the file cannot be read or holds anything else; OptionError, DeviceError."""
    if not isinstance(weights_only, bool | None) or not isinstance(mmap, bool | None):
        raise OptionError(f"load: weights_only and mmap are True or False, got {weights_only!r} and {mmap!r}")
    target = _placing(map_location)

    def leaf(stored):
        array = to_device(stored.array(), target(stored.device))
        trained = stored.requires_grad and array.dtype.kind == "f"
        return Parameter(array, trained) if stored.is_parameter else Tensor.of(array, requires_grad=trained)

    value, metadata = _opened(f, lambda file, size: _read(file, size, leaf, lambda tree: tree))
    if metadata is None:
        return value
    return {name: Tensor.of(to_device(array, target("cpu"))) for name, array in value.items()}


def load_arrays(path: str | PathLike[str]) -> dict[str, Any]:
    """The state dict in a file, as NumPy arrays by name: what a model's weights are read with.

    From a PyTorch file that holds more than a state dict, the state dict is taken (the entry 'state_dict', 'model',
    ..., or the only dict of tensors; else all tensors, with dotted names), and a prefix 'module.' that all names share
    is removed. Files and errors as for `load`."""
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """As `load_arrays`, but -> (arrays by name, metadata): the dict of text that `save` put into a .safetensors file.

    For files of other kinds the metadata are an empty dict."""

    def take(tree):
        try:
            names = named_tensors(tree, lambda value: isinstance(value, pth.Stored))
        except WeightsError as reason:
            raise Refused(str(reason)) from None
        return {name: stored.array() for name, stored in names.items()}

    value, metadata = _opened(path, lambda file, size: _read(file, size, lambda stored: stored, take))
    if not value:
        raise WeightsError(_message(path, "it is whole, but holds no tensors"))
    return value, metadata or {}


def _opened(path: Any, read: Callable[[Any, int], Any]) -> Any:
    """read(file, size) of a path or an open file, and every failure as a WeightsError in one line."""
    opened = hasattr(path, "read") and hasattr(path, "seek")
    if opened and (not path.readable() or not path.seekable() or hasattr(path, "encoding")):
        raise OptionError(f"load: path is a {type(path).__name__}; it must be open to read in binary mode")
    try:
        if opened:  # from its position on, as PyTorch reads it
            rest = path.read()
            return read(io.BytesIO(rest), len(rest))
        name = os.fspath(path)
        # Opening a pipe would wait for a writer, and a device may never end.
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise Refused("a folder" if os.path.isdir(name) else "not a regular file")
        if str(name).endswith(".index.json"):
            return _joined(Path(name), read)
        with open(name, "rb") as file:
            return read(file, os.fstat(file.fileno()).st_size)
    except TypeError:
        raise OptionError(
            f"load: path is a {type(path).__name__}; give a file's name, or a file open to read"
        ) from None
    except Refused as reason:
        raise WeightsError(_message(path, f"refused: {reason}")) from None
    except FileNotFoundError:
        raise WeightsError(_message(path, "no such file")) from None
    except MemoryError:
        raise WeightsError(_message(path, "there is not enough memory for its tensors")) from None
    except (OSError, ValueError) as reason:
        # A ValueError can only come from a path with a NUL in it: _read raises nothing but Refused.
        raise WeightsError(_message(path, str(getattr(reason, "strerror", None) or reason))) from None


def _joined(path, read):
    """A checkpoint in parts: the index says in which file, of its own folder, each tensor is.

    (https://huggingface.co/docs/transformers/big_models, "Sharded checkpoints".)"""
    try:
        index = json.loads(read_bytes(path, _MAX_INDEX)[0])
        place_of = index["weight_map"]
        names: dict[str, list[str]] = {}
        for tensor, name in place_of.items():
            names.setdefault(name, []).append(tensor)
        if not names:
            raise ValueError("no tensor at all")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DataError):
        raise Refused("an index of a checkpoint in parts that does not say where its tensors are") from None
    arrays: dict[str, Any] = {}
    kind: Any = {}
    for name in sorted(names, key=str):
        part = path.parent / str(name)
        if not isinstance(name, str) or part.name != name or not part.is_file():
            raise Refused(f"it names the part {shown(name)}, which is no file beside it")
        with part.open("rb") as file:
            value, kind = read(file, os.fstat(file.fileno()).st_size)
        missing = [tensor for tensor in names[name] if not isinstance(value, Mapping) or tensor not in value]
        if missing:
            raise Refused(f"its part {shown(name)} does not hold {shown(missing[0])}")
        arrays.update((tensor, value[tensor]) for tensor in names[name])
    return arrays, kind


class _Where:
    """What `map_location=lambda storage, where: storage` is called with: it can say `cpu()` and `cuda(0)`."""

    def __init__(self, device: str) -> None:
        self.device = device

    def cpu(self) -> "_Where":
        return _Where("cpu")

    def cuda(self, device: int | None = None) -> "_Where":
        return _Where("cuda" if device is None else f"cuda:{device}")


def _placing(map_location: Any) -> Callable[[str], Any]:
    """A function from the device that a file names to the device that its tensors shall be on."""
    if map_location is None:
        return lambda where: "cpu"
    if isinstance(map_location, Mapping):
        return lambda where: map_location.get(where, "cpu")
    if callable(map_location):

        def called(where):
            found = map_location(_Where("cpu"), where)
            return "cpu" if found is None else getattr(found, "device", found)

        return called
    return lambda where: map_location


def _read(file, size, leaf, take):
    """(what is in the file, its metadata); the metadata are None for a file of PyTorch's, which may hold anything."""
    head = file.read(512)
    if not head:
        raise Refused("an empty file")
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        archive = ZipArchive(file, size, (STORED, DEFLATED))
        if pth.is_pth_zip(archive):
            return pth.read_zip(archive, leaf, take), None
        if npz.is_npz(archive):
            return npz.read(archive), {}
        raise Refused("a zip archive that holds neither PyTorch's data.pkl nor NumPy's arrays")
    if head.startswith(pth.LEGACY_MAGIC):
        return pth.read_legacy(file, size, leaf, take), None
    if head[257:262] == b"ustar":
        return pth.read_tar(file, size, leaf, take), None
    if safe.looks_like_safetensors(head, size):
        return safe.read(file, size)
    for beginning, what in _MISTAKES:
        if head.startswith(beginning):
            raise Refused(what)
    raise Refused("neither .pth nor .safetensors nor .npz, or the beginning is damaged")


def _message(path, text):
    """One line of ASCII, whatever the path and the file contain."""
    shown = ascii(os.fspath(path)) if isinstance(path, (str, bytes, os.PathLike)) else f"a {type(path).__name__}"
    if len(shown) > 100:
        shown = "..." + shown[-97:]
    text = ascii(text)[1:-1].replace('\\"', '"').replace("\\'", "'").replace("\\\\", "\\")
    return f"{shown}: {text}"[:_MAX_MESSAGE]


def save(
    obj: Any,
    f: str | PathLike[str] | Any,
    pickle_module: Any = None,
    pickle_protocol: int | None = None,
    _use_new_zipfile_serialization: bool = True,
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write weights or a checkpoint: under the name f there is the old file or the whole new one.

    f         ends in .safetensors or .npz for those formats; any other name (.pt, .pth, .ckpt, .tar, ...) and an
              open binary file get PyTorch's format, which `torch.load(f, weights_only=True)` opens
    obj       for PyTorch's format: nested dicts, lists, tuples, sets, numbers, text, bytes, None, counters, dtypes and
              tensors; namespaces and paths too, which PyTorch reads with weights_only=False only. For the others a
              dict of name -> array. Arrays and tensors are ours, PyTorch's, NumPy's or CuPy's; a NumPy array becomes a
              tensor, a NumPy number a Python number, any kind of dict but Counter and OrderedDict a dict. Arrays of
              uint16, uint32 and uint64, as in NumPy's random state, stay NumPy's: weights_only=False, too
    metadata  a dict of text, kept by .safetensors only
    pickle_module, pickle_protocol, _use_new_zipfile_serialization
              change nothing: nothing is pickled, and PyTorch's format is the one it has had since 1.6

    Raises OptionError for metadata that cannot be kept, WeightsError for names and values that the format cannot hold,
    an object that has a state_dict() among them, and if the file cannot be written (folder missing, disk full, ...)."""
    as_file = hasattr(f, "write")
    suffix = "" if as_file else Path(f).suffix.lower()
    if metadata and suffix != ".safetensors":
        raise OptionError(f"save: a {suffix or 'PyTorch'} file cannot keep metadata; use .safetensors")
    texts = [*metadata.keys(), *metadata.values()] if isinstance(metadata, Mapping) else [metadata or ""]
    if not all(type(text) is str and _is_unicode(text) for text in texts) or (metadata and len(texts) == 1):
        raise OptionError("save: metadata is a dict of text to text")
    if suffix not in (".safetensors", ".npz"):
        _save_anything(obj, f, as_file)
        return
    if not isinstance(obj, Mapping):
        raise WeightsError(
            f"save: obj is a {type(obj).__name__}, not a dict of name to array; a .pt file may hold anything"
        )
    arrays = {}
    for name, value in obj.items():
        _check_name(name, suffix)
        arrays[name] = _as_array(name, value, suffix)
    with atomic_write(f, error=WeightsError) as file:
        if suffix == ".safetensors":
            safe.write(file, arrays, dict(metadata or {}))
        else:
            npz.write(file, arrays)


def _save_anything(obj, path, as_file):
    try:
        if as_file:
            pth_writer.write(path, obj, _to_store)
            return
        with atomic_write(path, error=WeightsError) as file:
            pth_writer.write(file, obj, _to_store)
    except Refused as reason:
        raise WeightsError(f"save: {reason}") from None


def _to_store(value, where):
    """What a PyTorch file is to hold of a tensor or an array; None of anything else, and of NumPy's unsigned numbers,
    of which its storages know bytes only."""
    if type(value) is np.ndarray and value.dtype.kind == "u" and value.itemsize > 1:
        return None
    is_array = isinstance(value, np.ndarray) or hasattr(value, "__cuda_array_interface__")
    if not is_array and not (hasattr(value, "detach") and hasattr(value, "is_leaf")):
        return None
    leaf = bool(getattr(value, "requires_grad", False) and value.is_leaf)
    array = _as_array(where, value, ".pth")
    return pth_writer.ToStore(array, leaf, isinstance(value, Parameter) or type(value).__name__ == "Parameter")


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
    known = pth_writer.KINDS if suffix == ".pth" else safe.KINDS
    if array.dtype.str[1:] not in known:
        raise WeightsError(f"save: {ascii(name)[:100]} has dtype {array.dtype}, which {suffix} files do not know")
    return array
