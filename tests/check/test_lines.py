"""Which line is wrong: told where one line's change mends it, for code of many shapes; never another line."""

import ast
import contextlib
import importlib.util
import inspect
import itertools
import json
import time

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.repair import search, trials, turns
from tinyvision.check.repair.apart import apart
from tinyvision.check.repair.computing import is_authors
from tinyvision.check.repair.strided import bounded
from tinyvision.check.repair.written import Written

LINEAR = """
import numpy as np

def forward(x, weight, bias):
    y = x @ weight.T + bias
    return y, (x, weight)

def backward(dy, cache):
    x, weight = cache
    dx = dy @ weight
    dweight = dy.T @ x
    dbias = dy.sum(axis=0)
    return dx, dweight, dbias
"""
DENSE = """
import numpy as np

class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx
"""
STEPPING = """
import numpy as np

class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad, lr):
        before = grad @ self.W.T
        self.W -= lr * self.x.T @ grad
        self.b -= lr * grad.sum(axis=0)
        return before
"""
PER_SAMPLE = """
import numpy as np

def affine_forward(x, w, b):
    out = np.zeros((len(x), w.shape[1]))
    for n in range(len(x)):
        for j in range(w.shape[1]):
            total = 0.0
            for i in range(w.shape[0]):
                total += x[n, i] * w[i, j]
            out[n, j] = total + b[j]
    return out, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(len(x)):
        for j in range(w.shape[1]):
            db[j] += dout[n, j]
            for i in range(w.shape[0]):
                dx[n, i] += dout[n, j] * w[i, j]
                dw[i, j] += dout[n, j] * x[n, i]
    return dx, dw, db
"""
DICTIONARY = """
import numpy as np

def soft(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def softmax_forward(x):
    return soft(x), {"y": soft(x)}

def softmax_backward(dout, cache):
    y = cache["y"]
    inner = np.sum(dout * y, axis=1, keepdims=True)
    return y * (dout - inner)
"""
LOSS = """
import numpy as np

def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    probs = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx = dx / N
    return loss, dx
"""
RELU = """
import numpy as np

class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dout):
        dx = dout * self.mask
        return dx
"""
SIGMOID = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def sigmoid_forward(z):
    return sigmoid(z), z

def sigmoid_backward(da, z):
    s = sigmoid(z)
    ds = s * (1 - s)
    return da * ds
"""
BATCHNORM = """
import numpy as np

def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, gamma, std)

def batchnorm_backward(dout, cache):
    xhat, gamma, std = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    centred = dxhat - dxhat.mean(axis=0)
    dx = (centred - xhat * (dxhat * xhat).mean(axis=0)) / std
    return dx, dgamma, dbeta
"""
POOL = """
import numpy as np

class MaxPool:
    def __init__(self, pool_h, pool_w, stride):
        self.pool_h, self.pool_w, self.stride = pool_h, pool_w, stride

    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        oh, ow = (H - self.pool_h) // self.stride + 1, (W - self.pool_w) // self.stride + 1
        out = np.zeros((N, C, oh, ow))
        for i in range(oh):
            for j in range(ow):
                out[:, :, i, j] = x[:, :, i * self.stride : i * self.stride + self.pool_h,
                                    j * self.stride : j * self.stride + self.pool_w].max(axis=(2, 3))
        return out

    def backward(self, dout):
        dx = np.zeros_like(self.x)
        for n, c, i, j in np.ndindex(dout.shape):
            top, left = i * self.stride, j * self.stride
            window = self.x[n, c, top : top + self.pool_h, left : left + self.pool_w]
            row, col = np.unravel_index(window.argmax(), window.shape)
            dx[n, c, top + row, left + col] += dout[n, c, i, j]
        return dx
"""
CONV = """
import numpy as np

def windows(x, kh, kw):
    return np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))

class Conv:
    def __init__(self, W, b):
        self.W, self.b, self.grads = W, b, {}

    def forward(self, x):
        self.x = x
        cols = windows(x, *self.W.shape[2:])
        return np.einsum("ncijkl,ockl->noij", cols, self.W) + self.b[:, None, None]

    def backward(self, dout):
        kh, kw = self.W.shape[2:]
        cols = windows(self.x, kh, kw)
        self.grads["W"] = np.einsum("noij,ncijkl->ockl", dout, cols)
        self.grads["b"] = dout.sum(axis=(0, 2, 3))
        padded = np.pad(dout, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
        turned = self.W[:, :, ::-1, ::-1]
        return np.einsum("noijkl,ockl->ncij", windows(padded, kh, kw), turned)
"""
INHERITED = """
import math
import time
from abc import ABC, abstractmethod
from typing import Optional, Tuple
import numpy as np

FORMS = {"linear": lambda z: z, "double": lambda z: 2 * z}

def timed(method):
    def run(*args, **kwargs):
        begun = time.time()
        out = method(*args, **kwargs)
        if time.time() - begun > 60:
            print("slow", method.__name__)
        return out
    return run

class Layer(ABC):
    def __init__(self, name: Optional[str] = None, dtype=np.float64):
        self.name, self.dtype = name, dtype
        self.cache, self.params, self.grads, self.optimizer = {}, {}, {}, None

    @abstractmethod
    def forward(self, x):
        pass

    def keep(self, **arrays):
        self.cache.update(arrays)

class Inherited(Layer):
    def __init__(self, n_in, n_out):
        super().__init__(name="inherited")
        self.params["W"] = np.random.randn(n_in, n_out) / math.sqrt(n_in)
        self.params["b"] = np.zeros(n_out)
        self.__form = FORMS["linear"]

    @property
    def W(self) -> np.ndarray:
        return self.params["W"]

    @timed
    def forward(self, x: np.ndarray) -> np.ndarray:
        if x.ndim != 2:
            raise ValueError(f"{self.__class__.__name__} wants two axes")
        self.keep(x=x)
        scores: np.ndarray = x @ self.W + self.params["b"]
        return self.__form(scores)

    @timed
    def backward(self, dout: np.ndarray) -> np.ndarray:
        x: np.ndarray = self.cache["x"]
        self.grads["W"], self.grads["b"] = self.__gradients(x, dout)
        if self.optimizer is not None:
            self.optimizer.update(self.params["W"], self.grads["W"])
        return dout @ self.W.T

    def __gradients(self, x, dout) -> Tuple[np.ndarray, np.ndarray]:
        dW = x.T @ dout
        db = dout.sum(axis=0)
        return dW, db
"""
GENERATED = """
import numpy as np
from numpy.lib.stride_tricks import as_strided

class Pool:
    def __init__(self, pool_size):
        self.size = pool_size

    def places(self, shape):
        for i in range(shape[2] // self.size):
            for j in range(shape[3] // self.size):
                yield i, j, np.s_[:, :, i * self.size : (i + 1) * self.size, j * self.size : (j + 1) * self.size]

    def forward(self, x):
        self.x = x
        n, c, h, w = x.shape
        s = x.strides
        shape = (n, c, h // self.size, w // self.size, self.size, self.size)
        return as_strided(x, shape, (s[0], s[1], s[2] * self.size, s[3] * self.size, s[2], s[3])).mean(axis=(4, 5))

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        for i, j, here in self.places(self.x.shape):
            dx[here] = dout[:, :, i, j][:, :, None, None] / self.size ** 2
        return dx
"""
DROPOUT = """
import numpy as np

def forward(x, mask, p):
    scale = 1 / (1 - p)
    return x * mask * scale, {"mask": mask, "scale": scale}

def backward(dy, cache):
    kept = dy * cache["mask"]
    return kept * cache["scale"], None
"""
WHILE = """
import numpy as np

def pool_forward(x, size):
    out = np.zeros((x.shape[0], x.shape[1], x.shape[2] // size, x.shape[3] // size))
    top = 0
    while top + size <= x.shape[2]:
        left = 0
        while left + size <= x.shape[3]:
            out[:, :, top // size, left // size] = x[:, :, top : top + size, left : left + size].mean(axis=(2, 3))
            left += size
        top += size
    return out, (x.shape, size)

def pool_backward(dout, cache):
    shape, size = cache
    dx = np.zeros(shape)
    row = 0
    while row < dout.shape[2]:
        column = 0
        while column < dout.shape[3]:
            share = dout[:, :, row, column] / size ** 2
            dx[:, :, row * size : row * size + size, column * size : column * size + size] = share[:, :, None, None]
            column += 1
        row += 1
    return dx
"""
STORED = """
import numpy as np

def tiles_forward(x, size):
    h, w = x.shape[2] // size, x.shape[3] // size
    y = np.zeros((*x.shape[:2], h, w))
    for row in range(h):
        for column in range(w):
            part = x[:, :, row * size : row * size + size, column * size : column * size + size]
            y[:, :, row, column] = part.mean(axis=(2, 3))
    return y, (x.shape, size)

def tiles_backward(dout, cache):
    shape, size = cache
    dx = np.zeros(shape)
    spread = np.repeat(np.repeat(dout, size, 2), size, 3) / size ** 2
    dx[:, :, : spread.shape[2], : spread.shape[3]] = spread
    return dx
"""
RESHAPED = """
import numpy as np

def columns_forward(x, weight, bias):
    return x @ weight.T + bias, (x, weight)

def columns_backward(dy, cache):
    x, weight = cache
    products = x.T @ dy
    dweight = products.T.reshape(weight.shape)
    return dy @ weight, dweight, dy.sum(axis=0)
"""
OWN = {
    "Inherited": "linear",
    "Pool": "avgpool2d",
    "Dense": "linear",
    "ReLU": "relu",
    "MaxPool": "maxpool2d",
    "Conv": "conv2d",
}
PAIRS = {
    LINEAR: ("linear", "forward", "backward"), PER_SAMPLE: ("linear", "affine_forward", "affine_backward"),
    DICTIONARY: ("softmax", "softmax_forward", "softmax_backward"), LOSS: ("cross_entropy", "softmax_loss", None),
    SIGMOID: ("sigmoid", "sigmoid_forward", "sigmoid_backward"), DROPOUT: ("dropout", "forward", "backward"),
    WHILE: ("avgpool2d", "pool_forward", "pool_backward"),
    STORED: ("avgpool2d", "tiles_forward", "tiles_backward"),
    RESHAPED: ("linear", "columns_forward", "columns_backward"),
    BATCHNORM: ("batchnorm_train", "batchnorm_forward", "batchnorm_backward"),
}  # fmt: skip
# (code, what is right in it, what was written in its place)
PLANTED = [
    (LINEAR, "dy.sum(axis=0)", "dy.mean(axis=0)"),
    (LINEAR, "dweight = dy.T @ x", "dweight = dy.T @ x / len(dy)"),
    (LINEAR, "x @ weight.T + bias", "x @ weight.T - bias"),
    (LINEAR, "return dx, dweight, dbias", "return dx, dweight, dbias * 2"),
    (DENSE, "np.dot(self.x.T, dout)", "-np.dot(self.x.T, dout)"),
    (DENSE, "np.dot(x, self.W) + self.b", "np.dot(x, self.W)"),
    (STEPPING, "lr * grad.sum(axis=0)", "lr * grad.mean(axis=0)"),
    (STEPPING, "self.b -= lr", "self.b += lr"),
    (PER_SAMPLE, "dw[i, j] += ", "dw[i, j] = "),
    (PER_SAMPLE, "db[j] += dout[n, j]", "db[j] += dout[n, j] * x[n, j % x.shape[1]]"),
    (DICTIONARY, "np.sum(dout * y, axis=1", "np.sum(dout * y, axis=0"),
    (DICTIONARY, "y * (dout - inner)", "y * (dout + inner)"),
    (DICTIONARY, "y * (dout - inner)", "(dout - inner)"),
    (LOSS, "y] -= 1", "y] += 1"),
    (LOSS, "dx[np.arange(N), y] -= 1", "dx[np.arange(N), y] -= 0"),
    (LOSS, "y])) / N", "y]))"),
    (RELU, "dx = dout * self.mask", "dx = dout"),
    (SIGMOID, "s * (1 - s)", "z * (1 - z)"),
    (SIGMOID, "s * (1 - s)", "s * (1 + s)"),
    (BATCHNORM, "(dout * xhat).sum", "(dout * xhat).mean"),
    (BATCHNORM, "dxhat - dxhat.mean(axis=0)", "dxhat - dxhat.mean()"),
    (BATCHNORM, "dxhat = dout * gamma", "dxhat = dout"),
    (BATCHNORM, "* (dxhat * xhat).mean(axis=0)", "* (dxhat * xhat).sum(axis=0)"),
    (POOL, "left + col] += dout", "left + col] = dout"),
    (CONV, "(0, 2, 3)", "(2, 3)).mean(axis=0"),
    (CONV, "[:, :, ::-1, ::-1]", "[:, :, ::-1]"),
    (DROPOUT, "return kept * cache", "return kept / cache"),
    (INHERITED, "dW = x.T @ dout", "dW = x.T @ dout / len(x)"),
    (INHERITED, "dout.sum(axis=0)", "dout.mean(axis=0)"),
    (INHERITED, "dout @ self.W.T", "dout @ self.W.T * 2"),
    (INHERITED, 'x @ self.W + self.params["b"]', 'x @ self.W - self.params["b"]'),
    (GENERATED, "None] / self.size ** 2", "None] / self.size"),
    (GENERATED, "s[3] * self.size, s[2], s[3]", "s[3] * self.size, s[3], s[3]"),
    (WHILE, "column] / size ** 2", "column] / size"),
    (WHILE, "left += size", "left += 2 * size"),
    (RELU, "dx = dout * self.mask\n        return dx", "return dout"),
    (STORED, "y[:, :, row, column]", "y[:, :, column, row]"),
    (RESHAPED, "products.T.reshape", "products.reshape"),
]  # fmt: skip
UNTOLD = {"[:, :, ::-1]"}  # what no small change undoes
_count = itertools.count()


def loaded(text, folder):
    """The text as a module of its own, in a file of its own."""
    name = f"planted_{next(_count)}"
    path = folder / f"{name}.py"
    path.write_text(text)
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def checked(code, text, folder):
    module = loaded(text, folder)
    if code in PAIRS:
        op, forward, backward = PAIRS[code]
        return check.op(op, getattr(module, forward), backward and getattr(module, backward))
    name = next(n for n in OWN if hasattr(module, n))
    return check.layer(getattr(module, name), OWN[name])


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """In this process, so that a test sees what is run."""
    monkeypatch.setattr(search, "apart", lambda work, seconds: json.loads(json.dumps(work(int))))


@pytest.mark.parametrize(("code", "right", "wrong"), PLANTED, ids=[f"{w}" for _, _, w in PLANTED])
def test_the_line_with_the_mistake_is_told(code, right, wrong, tmp_path):
    text = code.replace(right, wrong, 1)
    assert text != code
    report = checked(code, text, tmp_path)
    assert not report.passed
    told = {line for f in report.findings for line in f.lines}
    assert len(told) <= 2, told
    assert not told if wrong in UNTOLD else line_of(text, wrong) in told, str(report)


@pytest.mark.parametrize(
    "code", [*PAIRS, DENSE, STEPPING, RELU, POOL, CONV, INHERITED, GENERATED], ids=lambda c: c.split("\n")[3]
)
def test_they_are_right_as_they_were_written(code, tmp_path):
    assert checked(code, code, tmp_path).passed


MORE_THAN_COMPUTING = {
    "a file": ("dbias = ", "open(__file__).close(); dbias = "),
    "a function elsewhere": ("dbias = ", "os.stat(ROOT + '/here'); dbias = "),
    "the program's own numbers": ("dbias = ", "seen['batches'] += 1; dbias = "),
    "an array of the program": ("dbias = ", "table[0] += 0; dbias = "),
    "a helper that does more": ("dbias = ", "noted(dy.shape); dbias = "),
    "what is read by name": ("dbias = ", "getattr(dy, 'tofile'); dbias = "),
    "a method that writes": ("dbias = ", "dy.dump; (lambda f: f)(dy).setflags(); dbias = "),
    "an import": ("dbias = ", "import math; dbias = "),
    "a global": ("dbias = ", "global count; count = 0; dbias = "),
    "a function by another name": ("dbias = ", "keep = np.save; dbias = "),
    "one that is handed on": ("dbias = ", "list(map(np.load, [])); dbias = "),
    "a table of functions": ("dbias = ", "TABLE['stat']; dbias = "),
    "a class that writes": ("dbias = ", "Log().note; dbias = "),
    "a method that did not run": ("dbias = ", "Log.closed(dy) if len(dy) > 99 else 0; dbias = "),
    "what is printed into a file": ("dbias = ", "print(end='', file=None); dbias = "),
    "forward": ("y = x", "seen['batches'] += 1; y = x"),
}
PROGRAM = """
import os
import numpy as np
ROOT, seen, table, TABLE = ".", {"batches": 0}, np.ones(3), {"stat": os.stat}

class Log:
    def __init__(self):
        self.note = os.getcwd()

    @staticmethod
    def closed(x):
        os.closerange(90, 99)

def noted(shape):
    seen["shape"] = shape
"""


@pytest.mark.parametrize("what", MORE_THAN_COMPUTING)
def test_code_that_does_more_than_compute_is_never_run_in_other_forms(what, tmp_path, monkeypatch):
    """Another argument could delete another folder; and if one function is left alone, no other is blamed for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    monkeypatch.setattr(Written, "standing_in", lambda *_: pytest.fail("other code was run"))
    text = PROGRAM + LINEAR.replace("dy.sum(axis=0)", "dy.mean(axis=0)").replace(*MORE_THAN_COMPUTING[what], 1)
    (finding,) = checked(LINEAR, text, tmp_path).findings
    assert finding.argument == "dbias"
    assert not finding.lines


def test_an_object_of_the_author_s_keeps_its_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(Written, "standing_in", lambda *_: pytest.fail("other code was run"))
    text = "import numpy as np\n\nclass Net:\n" + LINEAR.partition("np\n")[2].replace("\n", "\n    ")
    text = text.replace("forward(", "forward(self, ").replace("backward(", "backward(self, ")
    module = loaded(text.replace("dy.sum(axis=0)", "dy.mean(axis=0)"), tmp_path)
    net = module.Net()
    net.seen = 3
    (finding,) = check.op("linear", net.forward, net.backward).findings
    assert finding.argument == "dbias"
    assert not finding.lines


def test_a_search_runs_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "apart", apart)
    text = LINEAR.replace("dy.sum(axis=0)", "dy.mean(axis=0)")
    text = text.replace("def backward(dy, cache)", "def backward(dy, cache, n=[0])")
    text = text.replace("x, weight = cache", "x, weight = cache\n    n[0] += 1")
    module = loaded(text, tmp_path)
    (finding,) = check.op("linear", module.forward, module.backward).findings
    assert finding.lines == (line_of(text, "dbias = "),)
    counted = module.backward.__defaults__[0][0]
    assert counted == int(counted) > 0
    monkeypatch.delattr("os.fork")
    (finding,) = check.op("linear", module.forward, module.backward).findings
    assert not finding.lines


def test_a_loop_that_never_ends_is_ended_by_its_turns(tmp_path, monkeypatch):
    """Without `left += size`, and with many another change, a loop turns for ever; no clock is looked at."""
    ended = []
    monkeypatch.setattr(turns.TooMany, "__init__", lambda self: ended.append(1))
    text = WHILE.replace("column] / size ** 2", "column] / size")
    for _ in range(2):
        report = checked(WHILE, text, tmp_path)
        assert line_of(text, "column] / size") in {line for f in report.findings for line in f.lines}
    assert len(ended) > 10
    assert len(ended) % 2 == 0


def test_what_computes_the_same_is_tried_once(tmp_path, monkeypatch):
    alike, usual = [], search.values.distinct
    monkeypatch.setattr(search.values, "distinct", lambda *a: alike.append((usual(*a), a[1])) or alike[-1][0])
    checked(BATCHNORM, BATCHNORM.replace("(dxhat * xhat).mean(", "(dxhat * xhat).sum("), tmp_path)
    assert sum(len(groups) for (groups, _), _ in alike) < 0.8 * sum(len(changes) for _, changes in alike)
    assert max(len(group) for (groups, _), _ in alike for group in groups) > 1


def counted_trials(monkeypatch):
    """How often a search goes forward and backward."""
    counts = {"forward": 0, "backward": 0}
    for way in counts:
        usual = getattr(trials._Trial, way)
        monkeypatch.setattr(
            trials._Trial, way,
            lambda *a, w=way, u=usual, **k: counts.update({w: counts[w] + 1}) or u(*a, **k),
        )  # fmt: skip
    return counts


def test_forward_is_not_run_again_for_what_backward_alone_calls(tmp_path, monkeypatch):
    counts = counted_trials(monkeypatch)
    checked(BATCHNORM, BATCHNORM.replace("(dxhat * xhat).mean(", "(dxhat * xhat).sum("), tmp_path)
    assert counts["backward"] > 100
    assert counts["forward"] < 0.2 * counts["backward"]


def test_backward_is_not_run_where_y_is_wrong_already(tmp_path, monkeypatch):
    counts = counted_trials(monkeypatch)
    checked(LINEAR, LINEAR.replace("weight.T + bias", "weight.T - bias"), tmp_path)
    assert counts["backward"] < 0.5 * counts["forward"]


KEPT = """
import numpy as np

def forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y = e / e.sum(axis=1, keepdims=True)
    return y, {"y": y}

def backward(dy, cache):
    dx = cache["y"]
    dx = dx * dy
    inner = dx.sum(axis=1, keepdims=True)
    return dx + cache["y"] * inner
"""


def test_what_a_form_has_changed_of_what_forward_left_is_made_anew(tmp_path, monkeypatch):
    """With dx += in the place of dx = y itself is changed."""
    changed = []
    usual = trials._Left.changed.fget
    monkeypatch.setattr(trials._Left, "changed", property(lambda left: changed.append(usual(left)) or changed[-1]))
    module = loaded(KEPT, tmp_path)
    (finding,) = check.op("softmax", module.forward, module.backward).findings
    assert line_of(KEPT, "return dx + cache") in finding.lines
    assert any(changed)
    assert not all(changed)


HELPER = """
import numpy as np

def moved(x, times, shift):
    return times * x + shift

def forward(x, weight, bias):
    y = moved(x @ weight.T, 1, bias)
    return y, (x, weight)

def backward(dy, cache):
    x, weight = cache
    return moved(dy @ weight, 1, 0), moved(dy.T @ x, 1, 0), moved(dy, 1, 0).sum(axis=0)
"""


def test_a_call_is_compared_by_what_it_is_given(tmp_path, monkeypatch):
    alike, usual = [], search.values.distinct
    monkeypatch.setattr(search.values, "distinct", lambda *a: alike.append((usual(*a), a[1])) or alike[-1][0])
    text = HELPER.replace("moved(x @ weight.T, 1, bias)", "moved(x @ weight.T, 1, -bias)")
    module = loaded(text, tmp_path)
    (finding,) = check.op("linear", module.forward, module.backward).findings
    assert line_of(text, "-bias") in finding.lines
    groups, changes = next((len(g), len(c)) for (g, _), c in alike if "-bias" in ast.unparse(c[0].statement))
    assert groups < 0.8 * changes


def test_a_search_is_ended_by_the_clock_and_leaves_nothing_behind(monkeypatch):
    kept = []
    monkeypatch.setattr("tinyvision.check.repair.apart.SILENCE", 0.2)
    started = time.monotonic()
    assert apart(lambda alive: time.sleep(60), 20.0) is None
    monkeypatch.undo()
    assert apart(lambda alive: any(iter(int, 1)), 0.5) is None
    assert time.monotonic() - started < 30
    assert apart(lambda alive: kept.append(alive()) or [1, "two"], 20.0) == [1, "two"]
    assert apart(lambda alive: 1 / 0, 20.0) is None
    assert kept == []


TANH = """
import numpy as np

class Tanh:
    def forward(self, x):
        out = np.tanh(x)
        self.out = out
        return out

    def backward(self, dout):
        return np.multiply(dout, np.subtract(1, self.out))
"""


@pytest.mark.parametrize("kept", ["out", "out.copy()", "np.asarray(out)"])
def test_a_line_that_only_keeps_something_is_not_blamed(kept, tmp_path):
    text = TANH.replace("self.out = out", f"self.out = {kept}")
    report = check.layer(loaded(text, tmp_path).Tanh, "tanh")
    assert {line for f in report.findings for line in f.lines} == {line_of(text, "np.multiply")}


def test_what_python_and_its_packages_bring_is_nobody_s_to_change():
    """Where their files lie below the author's folder."""
    for function in (contextlib.contextmanager, ast.parse, np.linalg.norm, check.op):
        assert not is_authors(inspect.unwrap(function).__code__.co_filename)
    assert is_authors(__file__)


def test_a_class_that_keeps_something_for_all_its_objects_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Written, "standing_in", lambda *_: pytest.fail("other code was run"))
    text = DENSE.replace("class Dense:", "class Dense:\n    kept = {}").replace("np.sum(dout", "np.mean(dout")
    report = checked(DENSE, text, tmp_path)
    assert not report.passed
    assert not any(f.lines for f in report.findings)


def test_a_file_that_has_changed_since_it_was_read_is_left_alone(tmp_path):
    module = loaded(LINEAR.replace("dy.sum(axis=0)", "dy.mean(axis=0)"), tmp_path)
    (file,) = tmp_path.glob("*.py")
    file.write_text(LINEAR.replace("dy.sum(axis=0)", "2 * dy.sum(axis=0)"))
    (finding,) = check.op("linear", module.forward, module.backward).findings
    assert not finding.lines


def test_functions_are_what_they_were_after_the_search(tmp_path):
    module = loaded(LINEAR.replace("dy.sum(axis=0)", "dy.mean(axis=0)"), tmp_path)
    before = module.forward.__code__, module.backward.__code__
    check.op("linear", module.forward, module.backward)
    assert (module.forward.__code__, module.backward.__code__) == before
    dy, x, weight = np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 4))
    np.testing.assert_array_equal(module.backward(dy, (x, weight))[2], np.ones(3))


def test_without_a_bank_no_line_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "apart", lambda *_: pytest.fail("a search was begun"))
    module = loaded(LINEAR.replace("dy.sum(axis=0)", "dy.mean(axis=0)"), tmp_path)
    assert not check.op("linear", module.forward, module.backward, bank=[]).passed


def test_a_changed_stride_stays_within_the_array():
    x = np.arange(12.0).reshape(3, 4)
    usual = np.lib.stride_tricks.as_strided
    with bounded([]):
        view = np.lib.stride_tricks.as_strided(x[1:], (2, 2), (-32, 8))
        assert view.tolist() == [[4, 5], [0, 1]]
        for shape, strides in (((3, 5), (32, 8)), ((3, 4), (64, 8)), ((2, 2), (-32, 8)), ((4, 4), (32, 8))):
            with pytest.raises(IndexError, match="beyond the array"):
                np.lib.stride_tricks.as_strided(x, shape, strides)
    assert np.lib.stride_tricks.as_strided is usual


def test_an_exception_is_traced_to_the_line_to_change(tmp_path):
    text = PER_SAMPLE.replace(
        "for j in range(w.shape[1]):\n            db", "for j in range(w.shape[0]):\n            db"
    )
    report = checked(PER_SAMPLE, text, tmp_path)
    assert any(f.kind == "exception" for f in report.findings), str(report)
    assert {line for f in report.findings for line in f.lines} == {line_of(text, "for j in range(w.shape[0])")}
