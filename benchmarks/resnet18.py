"""ResNet-18 at 224×224: inference as loaded and folded, and the training step."""

from . import agreement, networks

BATCHES = (1, 8, 32)
TRAINING_BATCH = 8
RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
SIZE = 224
STEP = {"loss": agreement.LOSS, "gradient": agreement.DEEP_GRADIENT}
FLOPS = 3.63e9  # an image, forward; a training step takes three times that, less the gradient of the pictures


def run(suite):
    """Measure inference at every batch size (in a quick run, at those of the goals), then the training step."""
    state = networks.resnet18()
    for batch in BATCHES[:2] if suite.quick or suite.short else BATCHES:
        inference(suite, state, batch)
    x, labels = networks.images(TRAINING_BATCH, SIZE)
    entries, failed = suite.entries("resnet_step", state, x, labels, RATE, MOMENTUM, DECAY)
    name = f"ResNet-18, batch {TRAINING_BATCH}"
    suite.measure("resnet18", "training step", name, entries, STEP, suite.turns(15, 3), failed, batch=TRAINING_BATCH)


def inference(suite, state, batch):
    """As loaded against eager; folded against frozen."""
    x, _ = networks.images(batch, SIZE)
    entries, failed = suite.entries("resnet_inference", state, x)
    turns = suite.turns(35 if batch == 1 else 21 if batch <= 8 else 5, 3 if batch <= 8 else 2)
    suite.measure(
        "resnet18",
        "inference",
        f"ResNet-18, batch {batch}",
        entries,
        {"logits": agreement.LOGITS},
        turns,
        failed,
        batch=batch,
        flops=batch * FLOPS,
    )
