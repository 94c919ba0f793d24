"""NumPy's functions on tensors: the same kind of thing comes out, and the same numbers, as of PyTorch's tensors."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import GraphError

torch = pytest.importorskip("torch")

NUMBERS = np.random.default_rng(0).normal(size=(2, 3, 4))
FUNCTIONS = {
    "np.transpose of all axes": np.transpose,
    "np.transpose": lambda x: np.transpose(x, (1, 2, 0)),
    "np.swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "np.ptp": np.ptp,
    "np.argmax": lambda x: np.argmax(x, axis=1),
    "np.argsort": np.argsort,
    "np.sort": np.sort,
    "np.squeeze": lambda x: np.squeeze(x[:1]),
    "np.reshape": lambda x: np.reshape(x, (6, 4)),
    "np.ravel": np.ravel,
    "np.clip": lambda x: np.clip(x, 0, 1),
    "np.round": lambda x: np.round(x, decimals=2),
    "np.cumsum": lambda x: np.cumsum(x, axis=0),
    "np.repeat": lambda x: np.repeat(x, 2, axis=0),
    "np.take": lambda x: np.take(x, [0, 1]),
    "np.nonzero": lambda x: np.nonzero(x > 0),
    "np.argwhere": lambda x: np.argwhere(x[0, 0] == x[0, 0, 1]),
    "np.concatenate": lambda x: np.concatenate([x, x]),
    "np.where": lambda x: np.where(x > 0, 1, 0),
    "np.unique": np.unique,
    "np.linalg.norm": np.linalg.norm,
    "np.percentile": lambda x: np.percentile(x, 50),
    "np.exp": np.exp,
    "np.sqrt": lambda x: np.sqrt(x * x),
    "np.sqrt of a number": lambda x: np.sqrt((x * x).sum()),
    "np.abs": np.abs,
    "np.maximum": lambda x: np.maximum(x, 0.5),
    "np.isnan": np.isnan,
    "np.logical_and": lambda x: np.logical_and(x > 0, x < 1),
    "np.add with a dtype": lambda x: np.add(x, 1, dtype=np.float64),
    "np.add.reduce": np.add.reduce,
    "np.modf": np.modf,
    "into an array": lambda x: np.exp(x, out=np.zeros((2, 3, 4))),
}  # fmt: skip


def parts(result):
    """[(whether it is a tensor, the array)] of what a function gave."""
    several = result if isinstance(result, tuple) else (result,)
    return [(isinstance(y, torch.Tensor | tv.Tensor), np.asarray(y)) for y in several]


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept")  # PyTorch's takes no return_scalar
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_numpys_gives_what_it_gives_of_pytorchs_tensor(name, dtype):
    theirs, ours = (parts(FUNCTIONS[name](t.tensor(NUMBERS.astype(dtype)))) for t in (torch, tv))
    assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
    for (_, y), (_, expected) in zip(ours, theirs, strict=True):
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_what_numpy_would_lose_a_gradient_of_says_so():
    x = tv.tensor([1.0, 2.0], requires_grad=True)
    for function in (np.exp, np.isnan, lambda x: np.clip(x, 0, 1), np.add.reduce):
        with pytest.raises(GraphError, match=r"requires a gradient.*detach"):
            function(x)
    assert np.transpose(x.reshape(1, 2)).requires_grad, "a method of the tensor's own is recorded"


def test_a_function_of_numpys_writes_into_arrays_alone():
    x = tv.zeros(2)
    with pytest.raises(TypeError, match="NotImplemented"):
        np.add(np.ones(2), np.ones(2), out=x)
    places = np.zeros(3)
    assert np.add.at(places, [0, 2], tv.ones(2)) is None
    assert places.tolist() == [1, 0, 1]
