"""PyTorch's own files (.pth, .pt): a pickle that describes tensors, and their storages, in one of three containers.

zip     since torch 1.6: records `<name>/data.pkl`, `<name>/data/<key>`, and a few words about versions
legacy  torch 0.1.10 to 1.5: five pickles and the storages, back to back, behind a magic number
tar     torch 0.1.1 to 0.1.9: members `pickle`, `tensors` and `storages`

torch/serialization.py and torch/_utils.py describe what writers do. The reader's order of work is the same
for all three: interpret the pickles into a tree, check every tensor in it against its storage and every
storage against its record, and only then make Python values and arrays of it.

Every reader takes two functions: `leaf` makes a value of a `Stored` tensor, and `take` makes what the caller wants of
the tree of such values; what `take` leaves out is not read.
"""

import io
from typing import Any

import numpy as np

from ..dtypes import bfloat16, dtype
from . import storages as tensors
from .plain_data import Growing, Made, PlainProfile
from .refused import Refused, shown
from .storages import STORAGE_KINDS, Storage, Tensor, is_index
from .tar import Pieces, tar_members
from .unpickle import Budget, Dict, Global, List, Node, Profile, Tuple, interpret
from .zip import ZipArchive, exactly

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # the number 0x1950a86a20f9469cfc6c

_MEMBERS = ("sys_info", "pickle", "tensors", "storages")  # of a tar file
_PIECE = 1 << 18

_STORAGES = {
    f"{module} {name}Storage": kind for module in ("torch", "torch.cuda") for name, kind in STORAGE_KINDS.items()
}
_UNTYPED = ("torch.storage UntypedStorage", "torch UntypedStorage")
_TENSORS = {f"torch {name}Tensor": kind for name, kind in STORAGE_KINDS.items()}


class _Parameter(Node):
    """A Parameter. Torch before 0.4 made it empty, and gave it its tensor afterwards."""

    __slots__ = ("requires_grad", "tensor")

    def __init__(self, requires_grad=True):
        self.tensor, self.requires_grad = None, requires_grad

    @property
    def is_value(self):
        return self.tensor is not None


class Stored:
    """A tensor in a file: `array()` reads it, the same array each time."""

    def __init__(self, array: Any, device: str, requires_grad: bool, is_parameter: bool) -> None:
        self.array, self.device = array, device
        self.requires_grad, self.is_parameter = requires_grad, is_parameter


class _TensorProfile(PlainProfile):
    """The names in PyTorch's files. `tensors` lists all tensors, `storages` the storages by key."""

    names = PlainProfile.names | {
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_tensor_v3",
        "torch._utils _rebuild_parameter",
        "torch.nn.parameter Parameter",
        *_STORAGES,
        *_UNTYPED,
    }

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.storages: dict[str, Any] = {}

    def call(self, name: str, arguments: Any) -> Any:
        count = len(arguments)
        if name == "torch._utils _rebuild_tensor_v2" and count in (6, 7):
            _, _, _, _, requires_grad, hooks = arguments[:6]
            if type(requires_grad) is not bool or not _is_empty(hooks) or not _is_empty(*arguments[6:]):
                raise Refused("a tensor with hooks or with further attributes")
            return self._tensor(arguments[:4], requires_grad)
        if name == "torch._utils _rebuild_tensor_v3" and count in (7, 8):
            storage, _, _, _, requires_grad, hooks, kind = arguments[:7]
            if type(requires_grad) is not bool or not _is_empty(hooks, *arguments[7:]):
                raise Refused("a tensor with hooks or with further attributes")
            self._give_kind(storage, kind)
            return self._tensor(arguments[:4], requires_grad)
        if name == "torch._utils _rebuild_tensor" and count == 4:
            return self._tensor(arguments)
        if name == "torch._utils _rebuild_parameter" and count == 3:
            tensor, requires_grad, hooks = arguments
            if self._is_tensor(tensor) and type(requires_grad) is bool and _is_empty(hooks):
                made = _Parameter(requires_grad)
                made.tensor = tensor
                return made
            raise Refused("a parameter that is not (tensor, flag, no hooks)")
        return super().call(name, arguments)

    def _tensor(self, arguments, requires_grad=False):
        storage, offset, size, stride = arguments
        if not (isinstance(storage, Storage) and isinstance(size, Tuple) and isinstance(stride, Tuple)):
            raise Refused("a tensor that is not (storage, offset, size, stride)")
        if storage.kind == "raw":
            raise Refused("a tensor of bytes without a dtype")
        tensor = Tensor(storage, offset, size.items, stride.items, requires_grad)
        self.tensors.append(tensor)
        return tensor

    def _give_kind(self, storage, made):
        """Newer dtypes have no storage class of their own: their storages are bytes, and the tensor says of what."""
        known = isinstance(storage, Storage) and isinstance(made, Made) and isinstance(made.value, dtype)
        if not known or made.value is bfloat16:
            raise Refused("a tensor of bytes without a dtype that is read here")
        kind = made.value.dtype.str[1:]
        if storage.kind == "raw" and storage.total % made.value.itemsize == 0:
            storage.kind, storage.total = kind, storage.total // made.value.itemsize
            storage.length = storage.total
        if storage.kind != kind:
            raise Refused(f"storage {shown(storage.key)} is described in two ways")

    def _is_tensor(self, node):
        return isinstance(node, Tensor)

    def new(self, name: str, arguments: Any) -> Any:
        if name == "torch.nn.parameter Parameter" and not arguments:
            return _Parameter()
        return super().new(name, arguments)

    def build(self, target: Any, state: Any) -> Any:
        if not isinstance(target, _Parameter):
            return super().build(target, state)
        fields: Any = state.items if isinstance(state, Tuple) else ()
        if target.tensor is not None or len(fields) != 5 or not self._is_tensor(fields[0]):
            raise Refused("a parameter whose state is not (tensor, gradient, hooks, flag, flag)")
        _, gradient, hooks, *flags = fields
        if gradient is not None or not _is_empty(hooks) or any(type(flag) is not bool for flag in flags):
            raise Refused("a parameter with a gradient or with hooks")
        target.tensor, target.requires_grad = fields[0], flags[0]

    def persistent(self, key: Any) -> Any:
        fields: Any = key.items if isinstance(key, Tuple) else ()
        if len(fields) not in (5, 6) or fields[0] != "storage" or type(fields[0]) is not str:
            raise Refused("a persistent id that is not ('storage', kind, key, device, length)")
        _, kind, name, device, length, *rest = fields
        if not isinstance(kind, Global) or kind.name not in (*_STORAGES, *_UNTYPED):
            raise Refused("a storage of unknown kind")
        if type(name) is not str or type(device) is not str or not is_index(length):
            raise Refused("a storage whose key, device or length is of the wrong kind")
        return self._view(Storage(name, _STORAGES.get(kind.name, "raw"), length, device=device), *rest)

    def _view(self, storage, view=None):
        """A storage under its own key, or a part of it under another one (torch 0.2 to 0.3 shared storages so)."""
        self._remember(storage.key, storage)
        if view is None:
            return storage
        fields = view.items if isinstance(view, Tuple) else ()
        if len(fields) != 3 or type(fields[0]) is not str or not all(map(is_index, fields[1:])):
            raise Refused("a storage view that is not (key, start, length)")
        part = Storage(storage.key, storage.kind, storage.total, fields[1], fields[2], storage.device)
        self._remember((fields[0],), part)
        return part

    def _remember(self, key, storage):
        known = self.storages.setdefault(key, storage)
        same = (known.key, known.kind, known.total, known.start, known.length)
        if same != (storage.key, storage.kind, storage.total, storage.start, storage.length):
            raise Refused(f"storage {shown(storage.key)} is described in two ways")


def _is_empty(*nodes):
    """No hooks, no metadata: nothing, None, or a dict without entries."""
    return all(node is None or (isinstance(node, Dict) and not node.items) for node in nodes)


def _grown(root, all_tensors, size, read, leaf, take, described=lambda tensor: tensor):
    """take(the tree below `root`, its tensors replaced by leaf(Stored)).

    `read(key)` brings a storage's flat array and is called at most once a key; `described(node)` is a
    tensor's description."""
    tensors.check_total(all_tensors, size)
    flats, arrays = {}, {}

    def array(tensor):
        if id(tensor) not in arrays:  # the same tensor under two names (tied weights) is the same array
            key = tensor.storage.key
            if key not in flats:
                flats[key] = read(key)
            arrays[id(tensor)] = tensors.view(tensor, flats[key])
        return arrays[id(tensor)]

    def stored(node):
        is_parameter = isinstance(node, _Parameter)
        inner = node.tensor if is_parameter else node
        if not is_parameter and not isinstance(node, (Tensor, _TarReference)):
            raise Refused(f"a {type(node).__name__.lower()} where a value should be")
        tensor = described(inner)
        requires_grad = node.requires_grad if is_parameter else tensor.requires_grad
        return leaf(Stored(lambda: array(tensor), tensor.storage.device, requires_grad, is_parameter))

    return take(Growing(stored).value(root))


# ----------------------------------------------------------------------------------------------------- zip


def is_pth_zip(archive: ZipArchive) -> bool:
    """Whether a zip archive looks like one of PyTorch's."""
    return any(name.rsplit("/", 1)[-1] == "data.pkl" for name in archive.records)


def read_zip(archive: ZipArchive, leaf: Any, take: Any) -> Any:
    """What is in an opened ZipArchive."""
    records = archive.records
    mains = [name for name in records if name.rsplit("/", 1)[-1] == "data.pkl"]
    prefix = mains[0][: -len("data.pkl")]
    if len(mains) > 1:
        raise Refused("an archive with more than one data.pkl")
    if f"{prefix}constants.pkl" in records:
        raise Refused("a TorchScript program; save its state_dict() instead")
    big_endian = False
    if f"{prefix}byteorder" in records:
        order = archive.read(f"{prefix}byteorder", 16)
        if order not in (b"little", b"big"):
            raise Refused(f"byte order {shown(order)}")
        big_endian = order == b"big"

    profile = _TensorProfile()
    length = records[mains[0]].length
    stream, budget = io.BytesIO(archive.read(mains[0], length)), Budget(archive.size)
    root = interpret(stream, profile, budget)
    if stream.tell() != length:
        raise Refused("bytes after the end of the pickle")
    keys = {key: f"{prefix}data/{key}" for key in profile.storages if type(key) is str}
    for key, name in keys.items():
        storage = profile.storages[key]
        there = records[name].length if name in records else None
        if there is None:
            raise Refused(f"storage {shown(key)} is missing")
        if storage.kind == "raw":
            raise Refused(f"storage {shown(key)} is of unknown kind")
        if there != storage.total * tensors.itemsize(storage.kind):
            raise Refused(f"storage {shown(key)} should have {storage.total:,} elements, but has {there:,} bytes")

    unread = set(records) - {mains[0], f"{prefix}byteorder"}

    def read(key):
        raw = np.empty(records[keys[key]].length, np.uint8)
        archive.fill(keys[key], memoryview(raw))
        unread.discard(keys[key])
        return tensors.elements(raw, profile.storages[key].kind, big_endian)

    value = _grown(root, profile.tensors, archive.size, read, leaf, take)
    for name in unread:
        archive.check(name)
    return value


# -------------------------------------------------------------------------------------------------- legacy


def read_legacy(file: Any, size: int, leaf: Any, take: Any) -> Any:
    """What is in a file of the magic-number format; `file` is a binary file."""
    file.seek(len(LEGACY_MAGIC))
    profile, budget = _TensorProfile(), Budget(size)
    if interpret(file, Profile(), budget) != 1001:
        raise Refused("a legacy file of another protocol version than 1001")
    if not isinstance(interpret(file, Profile(), budget), Dict):
        raise Refused("a legacy file without the description of its system")
    root = interpret(file, profile, budget)
    keys = interpret(file, Profile(), budget)
    keys = keys.items if isinstance(keys, List) else [None]
    wanted = {key for key in profile.storages if type(key) is str}
    if any(type(key) is not str for key in keys) or len(set(keys)) != len(keys) or set(keys) != wanted:
        raise Refused("a list of storages that does not match the tensors")
    places = {}
    position = file.tell()
    for key in keys:
        storage = profile.storages[key]
        if storage.kind == "raw":
            raise Refused(f"storage {shown(key)} is of unknown kind")
        position = _skip_storage(file, position, size, storage)
        places[key] = position - storage.total * tensors.itemsize(storage.kind)
    if position != size:
        raise Refused(f"{size - position:,} bytes after the last storage")

    def read(key):
        return _read_flat(file, places[key], profile.storages[key])

    return _grown(root, profile.tensors, size, read, leaf, take)


def _skip_storage(file, position, size, storage):
    """The end of a storage that begins with its length at `position`."""
    file.seek(position)
    length = int.from_bytes(exactly(file, 8), "little")
    end = position + 8 + length * tensors.itemsize(storage.kind)
    if length != storage.total or end > size:
        raise Refused(f"storage {shown(storage.key)} of {shown(length)} elements does not fit")
    return end


def _read_flat(file, position, storage):
    raw = np.empty(storage.total * tensors.itemsize(storage.kind), np.uint8)
    file.seek(position)
    if file.readinto(memoryview(raw)) != raw.size:
        raise Refused("the file ends in the middle")
    return tensors.elements(raw, storage.kind)


# ----------------------------------------------------------------------------------------------------- tar


class _TarReference(Node):
    """A tensor that the pickle of a tar file names by number."""

    __slots__ = ("key",)
    is_value = True

    def __init__(self, key):
        self.key = key


class _TarProfile(_TensorProfile):
    names = PlainProfile.names | {"torch.nn.parameter Parameter"}

    def _is_tensor(self, node):
        return isinstance(node, _TarReference)

    def persistent(self, key):
        if type(key) is not str or not (key.isascii() and key.isdigit()) or len(key) > 20:
            raise Refused(f"a tensor named {shown(key)}")
        reference = _TarReference(int(key))
        self.tensors.append(reference)
        return reference


class _DescriptionProfile(Profile):
    """The small pickles between the numbers of a tar file: keys and kinds."""

    names = frozenset({*_STORAGES, *_TENSORS})


def read_tar(file: Any, size: int, leaf: Any, take: Any) -> Any:
    """What is in a file of torch's first format; `file` is a binary file."""
    members = _tar_places(file, size)
    budget = Budget(size)

    def pickle_of(name, profile):
        start, length = members[name]
        file.seek(start)
        root = interpret(file, profile, budget)
        if file.tell() != start + length:
            raise Refused(f"member {name} does not end with its pickle")
        return root

    info = pickle_of("sys_info", Profile())
    version = dict(info.items).get("protocol_version") if isinstance(info, Dict) else None
    if version != 1000:
        raise Refused("a tar file of another protocol version than 1000")
    storages, places = _tar_storages(file, members["storages"], budget)
    table = _tar_tensors(file, members["tensors"], budget, storages)
    profile = _TarProfile()
    root = pickle_of("pickle", profile)
    for reference in profile.tensors:
        if reference.key not in table:
            raise Refused(f"tensor {reference.key}, which is not in the table")

    def read(key):
        return _read_flat(file, places[key], storages[key])

    all_tensors = [table[reference.key] for reference in profile.tensors]
    return _grown(root, all_tensors, size, read, leaf, take, lambda reference: table[reference.key])


def _tar_places(file, size):
    """{name: (first byte, length)} of the four members, and there are no others."""
    file.seek(0)
    places = {}
    for member in tar_members(Pieces(iter(lambda: file.read(_PIECE), b""), size)):
        if member.name not in _MEMBERS or not member.is_plain or member.name in places:
            raise Refused(f"a tar archive with a member {shown(member.name)}, which is not expected, or not twice")
        places[member.name] = (member.start, member.length)
    if missing := [name for name in _MEMBERS if name not in places]:
        raise Refused(f"a tar archive without {missing[0]}")
    return places


def _tar_storages(file, member, budget):
    """({key: Storage}, {key: first byte}) from the member `storages`: a count, the storages, a list of views."""
    position, length = member
    end = position + length
    storages, places = {}, {}
    for _ in range(_count(file, position, budget)):
        key, device, kind = _description(file, budget, 3)
        if type(device) is not str or not isinstance(kind, Global) or kind.name not in _STORAGES or key in storages:
            raise Refused(f"storage {shown(key)} is of unknown kind, or is there twice")
        total = int.from_bytes(exactly(file, 8), "little")
        storages[key] = Storage(key, _STORAGES[kind.name], total, device=device)
        places[key] = file.tell()
        position = places[key] + total * tensors.itemsize(storages[key].kind)
        if position > end:
            raise Refused(f"storage {shown(key)} of {shown(total)} elements does not fit")
        file.seek(position)
    views = interpret(file, _DescriptionProfile(), budget)
    for view in views.items if isinstance(views, List) else [None]:
        fields = view.items if isinstance(view, Tuple) else ()
        if len(fields) != 4 or not all(map(is_index, fields)) or fields[0] in storages or fields[1] not in places:
            raise Refused("a storage view that is not (new key, key, start, length)")
        root = storages[fields[1]]
        storages[fields[0]] = Storage(root.key, root.kind, root.total, fields[2], fields[3], root.device)
    if file.tell() != end:
        raise Refused("member storages does not end with its views")
    return storages, places


def _tar_tensors(file, member, budget, storages):
    """{key: Tensor} from the member `tensors`: a count, then a description and the numbers of each tensor."""
    position, length = member
    table = {}
    for _ in range(_count(file, position, budget)):
        key, storage_key, kind = _description(file, budget, 3)
        known = is_index(storage_key) and storage_key in storages
        if not known or not isinstance(kind, Global) or _TENSORS.get(kind.name) != storages[storage_key].kind:
            raise Refused(f"tensor {shown(key)} has no storage of its kind")
        rank = int.from_bytes(exactly(file, 4), "little")
        if rank > tensors.MAX_RANK or key in table:
            raise Refused(f"tensor {shown(key)} has {rank:,} axes, or is there twice")
        exactly(file, 4)  # the writer's struct had four bytes of padding here, and whatever was in them
        numbers = np.frombuffer(exactly(file, 8 * (2 * rank + 1)), "<i8").tolist()
        size, stride, offset = tuple(numbers[:rank]), tuple(numbers[rank:-1]), numbers[-1]
        table[key] = Tensor(storages[storage_key], offset, size, stride)
    if file.tell() != position + length:
        raise Refused("member tensors does not end with its last tensor")
    return table


def _count(file, position, budget):
    file.seek(position)
    count = interpret(file, _DescriptionProfile(), budget)
    if not is_index(count):
        raise Refused("a tar file without a count of its tensors or storages")
    return count


def _description(file, budget, length):
    """The fields of a small pickle that holds a tuple; the first field is a key."""
    node = interpret(file, _DescriptionProfile(), budget)
    fields = node.items if isinstance(node, Tuple) else ()
    if len(fields) != length or not is_index(fields[0]):
        raise Refused("a tar file with an entry that is no description")
    return fields
