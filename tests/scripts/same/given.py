"""What a script would download or draw at random, the same in both libraries: pictures, noise, first weights."""

import numpy as np

_rng = np.random.default_rng(0)


def pictures(count=24, channels=3, size=16, classes=4):
    """images (count, channels, size, size) and labels (count,): the brightness of a picture tells its class."""
    labels = np.arange(count) % classes
    images = _rng.normal(size=(count, channels, size, size)) * 0.3 + labels[:, None, None, None] / classes
    return images, labels


def noise(*shape):
    """Normal numbers of that shape."""
    return _rng.normal(size=shape)


def redraw(model, gain=1.0):
    """The model with first weights of NumPy's."""
    for parameter in model.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 100
        drawn = _rng.normal(size=tuple(parameter.shape)) * gain / fan_in**0.5 + (parameter.dim() == 1) * 0.1
        parameter.data.copy_(parameter.data.new_tensor(drawn))
    return model
