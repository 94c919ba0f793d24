"""tinyvision, as its users would write it."""

import numpy as np

NAME = "tinyvision"  # NumPy alone
FAST = "tinyvision fast"  # with the compiled loops of the extra `fast`


def version():
    """The version of tinyvision."""
    import tinyvision

    return tinyvision.__version__


def set_threads(threads):
    """Threads for every op."""
    import tinyvision

    tinyvision.set_num_threads(threads)


def prepare(say):
    """Compile the loops of the extra `fast`. Returns why there are none, or None."""
    from tinyvision.kernels.cpu import compiled

    if not compiled.installed():
        return "numba is not installed; install with: pip install '.[bench]'"
    say("compiling loops")
    compiled.compile_all()
    return None if compiled.ready() else "its compiled loops were asked for before they were there"


def _ways(name, build, ways=(NAME, FAST)):
    """The entries of what build() makes, (run, results): with NumPy alone, and with the compiled loops, if they are
    there. Each has a state of its own."""
    from tinyvision.kernels.cpu import compiled

    entries = []
    if NAME in ways:
        run, results = build()
        entries.append(_entry(name, _alone(run), _alone(results), name))
    if FAST in ways and compiled.ready():
        name = name.replace(NAME, FAST, 1)
        entries.append(_entry(name, *build(), name))
    return entries


def _alone(work):
    from tinyvision import kernels

    def run():
        with kernels.only():
            return work()

    return run


def _entry(name, run, results, family):
    from . import Entry

    return Entry(name, run, results, family)


def _channels_last(a):
    """The same array in the memory order that layers hand to each other."""
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _conv2d(x, weight, options):
    """The pair of functions that the tape would call now."""
    from tinyvision import kernels, ops

    return kernels.choose_on_cpu(ops.conv2d_forward, ops.conv2d_backward, [x, weight], options)


def conv_forward(layer, x, weight):
    """The op on plain arrays."""
    x, weight, options = _channels_last(x), _channels_last(weight), {"stride": layer.stride, "padding": layer.padding}

    def run():
        return _conv2d(x, weight, options)[0](x, weight, **options)[0]

    return _ways(NAME, lambda: (run, lambda: {"y": run()}))


def _conv_gradient(layer, x, weight, dy, needs, which):
    x, weight, dy = _channels_last(x), _channels_last(weight), _channels_last(dy)
    options = {"stride": layer.stride, "padding": layer.padding}

    def run():
        forward, backward = _conv2d(x, weight, options)
        if forward not in caches:  # its own, which NumPy alone and the loops may keep differently
            caches[forward] = forward(x, weight, **options)[1]
        return backward(dy, caches[forward], needs)

    caches = {}
    return _ways(NAME, lambda: (run, lambda: {which: run()[needs.index(True)]}))


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

    x, weight = (tv.Tensor.of(_channels_last(a), requires_grad=True) for a in (x, weight))
    dy = tv.Tensor.of(_channels_last(dy))

    def run():
        x.grad = weight.grad = None
        y = functional.conv2d(x, weight, stride=layer.stride, padding=layer.padding)
        y.backward(dy)
        return y

    def results():
        return {"y": run().detach().numpy(), "dx": x.grad.numpy(), "dweight": weight.grad.numpy()}

    return _ways(NAME, lambda: (run, results))


def _step(model, x, labels, **options):
    """(run, results) of a step of SGD through the tape."""
    import tinyvision as tv
    from tinyvision import nn, optim

    x, labels = tv.from_numpy(x), tv.from_numpy(labels)
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), **options)
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

    return run, results


def _loaded(model, state):
    model.load_state_dict(state)
    return model


def cnn_step(state, x, labels, lr):
    """A step of SGD through the tape."""
    from tinyvision import models

    return _ways(NAME, lambda: _step(_loaded(models.SimpleCNN(x.shape[1], 10, x.shape[2]), state), x, labels, lr=lr))


def resnet_step(state, x, labels, lr, momentum, decay, ways=(NAME, FAST)):
    """A step of SGD with momentum through the tape."""
    from tinyvision import models

    options = {"lr": lr, "momentum": momentum, "weight_decay": decay}
    return _ways(NAME, lambda: _step(_loaded(models.resnet18(), state), x, labels, **options), ways)


def network_step(name, state, x, labels, lr):
    """A step of SGD for one of `architectures`."""
    from . import one_gradient

    def build():
        run, results = _step(_loaded(network(name), state), x, labels, lr=lr)
        return run, lambda: one_gradient(results())

    return _ways(NAME, build)


def network(name):
    """One of `architectures`."""
    import tinyvision as tv
    from tinyvision import nn

    from .. import architectures

    return architectures.unet(nn, tv.cat) if name == "unet" else architectures.efficientnet_lite0(nn)


def resnet_inference(state, x):
    """As loaded, and with batch-norm folded by `model.fuse()`."""
    from tinyvision import models

    return [
        entry
        for name in (NAME, f"{NAME} folded")
        for entry in _ways(name, lambda name=name: _inference(name, _loaded(models.resnet18(), state), x))
    ]


def network_inference(name, state, x):
    """As loaded."""
    return _ways(NAME, lambda: _inference(NAME, _loaded(network(name), state), x))


def _inference(name, model, x):
    import tinyvision as tv

    model, x = model.eval(), tv.from_numpy(x)
    if name != NAME:
        model = model.fuse()

    def run():
        with tv.no_grad():
            return model(x)

    return run, lambda: {"logits": run().numpy()}
