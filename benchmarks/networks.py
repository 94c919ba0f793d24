"""Weights, images and labels that all contestants are given."""

import numpy as np

SEED = 20240607


def generator(*keys):
    """A generator of its own for every case, the same in every run."""
    return np.random.default_rng([SEED, *keys])


def images(batch, size, channels=3):
    """(N, C, H, W) float32, and labels (N,) int64 below 10."""
    rng = generator(batch, size)
    return rng.standard_normal((batch, channels, size, size), np.float32), rng.integers(0, 10, batch)


def simple_cnn(channels=3, size=24):
    """{name: array}: SimpleCNN's initial weights."""
    import tinyvision as tv
    from tinyvision import models

    tv.manual_seed(SEED)
    return _arrays(models.SimpleCNN(channels, 10, size))


def resnet18():
    """{name: array}: ResNet-18's initial weights, with batch-norms that have something to fold."""
    import tinyvision as tv
    from tinyvision import models

    tv.manual_seed(SEED)
    state, rng = _arrays(models.resnet18()), generator(18)
    for name, array in state.items():
        if name.endswith("running_mean") or (array.ndim == 1 and name.endswith("bias") and "fc" not in name):
            array[...] = rng.normal(0, 0.1, array.shape)
        elif name.endswith("running_var") or (array.ndim == 1 and name.endswith("weight")):
            array[...] = rng.uniform(0.5, 1.5, array.shape)
    return state


def of_architecture(name):
    """{name: array}: initial weights of one of `architectures`."""
    from . import architectures
    from .contestants import ours

    shapes = {key: tuple(value.shape) for key, value in ours.network(name).state_dict().items()}
    return architectures.initial(shapes, generator(len(shapes)))


def _arrays(model):
    return {name: np.array(value.numpy(), order="C") for name, value in model.state_dict().items()}


def conv_data(layer):
    """x, weight, dy for a convolution: random, signed, the weight scaled so that outputs are about 1."""
    rng = generator(layer.batch, layer.channels, layer.outputs, layer.size, layer.kernel, layer.stride)
    x = rng.standard_normal((layer.batch, layer.channels, layer.size, layer.size), np.float32)
    weight = rng.standard_normal((layer.outputs, layer.channels, layer.kernel, layer.kernel), np.float32)
    weight /= np.float32((layer.channels * layer.kernel**2) ** 0.5)
    dy = rng.standard_normal((layer.batch, layer.outputs, layer.out_size, layer.out_size), np.float32)
    return x, weight, dy
