"""Functions with the names and arguments of `torch.nn.functional`, over the ops on the tape, by kind."""

from .activation import leaky_relu, log_softmax, relu, relu6, sigmoid, softmax, tanh
from .convolution import conv2d, linear
from .dropout import dropout, dropout2d
from .loss import cross_entropy, mse_loss, nll_loss
from .normalization import batch_norm, batch_norm_relu
from .pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .shape import flatten, pad

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_relu",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "flatten",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "pad",
    "relu",
    "relu6",
    "sigmoid",
    "softmax",
    "tanh",
]
