"""Every mistake in the checker's bank is rejected by the exercise it belongs to."""

import inspect

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.ops import spec
from tinyvision.learn import check_exercise, lab

FORWARDS = {
    "conv_loops": "conv2d", "conv_forward": "conv2d", "im2col": "im2col", "col2im": "col2im", "relu_forward": "relu",
    "maxpool_forward": "maxpool2d", "avgpool_forward": "avgpool2d", "linear_forward": "linear", "softmax": "softmax",
    "cross_entropy": "cross_entropy", "batchnorm_forward": "batchnorm_train",
}  # fmt: skip


def some(shape):
    """What a backward's cache does not hold: a bias, the two sides of a sum."""
    return np.random.default_rng(1).standard_normal(shape)


def window(cache, dy):
    x, kernel_size, stride, padding = cache
    return (x,), {"kernel_size": kernel_size, "stride": stride, "padding": padding}


def conv(cache, dy):
    x, weight, stride, padding = cache
    return (x, weight, some(len(weight))), {"stride": stride, "padding": padding}


def norm(cache, dy):
    x, weight, eps = cache
    return (x, weight, some(len(weight))), {"eps": eps}


# exercise -> (op, the gradients it returns, from the exercise's cache to the op's inputs and options)
BACKWARDS = {
    "linear_backward": ("linear", ("dx", "dweight", "dbias"), lambda c, dy: ((*c, some(len(c[1]))), {})),
    "relu_backward": ("relu", ("dx",), lambda c, dy: ((c,), {})),
    "softmax_backward": ("softmax", ("dx",), lambda c, dy: ((np.log(c),), {})),
    "cross_entropy_backward": ("cross_entropy", ("dlogits",), lambda c, dy: (c, {})),
    "conv_dx": ("conv2d", ("dx",), conv),
    "conv_dweight": ("conv2d", ("dweight",), conv),
    "conv_dbias": ("conv2d", ("dbias",), conv),
    "maxpool_backward": ("maxpool2d", ("dx",), window),
    "avgpool_backward": ("avgpool2d", ("dx",), window),
    "batchnorm_steps": ("batchnorm_train", ("dx", "dweight", "dbias"), norm),
    "batchnorm_formula": ("batchnorm_train", ("dx", "dweight", "dbias"), norm),
}


def wrong_forward(op, functions):
    """As an exercise wants it: y alone."""
    known = spec(op)

    def wrong(*arrays, **options):
        return functions[0](*arrays, **options)[0]

    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [*known.arguments, *known.probes()[0].options]
    wrong.__signature__ = inspect.Signature([inspect.Parameter(n, kinds) for n in names])
    return wrong


def wrong_backward(op, gradients, of, functions):
    """As an exercise wants it: from the exercise's own cache, the exercise's gradients."""
    positions = [spec(op).gradients.index(g) for g in gradients]

    def wrong(dy, cache):
        inputs, options = of(cache, dy)
        grads = functions[1](dy, functions[0](*inputs, **options)[1])
        chosen = tuple(grads[p] for p in positions)
        return chosen if len(chosen) > 1 else chosen[0]

    return wrong


def attempt(exercise, mistake):
    """The report on an exercise that is solved with the mistake."""
    wrong, right = mistake.functions(), spec(mistake.op).functions()
    if exercise in FORWARDS:
        return check_exercise(exercise, wrong_forward(mistake.op, wrong))
    if exercise in BACKWARDS:
        return check_exercise(exercise, wrong_backward(*BACKWARDS[exercise], wrong))
    if exercise == "weight_decay":
        return check_exercise(exercise, wrong[0])
    first, second = (wrong, right) if mistake.argument == "y" else (right, wrong)
    return check_exercise(exercise, wrong_forward(mistake.op, first), wrong_backward(*PAIRS[exercise], second))


PAIRS = {
    "residual": ("add", ("da", "db"), lambda c, dy: ((some(dy.shape), 2 * some(dy.shape) + 1), {})),
    "dropout": ("dropout", ("dx",), lambda c, dy: ((some(dy.shape), c[0]), {"p": c[1]})),
}


# The exercise's backward is given the mask, and no output that it could mistake for one.
OUT_OF_REACH = {"dropout.dx.mask_from_output"}


def cases():
    for exercise, op in FORWARDS.items():
        yield from ((exercise, m) for m in check.mistakes(op) if m.argument == "y" and m.pair is None)
    for exercise, (op, gradients, _) in BACKWARDS.items():
        yield from ((exercise, m) for m in check.mistakes(op) if m.argument in gradients)
    for exercise, (op, gradients, _) in PAIRS.items():
        found = (m for m in check.mistakes(op) if m.argument in ("y", *gradients) and m.id not in OUT_OF_REACH)
        yield from ((exercise, m) for m in found)
    yield from (("weight_decay", m) for m in check.mistakes("sgd"))


CASES = list(cases())


@pytest.fixture(autouse=True)
def _no_diagnosis(monkeypatch):
    """Whether a mistake is rejected does not depend on its name; without the bank it is found out in half the time."""
    monkeypatch.setattr(lab, "_observed", lambda judge: judge(time_limit=3.0, bank=[], signatures=False, strict=True))


@pytest.mark.parametrize("exercise", sorted({e for e, _ in CASES}))
def test_every_banked_mistake_is_rejected(exercise):
    mistakes = [m for e, m in CASES if e == exercise]
    assert mistakes
    assert not [m.id for m in mistakes if attempt(exercise, m).passed]
