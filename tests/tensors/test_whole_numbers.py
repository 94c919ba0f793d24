"""A whole number may be held by a tensor without axes: sizes, axes and counts take it, as PyTorch's do."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import OptionError

torch = pytest.importorskip("torch")


def both(call):
    """What `call` gives with either engine, as nested lists of plain numbers."""
    return [listed(call(engine, engine.tensor)) for engine in (tv, torch)]


def listed(y):
    return [listed(part) for part in y] if isinstance(y, (tuple, list)) else y.tolist() if hasattr(y, "tolist") else y


def image(t, *shape):
    return t.arange(float(np.prod(shape)), dtype=t.float64).reshape(*shape)


@pytest.mark.parametrize("call", [
    lambda t, n: t.split(image(t, 7), n(3)), lambda t, n: t.split(image(t, 2, 4), 2, dim=n(1)),
    lambda t, n: t.chunk(image(t, 7), n(3)), lambda t, n: t.topk(image(t, 7), n(3)),
    lambda t, n: image(t, 2, 3).kthvalue(n(2), n(-1)), lambda t, n: image(t, 2, 3).diff(n(1), n(1)),
    lambda t, n: t.roll(image(t, 7), n(3)), lambda t, n: t.roll(image(t, 7), (n(3),), (n(0),)),
    lambda t, n: t.multinomial(t.ones(7), n(3)).shape, lambda t, n: t.histc(image(t, 7), n(3)),
    lambda t, n: image(t, 2, 3).sum(n(1)), lambda t, n: image(t, 2, 3).sum((n(1), n(0))),
    lambda t, n: t.softmax(image(t, 2, 3) * 0, n(1)), lambda t, n: image(t, 2, 3).argmax(n(1)),
    lambda t, n: t.sort(image(t, 2, 3), n(0)), lambda t, n: image(t, 2, 3).cumsum(n(1)),
    lambda t, n: image(t, 2, 3).unsqueeze(n(1)), lambda t, n: image(t, 1, 3).squeeze(n(0)),
    lambda t, n: image(t, 2, 3).transpose(n(1), n(0)), lambda t, n: image(t, 2, 3).movedim(n(0), n(1)),
    lambda t, n: image(t, 2, 3).flatten(n(0), n(1)), lambda t, n: image(t, 2, 3).unbind(n(1)),
    lambda t, n: image(t, 7).unfold(n(0), n(2), n(1)), lambda t, n: t.cat([image(t, 2, 3)] * 2, n(1)),
    lambda t, n: t.stack([image(t, 2, 3)] * 2, n(1)), lambda t, n: image(t, 2, 3).narrow(n(1), n(0), n(2)),
    lambda t, n: image(t, 2, 3).gather(n(1), t.tensor([[0], [1]])),
    lambda t, n: image(t, 2, 3).index_select(n(1), t.tensor([0])),
    lambda t, n: t.tensordot(image(t, 2, 3), image(t, 3, 2), n(1)),
    lambda t, n: t.nn.functional.pad(image(t, 1, 1, 3), (n(1), n(2))),
    lambda t, n: t.nn.functional.interpolate(image(t, 1, 1, 3, 3), size=(n(2), n(5))),
    lambda t, n: t.nn.functional.interpolate(image(t, 1, 1, 3, 3), size=n(2)),
    lambda t, n: t.nn.functional.avg_pool2d(image(t, 1, 1, 4, 4), n(2)),
    lambda t, n: t.nn.functional.max_pool2d(image(t, 1, 1, 4, 4), (n(2), n(2)), n(1)),
    lambda t, n: t.nn.functional.conv2d(image(t, 1, 2, 4, 4), image(t, 2, 1, 2, 2), stride=n(2), groups=n(2)),
    lambda t, n: t.nn.functional.group_norm(image(t, 2, 4, 3) * 0, n(2)),
    lambda t, n: t.nn.functional.pixel_shuffle(image(t, 1, 4, 2, 2), n(2)),
    lambda t, n: t.nn.functional.local_response_norm(image(t, 1, 4, 2, 2) * 0, n(2)),
    lambda t, n: t.nn.Linear(n(2), n(3)).weight.shape, lambda t, n: t.nn.BatchNorm2d(n(2)).weight.shape,
])  # fmt: skip
def test_a_tensor_says_how_many_or_where(call):
    found, expected = both(call)
    assert found == expected


def test_gradients_follow_axes_that_tensors_name():
    grads = []
    for t in (tv, torch):
        x = image(t, 1, 1, 3, 4).requires_grad_()
        y = t.roll(t.nn.functional.pad(x, (t.tensor(1), t.tensor(0))), t.tensor(2), t.tensor(-1)).sum(t.tensor(2))
        (y * image(t, 1, 1, 5)).sum().backward()
        grads.append(x.grad.tolist())
    assert grads[0] == grads[1]


@pytest.mark.parametrize("k", [3.0, True, [3, 4], [[3]]])
def test_what_holds_no_whole_number_is_refused(k):
    x = tv.arange(7.0)
    for call in (tv.topk, tv.split, tv.chunk, tv.roll):
        with pytest.raises((OptionError, ValueError, TypeError)):
            call(x, tv.tensor(k))
    with pytest.raises(OptionError, match="k must be from 0 to 7"):
        tv.topk(x, tv.tensor(k))
