"""SimpleCNN's training step, and single convolutions, next to every library that is installed."""

from . import agreement, networks
from .contestants import Layer

BATCH, SIZE, RATE = 64, 24, 0.01
SMALL_BATCHES = (8, 1)

# SimpleCNN's two convolutions, and one of ResNet-18's.
LAYERS = (
    Layer("conv 3×3, 3→32 at 24²", 64, 3, 32, 24, 3),
    Layer("conv 3×3, 32→64 at 12²", 64, 32, 64, 12, 3),
    Layer("conv 3×3, 64→64 at 56²", 8, 64, 64, 56, 3),
)

STEP = {"loss": agreement.LOSS, "gradient": agreement.GRADIENT}


def run(suite):
    """Measure: the step first, then each layer forward, and forward with both gradients."""
    state = networks.simple_cnn()
    for batch in (BATCH, *SMALL_BATCHES):
        x, labels = networks.images(batch, SIZE)
        entries, failed = suite.entries("cnn_step", state, x, labels, RATE)
        name = f"SimpleCNN, batch {batch}, 3×{SIZE}×{SIZE}"
        suite.measure("cnn", "training step", name, entries, STEP, suite.turns(35, 5), failed)
    for layer in () if suite.short else LAYERS:
        x, weight, dy = networks.conv_data(layer)
        name, turns = f"{layer.name}, batch {layer.batch}", suite.turns(11, 3)
        facts = {"flops": layer.flops, "least_bytes": layer.least_bytes}
        entries, failed = suite.entries("conv_forward", layer, x, weight)
        terms = layer.channels * layer.kernel**2
        suite.measure("cnn", "forward", name, entries, agreement.for_sums(terms), turns, failed, **facts)
        entries, failed = suite.entries("conv_both", layer, x, weight, dy)
        facts["flops"] *= 3
        suite.measure(
            "cnn",
            "forward and backward",
            name,
            entries,
            {
                "y": agreement.for_sums(terms),
                "dx": agreement.for_sums(layer.outputs * layer.kernel**2),
                "dweight": agreement.for_sums(layer.batch * layer.out_size**2),
            },
            turns,
            failed,
            **facts,
        )
