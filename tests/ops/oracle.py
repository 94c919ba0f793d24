"""PyTorch as the oracle: one call compares an op's value and all its gradients with those of a PyTorch function."""

import numpy as np
import pytest

from tinyvision import ops

torch = pytest.importorskip("torch")

# Both sides compute in float64 and differ in the order of their sums: at most a few thousand additions of size about 1.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def compare(name, reference, arguments, options=None, smooth=None, layout=lambda a: a, seed=0):
    """Value and gradients of ops.<name> on NumPy arguments equal those of `reference` on the same torch tensors.

    `smooth` names the arguments that have gradients (all floats by default); `layout` gives the arrays another order in
    memory before our op sees them. Returns the value."""
    options = options or {}
    smooth = [i for i, a in enumerate(arguments) if a.dtype == np.float64] if smooth is None else smooth
    arguments = [np.array(a) for a in arguments]
    tensors = [torch.from_numpy(a.copy()) for a in arguments]
    for i in smooth:
        tensors[i].requires_grad_()
    expected = reference(*tensors)
    forward, backward = getattr(ops, name + "_forward"), getattr(ops, name + "_backward")
    y, cache = forward(*[layout(a) for a in arguments], **options)
    assert isinstance(y, np.ndarray)
    assert y.shape == tuple(expected.shape)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, expected.detach().numpy(), **TOLERANCE)
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    expected.backward(torch.from_numpy(dy))
    gradients = backward(layout(dy), cache, tuple(i in smooth for i in range(len(arguments))))
    for i in smooth:
        assert isinstance(gradients[i], np.ndarray)
        assert gradients[i].shape == arguments[i].shape
        np.testing.assert_allclose(
            gradients[i], tensors[i].grad.numpy(), **TOLERANCE, err_msg=f"gradient {i} of {name}"
        )
    return y


def channels_last(a):
    """The same numbers with axis 1 last in memory."""
    if a.ndim < 3:
        return a
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def gapped(a):
    """The same numbers with gaps between them in memory."""
    if not a.ndim:
        return a
    wide = np.full([2 * n + 1 for n in a.shape], np.nan)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


LAYOUTS = {"contiguous": lambda a: np.array(a, order="C"), "channels last": channels_last, "gaps": gapped}
