"""What people write in one line, run by this engine and by PyTorch: the same values, kinds of numbers and shapes."""

import copy
import importlib
import math

import numpy as np
import pytest
from idioms import CHANGES, VALUES, lines

import tinyvision

pytest.importorskip("torch")


def scope(engine):
    """The names that an idiom may use, with the same numbers in both engines."""
    torch = importlib.import_module(engine)
    nn, functional = (importlib.import_module(f"{engine}.{name}") for name in ("nn", "nn.functional"))
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((3, 4)).astype(np.float32) for _ in range(2))
    a[:, 0], b[:, 0], a[0, 1] = 0, 0, a[0, 2]
    return {
        "torch": torch, "nn": nn, "F": functional, "np": np, "math": math, "copy": copy,
        "a": torch.tensor(a), "b": torch.tensor(b), "r": torch.tensor(np.array([0.5, -0.25, 0.75, 0.0], np.float32)),
        "i": torch.tensor(rng.integers(-3, 4, (3, 4))), "k": torch.tensor(np.array([2, 0, 1])),
        "m": torch.tensor(rng.random((3, 4)) > 0.5), "s": torch.tensor(rng.standard_normal((2, 3, 4)).astype("f")),
        "p": nn.Parameter(torch.tensor(np.array([[0.5, -1, 2], [1, 0, 3]], np.float32))),
    }  # fmt: skip


def value_of(engine, line):
    """What the last statement of a line gives."""
    names = scope(engine)
    *first, last = line.split("; ")
    exec("; ".join(first), names)
    return eval(last, names)


def plain(value):
    """A value without its engine: arrays with their dtype, numbers, names of dtypes."""
    if hasattr(value, "detach"):
        array = value.detach().numpy()
        return str(array.dtype), array
    if isinstance(value, np.ndarray):
        return str(value.dtype), value
    if type(value).__name__ == "dtype":
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def same(ours, theirs):
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(same(x, y) for x, y in zip(ours, theirs, strict=True))
    if isinstance(ours, (np.ndarray, float)):
        # float32 on both sides, in another order of sums; zeros come with either sign.
        shapes = np.shape(ours) == np.shape(theirs)
        return shapes and np.allclose(np.asarray(ours, float), np.asarray(theirs, float), 1e-5, 1e-6, equal_nan=True)
    return type(ours) is type(theirs) and ours == theirs


@pytest.mark.parametrize("line", lines(VALUES) + lines(CHANGES), ids=lambda line: line.replace(" ", ""))
@pytest.mark.filterwarnings("ignore")
def test_an_idiom_gives_pytorch_s_value(line):
    theirs = plain(value_of("torch", line))
    ours = plain(value_of("tinyvision", line))
    assert same(ours, theirs), f"{line}\n{ours}\nwhere PyTorch has\n{theirs}"


def test_the_comparison_sees_a_difference():
    """The test above could not fail if it did not look at dtypes, shapes and numbers."""
    one, two = tinyvision.tensor([1.0, 2.0]), tinyvision.tensor([1.0, 2.5])
    assert same(plain([one]), plain([one]))
    for other in (two, one.double(), one[None], [one, one], 1.0):
        assert not same(plain([one]), plain([other]))
