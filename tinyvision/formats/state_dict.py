"""Finding the state dict in what a file holds, and naming its tensors."""

from typing import Any

from .refused import Refused, shown
from .unpickle import Container, Dict, List, Tuple

# Under these keys training scripts put a model's state dict, next to epochs, optimisers and schedules.
_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
_MAX_NAMES = 200_000
_MAX_VISITS = 500_000
_VISITS_PER_OPERATION = 4  # every value took an operation to make; sharing may show it a few times
_MAX_CHARACTERS = 1 << 25  # of all names together: a long key above many tensors is part of each name


def named_tensors(root: Any, kinds: Any, operations: Any) -> Any:
    """{name: tensor node} of the state dict in a tree.

    If the dict at the root holds a dict with tensors under one of the usual keys ('state_dict', 'model',
    ...), that one is taken and the rest (optimiser, epoch, ...) is left out; so is it if only one dict holds
    tensors. Otherwise all tensors count, and those in inner dicts and lists get dotted names
    ('generator.conv.weight'). A prefix 'module.' that all names share (torch's DataParallel writes it) is
    removed.

    kinds        the node classes that are tensors
    operations   how many the interpreter took to make the tree

    Raises Refused if there are no tensors, or two of the same name."""
    if not isinstance(root, Dict):
        raise Refused("no dict of tensors, but " + _described(root, kinds))
    collector = _Collector(kinds, min(_MAX_VISITS, _VISITS_PER_OPERATION * operations))
    names = collector.collect(_state_dict(root, kinds))
    if not names and _holds_values(root):
        raise Refused("a dict without tensors")
    if names and all(name.startswith("module.") and len(name) > 7 for name in names):
        names = {name[7:]: node for name, node in names.items()}
    return names


def _state_dict(root, kinds):
    if any(isinstance(value, kinds) for _, value in root.items):
        return root
    inner = [(key, value) for key, value in root.items if isinstance(value, Dict)]
    for usual in _USUAL_KEYS:
        for key, value in inner:
            if key == usual and (not value.items or any(isinstance(v, kinds) for _, v in value.items)):
                return value
    holding = [value for _, value in inner if any(isinstance(v, kinds) for _, v in value.items)]
    return holding[0] if len(holding) == 1 else root


class _Collector:
    def __init__(self, kinds, visits):
        self.kinds = kinds
        self.visits = visits
        self.characters = 0

    def collect(self, root):
        """Depth is bounded (the interpreter saw to it), so recursion is safe; sharing could still multiply
        visits."""
        names = {}
        self._walk(root, "", names)
        return names

    def _walk(self, node, prefix, names):
        for key, value in _entries(node):
            self.visits -= 1
            if self.visits < 0:
                raise Refused("containers that are shared so often that they unfold without end")
            if isinstance(value, self.kinds):
                name = f"{prefix}{key}"
                if name in names:
                    raise Refused(f"two tensors with the name {shown(name)}")
                self.characters += len(name)
                if len(names) >= _MAX_NAMES or self.characters > _MAX_CHARACTERS:
                    raise Refused(f"more than {_MAX_NAMES:,} tensors, or names of {self.characters:,} characters")
                names[name] = value
            elif isinstance(value, Container):
                self._walk(value, f"{prefix}{key}.", names)


def _entries(node):
    if isinstance(node, Dict):
        return ((_key_text(key), value) for key, value in node.items)
    return enumerate(node.items)


def _key_text(key):
    return key if type(key) is str else shown(key)


def _holds_values(root):
    """Whether a dict holds anything besides an empty state dict under one of the usual keys."""
    return bool(root.items) and not any(
        key in _USUAL_KEYS and isinstance(value, Dict) and not value.items for key, value in root.items
    )


def _described(root, kinds):
    if isinstance(root, kinds):
        return "a single tensor"
    return {List: "a list", Tuple: "a tuple"}.get(type(root), shown(root))
