"""JAX on the CPU: every function compiled by XLA, channels-last, compile time not counted."""

import functools
import os

NAME = "JAX"


@functools.cache
def _import():
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    return jax


def version():
    """JAX's version. Raises ImportError."""
    return _import().__version__


def set_threads(threads):
    """XLA's pool has as many threads as the process has cores when JAX is first used, and cannot be changed."""


def _entry(run, results):
    from . import Entry

    return Entry(NAME, run, results, NAME)


def _conv(x, weight, stride=1, padding=0):
    """x (N, H, W, C), weight (KH, KW, C, O)"""
    return _import().lax.conv_general_dilated(
        x, weight, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _nhwc(a):
    return _import().numpy.asarray(a.transpose(0, 2, 3, 1))


def _hwio(a):
    return _import().numpy.asarray(a.transpose(2, 3, 1, 0)) if a.ndim == 4 else _import().numpy.asarray(a)


def _back(name, a):
    """A result in the shape and order of the reference."""
    import numpy as np

    a = np.asarray(a)
    if a.ndim != 4:
        return a
    return a.transpose(3, 2, 0, 1) if "weight" in name else a.transpose(0, 3, 1, 2)


def _function(function, names, *arguments):
    jax = _import()
    compiled = jax.jit(function)

    def run():
        return jax.block_until_ready(compiled(*arguments))

    return [_entry(run, lambda: {name: _back(name, a) for name, a in zip(names, run(), strict=True)})]


def conv_forward(layer, x, weight):
    """`lax.conv_general_dilated`, compiled."""
    return _function(lambda x, w: [_conv(x, w, layer.stride, layer.padding)], ["y"], _nhwc(x), _hwio(weight))


def conv_image_gradient(layer, x, weight, dy):
    """The transposed convolution, compiled."""
    x, weight, dy = _nhwc(x), _hwio(weight), _nhwc(dy)

    def gradient(x, w, dy):
        return _import().vjp(lambda x: _conv(x, w, layer.stride, layer.padding), x)[1](dy)

    return _function(gradient, ["dx"], x, weight, dy)


def conv_weight_gradient(layer, x, weight, dy):
    """The gradient for the kernels, compiled."""
    x, weight, dy = _nhwc(x), _hwio(weight), _nhwc(dy)

    def gradient(x, w, dy):
        return _import().vjp(lambda w: _conv(x, w, layer.stride, layer.padding), w)[1](dy)

    return _function(gradient, ["dweight"], x, weight, dy)


def conv_both(layer, x, weight, dy):
    """Forward and backward in one compiled function."""

    def both(x, w, dy):
        y, pull = _import().vjp(lambda x, w: _conv(x, w, layer.stride, layer.padding), x, w)
        return [y, *pull(dy)]

    return _function(both, ["y", "dx", "dweight"], _nhwc(x), _hwio(weight), _nhwc(dy))


def _pool(x, kernel, stride, padding):
    jax = _import()
    window, strides = (1, kernel, kernel, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(
        x, -jax.numpy.inf, jax.lax.max, window, strides, [(0, 0), (padding,) * 2, (padding,) * 2, (0, 0)]
    )


def _cross_entropy(scores, labels):
    jax = _import()
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1).mean()


def _cnn(p, x):
    relu = _import().nn.relu
    for name in ("conv1", "conv2"):
        x = _pool(relu(_conv(x, p[f"{name}.weight"], 1, 1) + p[f"{name}.bias"]), 2, 2, 0)
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the order of the linear layer's weights
    return relu(x @ p["fc1.weight"].T + p["fc1.bias"]) @ p["fc2.weight"].T + p["fc2.bias"]


def cnn_step(state, x, labels, lr):
    """Loss, gradients and SGD in one compiled function."""
    jax = _import()
    p, x, labels = {name: _hwio(a) for name, a in state.items()}, _nhwc(x), jax.numpy.asarray(labels)
    loss_and_gradients = jax.value_and_grad(lambda p: _cross_entropy(_cnn(p, x), labels))

    def update(p):
        loss, gradients = loss_and_gradients(p)
        return {name: p[name] - lr * gradients[name] for name in p}, loss

    return _step(p, update, jax.jit(loss_and_gradients))


def _step(parameters, update, loss_and_gradients):
    jax = _import()
    compiled, state = jax.jit(update, donate_argnums=0), {"p": parameters}

    def run():
        state["p"], loss = jax.block_until_ready(compiled(state["p"]))
        return float(loss)

    def results():
        gradients = loss_and_gradients(state["p"])[1]
        found = {f"gradient {name}": _back("weight", g) for name, g in gradients.items()}
        return found | {f"loss {i}": run() for i in (1, 2, 3)}

    return [_entry(run, results)]


def _norm(x, p, name):
    scale = p[f"{name}.weight"] / _import().numpy.sqrt(p[f"{name}.running_var"] + 1e-5)
    return x * scale + (p[f"{name}.bias"] - p[f"{name}.running_mean"] * scale)


def _resnet(p, x):
    relu = _import().nn.relu
    x = _pool(relu(_norm(_conv(x, p["conv1.weight"], 2, 3), p, "bn1")), 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for number in (0, 1):
            at, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            skip = x
            if stride == 2:
                skip = _norm(_conv(x, p[f"{at}.downsample.0.weight"], 2, 0), p, f"{at}.downsample.1")
            y = relu(_norm(_conv(x, p[f"{at}.conv1.weight"], stride, 1), p, f"{at}.bn1"))
            x = relu(_norm(_conv(y, p[f"{at}.conv2.weight"], 1, 1), p, f"{at}.bn2") + skip)
    return x.mean((1, 2)) @ p["fc.weight"].T + p["fc.bias"]


def resnet_inference(state, x):
    """The whole network as one compiled function."""
    p = {name: _hwio(a) for name, a in state.items()}
    return _function(lambda p, x: [_resnet(p, x)], ["logits"], p, _nhwc(x))
