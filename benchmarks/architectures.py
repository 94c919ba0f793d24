"""Two networks in the words that PyTorch and tinyvision share: each contestant builds them from its own `nn`.

EfficientNet-Lite0 is made of 1×1 and depthwise convolutions, the U-Net of 3×3 convolutions with few channels; they
stand for what the others, SimpleCNN and ResNet-18, have little of.
"""

import math
from typing import Any

import numpy as np

# Per stage of EfficientNet-Lite0: blocks, kernel size, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0(nn: Any, classes: int = 10) -> Any:
    """EfficientNet-Lite0, with even padding on all sides."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, kernel, stride, expansion):
            super().__init__()
            hidden, self.skips = inputs * expansion, stride == 1 and inputs == outputs
            wide = [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
            self.layers = nn.Sequential(
                *(wide if expansion > 1 else []),
                nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU6(),
                nn.Conv2d(hidden, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

        def forward(self, x):
            return self.layers(x) + x if self.skips else self.layers(x)

    layers, channels = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    for count, kernel, stride, expansion, outputs in STAGES:
        for i in range(count):
            layers.append(Block(channels, outputs, kernel, stride if i == 0 else 1, expansion))
            channels = outputs
    layers += [nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers)


def unet(nn: Any, concatenate: Any, width: int = 12, classes: int = 3, depth: int = 3) -> Any:
    """A U-Net: on every level two 3×3 convolutions with batch-norm, on the way down and again on the way up, where the
    level's first result is put beside the enlarged one. `concatenate(several, 1)` joins channels."""

    def level(inputs, outputs):
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [width * 2**i for i in range(depth + 1)]
            self.down = nn.ModuleList([level(i, o) for i, o in zip([3, *widths], widths, strict=False)])
            self.enlarge = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1])])
            self.up = nn.ModuleList([level(2 * w, w) for w in reversed(widths[:-1])])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, classes, 1)

        def forward(self, x):
            seen = []
            for i, part in enumerate(self.down):
                x = part(x if i == 0 else self.pool(x))
                seen.append(x)
            for enlarge, part, beside in zip(self.enlarge, self.up, reversed(seen[:-1]), strict=True):
                x = part(concatenate([beside, enlarge(x)], 1))
            return self.head(x)

    return UNet()


def initial(shapes: dict[str, tuple[int, ...]], generator: Any) -> dict[str, Any]:
    """{name: array} for {name: shape}: weights as large as ReLU likes them, batch-norms that have something to fold."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.zeros(shape, np.int64)
        elif len(shape) > 1:
            state[name] = generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("weight", "running_var")):
            state[name] = generator.uniform(0.8, 1.2, shape)
        else:
            state[name] = generator.normal(0, 0.05, shape)
    return {name: array if array.dtype.kind == "i" else array.astype(np.float32) for name, array in state.items()}
