"""MyGrad: automatic differentiation on NumPy, for teaching."""

import functools

NAME = "MyGrad"


@functools.cache
def _import():
    import mygrad
    import mygrad.nnet

    mygrad.turn_memory_guarding_off()  # as its documentation advises where speed matters
    return mygrad


def version():
    """MyGrad's version. Raises ImportError."""
    return _import().__version__


def set_threads(threads):
    """Its threads are BLAS's."""


def _entry(run, results):
    from . import Entry

    return Entry(NAME, run, results, NAME)


def conv_forward(layer, x, weight):
    """`conv_nd` without a graph."""
    mg = _import()
    x, weight = mg.tensor(x), mg.tensor(weight)

    def run():
        with mg.no_autodiff:
            return mg.nnet.layers.conv_nd(x, weight, stride=layer.stride, padding=layer.padding)

    return [_entry(run, lambda: {"y": run().data})]


def conv_both(layer, x, weight, dy):
    """Forward and backward."""
    mg = _import()
    x, weight = mg.tensor(x), mg.tensor(weight)

    def run():
        y = mg.nnet.layers.conv_nd(x, weight, stride=layer.stride, padding=layer.padding)
        y.backward(dy)
        return y

    return [_entry(run, lambda: {"y": run().data, "dx": x.grad, "dweight": weight.grad})]


def cnn_step(state, x, labels, lr):
    """A step of SGD, with its own functions."""
    mg = _import()
    layers, relu = mg.nnet.layers, mg.nnet.activations.relu
    p = {name: mg.tensor(a.copy()) for name, a in state.items()}
    images = mg.tensor(x, constant=True)

    def block(y, name):
        y = layers.conv_nd(y, p[f"{name}.weight"], stride=1, padding=1) + p[f"{name}.bias"].reshape(1, -1, 1, 1)
        return layers.max_pool(relu(y), (2, 2), 2)

    def run():
        y = block(block(images, "conv1"), "conv2").reshape(len(x), -1)
        y = relu(mg.matmul(y, p["fc1.weight"].T) + p["fc1.bias"])
        y = mg.matmul(y, p["fc2.weight"].T) + p["fc2.bias"]
        loss = mg.nnet.losses.softmax_crossentropy(y, labels)
        loss.backward()
        for parameter in p.values():
            parameter.data[...] -= lr * parameter.grad
        return float(loss)

    def results():
        found = {"loss 1": run()}
        found.update({f"gradient {name}": v.grad.copy() for name, v in p.items()})
        return found | {"loss 2": run(), "loss 3": run()}

    return [_entry(run, results)]
