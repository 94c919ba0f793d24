"""Functions that return or raise strange things get a finding, quickly, and never break the checker."""

import sys

import numpy as np
import pytest

from tinyvision import check


class Mute(BaseException):
    def __str__(self):
        raise RuntimeError("no words")


def raising(error):
    def backward(dy, x):
        raise error

    return backward


def closing(dy, x):
    sys.stdout.close()
    return dy * (x > 1)


STRANGE = {
    "an error without words": (raising(Mute()), "raised Mute\n"),
    "control characters": (raising(ValueError("\x1b[2J\ud800 end")), "ValueError:  [2J  end"),
    "a long error": (raising(ValueError("line\n" * 500)), "..."),
    "exit": (raising(SystemExit(3)), "it calls exit"),
    "a closed stdout": (closing, "x > 1"),
    "a mask": (lambda dy, x: x > 0, "returned the mask"),
    "a huge array": (lambda dy, x: np.zeros((20000, 2000)), "must be (3, 8)"),
    "float16": (lambda dy, x: (dy * (x > 0)).astype(np.float16), "float16"),
    "a ragged list": (lambda dy, x: [[1, 2], [3]], "yours returned 2"),
    "a generator": (lambda dy, x: (g for g in [dy]), "generator"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_functions_are_told_what_is_strange(what):
    backward, words = STRANGE[what]
    report = check.op("relu", lambda x: (np.maximum(x, 0), x), backward)
    assert not report.passed
    assert words in " ".join(f.message for f in report.findings)
    assert str(report).isprintable() or all(c.isprintable() or c == "\n" for c in str(report))


@pytest.mark.parametrize("result", [
    lambda g: g.tolist(), lambda g: [g.tolist()], lambda g: [g], lambda g: (g.tolist(),), lambda g: g.view(np.matrix)
    if g.ndim == 2 else g,
])  # fmt: skip
def test_lists_and_matrices_are_arrays_too(result):
    report = check.op("relu", lambda x: [np.maximum(x, 0).tolist(), x], lambda dy, x: result(dy * (x > 0)))
    assert report.passed, str(report)


def test_gradients_stacked_in_one_array_unpack_as_a_tuple_does():
    assert check.op("add", lambda a, b: (a + b, None), lambda dy, cache: np.stack([dy, dy])).passed
