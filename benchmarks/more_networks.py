"""EfficientNet-Lite0 at 224×224, inference and training step; a U-Net's training step at 96×96."""

from . import agreement, networks

BATCH, SIZE = 8, 224
UNET_BATCH, UNET_SIZE = 12, 96
RATE = 1e-4
STEP = {"loss": agreement.LOSS, "gradient": agreement.DEEPER_GRADIENT}


def run(suite):
    """Measure all three."""
    name, state = f"EfficientNet-Lite0, batch {BATCH}", networks.of_architecture("efficientnet_lite0")
    x, labels = networks.images(BATCH, SIZE)
    entries, failed = suite.entries("network_inference", "efficientnet_lite0", state, x)
    tolerance = {"logits": agreement.LOGITS}
    suite.measure("networks", "inference", name, entries, tolerance, suite.turns(21, 3), failed, batch=BATCH)
    entries, failed = suite.entries("network_step", "efficientnet_lite0", state, x, labels, RATE)
    suite.measure("networks", "training step", name, entries, STEP, suite.turns(11, 3), failed, batch=BATCH)

    name, state = f"U-Net, batch {UNET_BATCH}", networks.of_architecture("unet")
    x, _ = networks.images(UNET_BATCH, UNET_SIZE)
    labels = networks.generator(UNET_BATCH).integers(0, 3, (UNET_BATCH, UNET_SIZE, UNET_SIZE))
    entries, failed = suite.entries("network_step", "unet", state, x, labels, RATE)
    suite.measure("networks", "training step", name, entries, STEP, suite.turns(21, 3), failed, batch=UNET_BATCH)
