"""tinyvision, as its users would write it."""

import numpy as np

NAME = "tinyvision"


def version():
    """The version of tinyvision."""
    import tinyvision

    return tinyvision.__version__


def set_threads(threads):
    """Threads for every op."""
    import tinyvision

    tinyvision.set_num_threads(threads)


def _entry(name, run, results, family=NAME):
    from . import Entry

    return Entry(name, run, results, family)


def _channels_last(a):
    """The same array in the memory order that layers hand to each other."""
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def conv_forward(layer, x, weight):
    """The op on plain arrays."""
    from tinyvision import ops

    x, weight, options = _channels_last(x), _channels_last(weight), {"stride": layer.stride, "padding": layer.padding}

    def run():
        return ops.conv2d_forward(x, weight, **options)[0]

    return [_entry(NAME, run, lambda: {"y": run()})]


def _conv_gradient(layer, x, weight, dy, needs, which):
    from tinyvision import ops

    x, weight, dy = _channels_last(x), _channels_last(weight), _channels_last(dy)
    _, cache = ops.conv2d_forward(x, weight, stride=layer.stride, padding=layer.padding)

    def run():
        return ops.conv2d_backward(dy, cache, needs)

    return [_entry(NAME, run, lambda: {which: run()[needs.index(True)]})]


def conv_image_gradient(layer, x, weight, dy):
    """The backward with only dx wanted."""
    return _conv_gradient(layer, x, weight, dy, (True, False, False), "dx")


def conv_weight_gradient(layer, x, weight, dy):
    """The backward with only dweight wanted."""
    return _conv_gradient(layer, x, weight, dy, (False, True, False), "dweight")


def conv_both(layer, x, weight, dy):
    """Forward and backward through the tape."""
    import tinyvision as tv
    from tinyvision.nn import functional

    x, weight = (tv.Tensor(_channels_last(a), requires_grad=True) for a in (x, weight))
    dy = tv.Tensor(_channels_last(dy))

    def run():
        x.grad = weight.grad = None
        y = functional.conv2d(x, weight, stride=layer.stride, padding=layer.padding)
        y.backward(dy)
        return y

    return [
        _entry(NAME, run, lambda: {"y": run().detach().numpy(), "dx": x.grad.numpy(), "dweight": weight.grad.numpy()})
    ]


def _step(model, optimizer, x, labels):
    import tinyvision as tv
    from tinyvision import nn

    x, labels = tv.from_numpy(x), tv.from_numpy(labels)
    criterion = nn.CrossEntropyLoss()
    model.train()

    def run():
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def results():
        found = {"loss 1": run()}
        found.update({f"gradient {name}": p.grad.numpy().copy() for name, p in model.named_parameters()})
        return found | {"loss 2": run(), "loss 3": run()}

    return [_entry(NAME, run, results)]


def cnn_step(state, x, labels, lr):
    """A step of SGD through the tape."""
    from tinyvision import models, optim

    model = models.SimpleCNN(x.shape[1], 10, x.shape[2])
    model.load_state_dict(state)
    return _step(model, optim.SGD(model.parameters(), lr=lr), x, labels)


def _resnet(state):
    from tinyvision import models

    model = models.resnet18()
    model.load_state_dict(state)
    return model


def resnet_step(state, x, labels, lr, momentum, decay):
    """A step of SGD with momentum through the tape."""
    from tinyvision import optim

    model = _resnet(state)
    return _step(model, optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=decay), x, labels)


def resnet_inference(state, x):
    """As loaded, and with batch-norm folded by `model.fuse()`."""
    import tinyvision as tv

    model, x = _resnet(state).eval(), tv.from_numpy(x)
    return [_inference(NAME, model, x), _inference(f"{NAME} folded", model.fuse(), x)]


def _inference(name, model, x):
    import tinyvision as tv

    def run():
        with tv.no_grad():
            return model(x)

    return _entry(name, run, lambda: {"logits": run().numpy()}, name)
