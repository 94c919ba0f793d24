"""How time grows with the batch and with the image, and shrinks with threads, next to PyTorch eager."""

from . import agreement, contestants, networks
from .cnn import STEP

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIZES = (64, 96, 128, 160, 224, 288)
LIBRARIES = ("tinyvision", "PyTorch")
EAGER = {"PyTorch": {"frozen": False}}


def run(suite):
    """Measure over batch sizes, image sizes and numbers of threads."""
    state = networks.resnet18()
    for batch in BATCHES[:5] if suite.quick else BATCHES:
        _inference(suite, state, "batch", batch, batch, 224)
    for size in SIZES[::2] if suite.quick else SIZES:
        _inference(suite, state, "image size", size, 8, size)
    small = networks.simple_cnn()
    for batch in BATCHES:
        x, labels = networks.images(batch, 24)
        entries, failed = suite.entries("cnn_step", small, x, labels, 0.01, only=LIBRARIES)
        _measure(suite, "SimpleCNN training step, batch", batch, entries, STEP, suite.turns(11, 3), failed)
    try:
        for threads in range(1, suite.threads + 1):
            contestants.set_threads(suite.modules, threads)
            _inference(suite, state, "threads", threads, 8, 224)
    finally:
        contestants.set_threads(suite.modules, suite.threads)


def _inference(suite, state, group, value, batch, size):
    x, _ = networks.images(batch, size)
    entries, failed = suite.entries("resnet_inference", state, x, only=LIBRARIES, **EAGER)
    turns = suite.turns(11 if batch <= 8 else 5, 3 if batch <= 8 else 2)
    _measure(suite, f"ResNet-18 inference, {group}", value, entries, {"logits": agreement.LOGITS}, turns, failed)


def _measure(suite, group, value, entries, tolerances, turns, failed):
    suite.measure("scaling", group, str(value), entries, tolerances, turns, failed, value=value)
