"""Training: the loop, metrics, checkpoints, and showing how it goes.

from tinyvision import data, models, train
history = train.fit(models.SimpleCNN(1, 10, 8), data.Digits(train=True), data.Digits(train=False), epochs=10)
"""

from .checkpoint import Checkpoint, load_checkpoint, load_weights
from .classification import Classification, Evaluation
from .evaluate import evaluate
from .find_lr import RangeTest, find_lr
from .history import History
from .interrupt import Interrupted
from .loop import fit
from .recipes import Network, load_network, pretrained_network
from .settings import Settings
from .task import Judge, Judgement, Metric, Task
from .transfer import TransferResult, TransferSettings, fine_tune

__all__ = [
    "Checkpoint", "Classification", "Evaluation", "History", "Interrupted", "Judge", "Judgement", "Metric",
    "Network", "RangeTest", "Settings", "Task", "TransferResult", "TransferSettings", "evaluate", "find_lr",
    "fine_tune", "fit", "load_checkpoint", "load_network", "load_weights", "pretrained_network",
]  # fmt: skip
