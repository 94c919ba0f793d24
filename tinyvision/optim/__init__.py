"""Optimizers and learning-rate schedules with PyTorch's names: `import tinyvision.optim as optim`."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..places import stand_for
from . import lr_scheduler, swa_utils
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .lbfgs import LBFGS
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "lr_scheduler", "swa_utils",
]  # fmt: skip

stand_for(__name__, "adamw", "asgd", "rprop", "sparse_adam")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.optim", __all__)
