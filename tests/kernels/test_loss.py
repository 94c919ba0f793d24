"""The fused cross-entropy against `ops.loss` in float64."""

import numpy as np
import pytest

from tinyvision.errors import OptionError
from tinyvision.kernels import launch, loss

from .compare import close, run_both

(DROP_IN,) = loss.DROP_INS
TOLERANCE = 3e-6  # float32 exponentials and sums of up to 10³ of them


@pytest.mark.parametrize("shape", [(5, 3), (3, 700), (300, 10), (1, 1), (2, 4, 5, 3), (3, 21, 200)])
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"ignore_index": 0}], ids=str)
def test_loss_and_gradient(emulation, rng, shape, options):
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    labels[-1] = shape[1] - 1 or -100 if "ignore_index" not in options else shape[1] - 1
    if options.get("ignore_index") == 0 and not (labels != 0).any():
        pytest.skip("no label counts")
    if (labels == -100).all():
        labels[:] = 0
    run_both(emulation, DROP_IN, [8 * rng.standard_normal(shape), labels], options, rng, TOLERANCE, needs=(True, False))


def test_large_scores_do_not_overflow(emulation, rng):
    arrays = [np.array([[1000.0, -1000, 999], [-2000, -2001, -2000]]), np.array([0, 1])]
    run_both(emulation, DROP_IN, arrays, {}, rng, TOLERANCE, needs=(True, False))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_named(emulation, label):
    logits, labels = emulation.array(np.zeros((4, 3), np.float32)), np.array([0, 1, label, 2])
    with pytest.raises(OptionError, match=rf"labels\[2\] is {label}, but the classes are 0 to 2"):
        loss.cross_entropy_forward(logits, labels)


def test_a_pixel_whose_label_is_no_class_is_named(emulation):
    logits, labels = emulation.array(np.zeros((2, 3, 4, 5), np.float32)), np.zeros((2, 4, 5), np.int64)
    labels[1, 2, 3] = 3
    with pytest.raises(OptionError, match=r"labels\[\(1, 2, 3\)\] is 3, but the classes are 0 to 2"):
        loss.cross_entropy_forward(logits, labels)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4, 5)])
def test_a_mean_over_no_label_is_an_error_as_on_the_cpu(emulation, shape):
    logits, labels = emulation.array(np.zeros(shape, np.float32)), np.full((shape[0], *shape[2:]), -100)
    with pytest.raises(OptionError, match="every label is ignore_index"):
        loss.cross_entropy_forward(logits, labels)
    assert loss.cross_entropy_forward(logits, labels, reduction="sum")[0] == 0


def test_pixels_are_read_where_they_lie(emulation, rng):
    """Channels last, as a network leaves them: nothing is copied, and the gradient lies as they do."""
    logits = launch.channels_first(emulation.array(rng.standard_normal((2, 5, 4, 3)).astype(np.float32)))
    _, cache = loss.cross_entropy_forward(logits, rng.integers(0, 3, (2, 5, 4)))
    assert np.shares_memory(cache[0], logits)
    gradient, _ = loss.cross_entropy_backward(np.ones((), np.float32), cache)
    assert gradient.strides == logits.strides
    assert emulation.launched == ["cross_entropy_pixels", "cross_entropy_joined", "cross_entropy_gradient"]


def test_during_a_capture_such_a_label_makes_the_loss_nan(emulation, monkeypatch):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    logits = emulation.array(np.zeros((2, 3), np.float32))
    assert np.isnan(loss.cross_entropy_forward(logits, np.array([0, 5]))[0])


def test_the_simple_version(emulation, rng):
    N, K = 300, 7
    x, labels = emulation.array(rng.standard_normal((N, K)).astype(np.float32)), rng.integers(0, K, N)
    labels[::5] = -100
    sizes = (np.int32(N), np.int32(K), np.int64(-100), np.float32(0.1))
    results = []
    for kernel, grid in (("cross_entropy_simple", launch.blocks(N)), ("cross_entropy_rows", (N, 1, 1))):
        out = emulation.empty(x, (N, 2)), emulation.empty(x, (N,))
        launch.launch("loss", kernel, grid, x, labels, *out, *sizes)
        results.append(out)
    for simple, fast in zip(*results, strict=True):
        close(simple, fast.astype(np.float64), TOLERANCE)


def test_what_is_left_to_the_op():
    logits, labels = np.zeros((2, 3), np.float32), np.zeros(2, np.int64)
    assert DROP_IN.applies(logits, labels)
    assert not DROP_IN.applies(logits, labels, weight=np.ones(3, np.float32))
    assert not DROP_IN.applies(logits, np.zeros((2, 3), np.float32))
    assert not DROP_IN.applies(logits, labels, reduction="none")
    assert not DROP_IN.applies(logits, np.zeros(3, np.int64))
    assert DROP_IN.applies(np.zeros((2, 3, 4), np.float32), np.zeros((2, 4), np.int64))
    assert not DROP_IN.applies(np.zeros((2, 3, 4), np.float32), labels)
    assert not DROP_IN.applies(np.zeros((2, 257, 4), np.float32), np.zeros((2, 4), np.int64))
