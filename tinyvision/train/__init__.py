"""Training: the loop, metrics, checkpoints, and showing how it goes.

from tinyvision import data, models, train
history = train.fit(models.SimpleCNN(1, 10, 8), data.Digits(train=True), data.Digits(train=False), epochs=10)
"""

from .checkpoint import Checkpoint, load_checkpoint, load_weights
from .evaluate import Evaluation, evaluate
from .history import History
from .interrupt import Interrupted
from .loop import fit
from .settings import Settings

__all__ = [
    "Checkpoint",
    "Evaluation",
    "History",
    "Interrupted",
    "Settings",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_weights",
]
