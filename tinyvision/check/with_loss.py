"""A softmax whose backward takes the labels: it is half of a cross-entropy, and is judged with the other half.

`backward(y)`, or `backward(a, y)`, that returns p - onehot, or that divided by N, is no derivative of the softmax, and
is right in its own network. The layer is checked as the loss that it belongs to, which is put behind its forward here.
"""

import inspect
from typing import Any

import numpy as np

from .place import fetched
from .reading import words
from .runner import parameters

SCORES = ("x", "z", "zs", "score", "scores", "logit", "logits", "input", "inputs")
NOTE = "Its backward takes the labels: it was checked as softmax and cross-entropy in one."
ALONE = "What its backward calls {} is the upstream gradient: it is right as a softmax alone."


def takes_labels(layer: Any) -> bool:
    """True for a class, or an object, of which backward is handed labels, its own output perhaps, and no upstream."""
    names = list(_wanted(parameters(getattr(layer, words.method(_methods(layer), words.BACKWARDS) or "", None)) or {}))
    others = [n for n in names if n != _labels_among(names)]
    known = all(any(words.is_role(n, role) for role in ("y", "logits", "learning_rate")) or n == "cost" for n in others)
    return _labels_among(names) is not None and known and not any(words.is_role(n, "dy") for n in names)


def _wanted(asked):
    """The parameters without which it cannot be called."""
    return {n: p for n, p in asked.items() if n != "self" and p.default is inspect.Parameter.empty}


def _labels_among(names):
    """The last of the names that labels have: of backward(y, t) the t, of backward(a, y) the y."""
    return next((n for n in reversed(names) if words.is_role(n, "labels")), None)


def with_loss(make: Any, mean: bool) -> type:
    """A loss class on top of a softmax class: forward(logits, labels) with one-hot labels, and backward(labels)."""
    front = words.method([n for n in _methods(make) if n != "__call__" or _calls(make)], words.FORWARDS) or ""
    rear = words.method(_methods(make), words.BACKWARDS) or ""
    behind = parameters(getattr(make, rear)) or {}

    class SoftmaxAndLoss:
        def __init__(self) -> None:
            self.layer = make() if inspect.isclass(make) else make

        def forward(self, logits: Any, labels: Any) -> Any:
            """The cross-entropy of the layer's output."""
            asked = parameters(getattr(self.layer, front)) or {}
            more = {n: True for n in list(asked)[1:] if words.is_role(n, "training")}
            p = np.asarray(fetched(getattr(self.layer, front)(logits, **more)))
            self.logits, self.p = logits, p
            hot = labels if np.shape(labels) == p.shape else np.eye(p.shape[-1])[labels]
            loss = -np.sum(hot * np.log(p))
            return loss / len(np.atleast_2d(hot)) if mean else loss

        def backward(self, labels: Any) -> Any:
            """What the layer gives for the labels."""
            wanted = list(_wanted(behind))
            given = [labels if n == _labels_among(wanted) else self.other(n) for n in wanted]
            return getattr(self.layer, rear)(*given)

        def other(self, name: str) -> Any:
            """What else backward may ask for: its own output, the scores, or a learning rate."""
            if words.is_role(name, "learning_rate"):
                return 1.0
            return self.logits if words.plain(name) in SCORES else self.p

    return SoftmaxAndLoss


def alone(make: Any) -> tuple[str, type] | None:
    """(the parameter, a class whose backward hands over dy in its place), for a softmax that only calls it labels."""
    front = words.method([n for n in _methods(make) if n != "__call__" or _calls(make)], words.FORWARDS) or ""
    rear = words.method(_methods(make), words.BACKWARDS) or ""
    wanted = list(_wanted(parameters(getattr(make, rear)) or {}))
    if len(wanted) != 1:
        return None

    class Softmax:
        def __init__(self) -> None:
            self.layer = make() if inspect.isclass(make) else make

        def forward(self, x: Any) -> Any:
            """The layer's own."""
            return getattr(self.layer, front)(x)

        def backward(self, dy: Any) -> Any:
            """The layer's own, of an upstream gradient."""
            return getattr(self.layer, rear)(dy)

    return wanted[0], Softmax


def _methods(layer):
    kind = layer if inspect.isclass(layer) else type(layer)  # a property of an object may raise before forward has run
    own = {} if inspect.isclass(layer) else getattr(layer, "__dict__", {})
    return [n for n in dir(kind) if callable(getattr(kind, n, None))] + [n for n, v in own.items() if callable(v)]


def _calls(make):
    return "__call__" in {n for c in getattr(make, "__mro__", type(make).__mro__)[:-1] for n in vars(c)}
