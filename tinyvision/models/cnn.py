"""A small convolutional network: two convolutions with pooling, two linear layers."""

from .. import nn
from ..errors import OptionError, ShapeError
from ..nn.fusing import conv_norm_act
from ..ops.checks import is_integer
from ..tensors.tensor import Tensor
from ..types import IntOrPair


class SimpleCNN(nn.Module):
    """conv 3×3 → ReLU → pool → conv 3×3 → ReLU → pool → linear → ReLU → linear.   (N, C, H, W) -> (N, num_classes)

    The network that the article describes in words: with pooling and with ReLU after the first linear layer. Its
    listing leaves both out, so there `64 * 6 * 6` only fits images of 6×6 pixels; here the same 64·6·6 numbers come
    from images of 24×24. Other sizes from 4×4 on work too: image_size is a number or (height, width). Raises
    OptionError, ShapeError."""

    def __init__(
        self, in_channels: int = 3, num_classes: int = 10, image_size: IntOrPair = 24, hidden: int = 128
    ) -> None:
        size = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
        if len(size) != 2 or not all(is_integer(n) and n >= 4 for n in size):
            raise OptionError(f"SimpleCNN: image_size must be at least 4, for two poolings by 2, got {image_size!r}")
        self.in_channels, self.num_classes, self.image_size = in_channels, num_classes, tuple(size)
        self.conv1 = nn.Conv2d(in_channels, 32, 3, stride=1, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=1, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * (size[0] // 4) * (size[1] // 4), hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, C, H, W)."""
        if tuple(x.shape[2:]) != self.image_size:
            made, given = "×".join(map(str, self.image_size)), "×".join(map(str, x.shape[2:]))
            raise ShapeError(
                f"SimpleCNN was made for images of {made} pixels, but x is {tuple(x.shape)}: {given}; "
                f"resize them, or build SimpleCNN(image_size=...)"
            )
        x = conv_norm_act(x, self.conv1, act=self.relu, pool=self.pool)
        x = conv_norm_act(x, self.conv2, act=self.relu, pool=self.pool)
        x = x.view(x.size(0), -1)
        return self.fc2(self.relu(self.fc1(x)))
