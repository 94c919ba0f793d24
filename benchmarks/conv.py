"""Every distinct convolution of ResNet-18: forward, image gradient and weight gradient apart, with their share of the
roofline."""

from . import agreement, networks
from .contestants import Layer

BATCH = 8

# name, channels in, channels out, image size, kernel, stride, how often the network has it
_SHAPES = (
    ("stem 7×7/2, 3→64 at 224²", 3, 64, 224, 7, 2, 1),
    ("3×3, 64→64 at 56²", 64, 64, 56, 3, 1, 4),
    ("3×3/2, 64→128 at 56²", 64, 128, 56, 3, 2, 1),
    ("1×1/2, 64→128 at 56²", 64, 128, 56, 1, 2, 1),
    ("3×3, 128→128 at 28²", 128, 128, 28, 3, 1, 3),
    ("3×3/2, 128→256 at 28²", 128, 256, 28, 3, 2, 1),
    ("1×1/2, 128→256 at 28²", 128, 256, 28, 1, 2, 1),
    ("3×3, 256→256 at 14²", 256, 256, 14, 3, 1, 3),
    ("3×3/2, 256→512 at 14²", 256, 512, 14, 3, 2, 1),
    ("1×1/2, 256→512 at 14²", 256, 512, 14, 1, 2, 1),
    ("3×3, 512→512 at 7²", 512, 512, 7, 3, 1, 3),
)
PASSES = ("forward", "image gradient", "weight gradient")

# Nobody reads the gradient of the pictures themselves, so no training step computes it; it is measured, but no goal
# counts it.
UNREAD = "stem 7×7/2, 3→64 at 224²"
LIBRARIES = ("tinyvision", "PyTorch", "JAX")


def layers(batch=BATCH):
    """The eleven distinct layers."""
    return [
        Layer(name, batch, c, o, size, kernel, stride, count) for name, c, o, size, kernel, stride, count in _SHAPES
    ]


def run(suite):
    """Measure every layer and pass."""
    suite.measure_ceilings()
    for layer in layers():
        x, weight, dy = networks.conv_data(layer)
        work = {
            "forward": ("conv_forward", (x, weight), layer.channels * layer.kernel**2),
            "image gradient": ("conv_image_gradient", (x, weight, dy), layer.outputs * layer.kernel**2),
            "weight gradient": ("conv_weight_gradient", (x, weight, dy), layer.batch * layer.out_size**2),
        }
        for group, (maker, arrays, terms) in work.items():
            entries, failed = suite.entries(maker, layer, *arrays, only=LIBRARIES)
            suite.measure(
                "conv",
                group,
                layer.name,
                entries,
                agreement.for_sums(terms),
                suite.turns(9, 3),
                failed,
                flops=layer.flops,
                least_bytes=layer.least_bytes,
                count=layer.count,
                batch=layer.batch,
            )
