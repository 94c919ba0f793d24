"""DeZero: the small framework that grows step by step in a book. It computes on NumPy, on one thread outside of
BLAS."""

import functools

NAME = "DeZero"


@functools.cache
def _import():
    """dezero 0.0.13 still uses `np.int`, which NumPy removed; it is put back while dezero is imported."""
    import numpy as np

    missing = "int" not in vars(np)
    if missing:
        np.int = int
    try:
        import dezero
        import dezero.functions
    finally:
        if missing:
            del np.int
    return dezero


def version():
    """DeZero's version. Raises ImportError."""
    from importlib.metadata import version as distribution_version

    _import()
    return distribution_version("dezero")


def set_threads(threads):
    """Its threads are BLAS's."""


def _entry(run, results):
    from . import Entry

    return Entry(NAME, run, results, NAME)


def conv_forward(layer, x, weight):
    """`functions.conv2d` without a graph."""
    dezero = _import()
    x, weight = dezero.Variable(x), dezero.Variable(weight)

    def run():
        with dezero.no_grad():
            return dezero.functions.conv2d(x, weight, None, layer.stride, layer.padding)

    return [_entry(run, lambda: {"y": run().data})]


def conv_both(layer, x, weight, dy):
    """Forward and backward."""
    dezero = _import()
    x, weight, dy = dezero.Variable(x), dezero.Variable(weight), dezero.Variable(dy)

    def run():
        x.cleargrad()
        weight.cleargrad()
        y = dezero.functions.conv2d(x, weight, None, layer.stride, layer.padding)
        y.grad = dy
        y.backward()
        return y

    return [_entry(run, lambda: {"y": run().data, "dx": x.grad.data, "dweight": weight.grad.data})]


def cnn_step(state, x, labels, lr):
    """A step of SGD, with its own functions."""
    F = _import().functions
    parameters = {name: _import().Parameter(a.copy()) for name, a in state.items()}
    p = parameters

    def forward():
        y = F.pooling(F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"], 1, 1)), 2, 2)
        y = F.pooling(F.relu(F.conv2d(y, p["conv2.weight"], p["conv2.bias"], 1, 1)), 2, 2)
        y = F.relu(F.linear(y.reshape(len(x), -1), p["fc1.weight"].T, p["fc1.bias"]))
        return F.softmax_cross_entropy(F.linear(y, p["fc2.weight"].T, p["fc2.bias"]), labels)

    def run():
        for parameter in parameters.values():
            parameter.cleargrad()
        loss = forward()
        loss.backward()
        for parameter in parameters.values():
            parameter.data -= lr * parameter.grad.data
        return float(loss.data)

    def results():
        found = {"loss 1": run()}
        found.update({f"gradient {name}": v.grad.data.copy() for name, v in parameters.items()})
        return found | {"loss 2": run(), "loss 3": run()}

    return [_entry(run, results)]
