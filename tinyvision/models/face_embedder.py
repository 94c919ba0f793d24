"""A face as 128 numbers: the residual network of dlib's face recognition, which face-api's weights are for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import nn
from ..errors import ShapeError, WeightsError
from ..nn import functional
from ..tensors.arranging import cat
from ..tensors.creation import zeros
from ..tensors.tensor import Tensor

__all__ = ["FaceEmbedder"]

# Blocks in order: (name, channels, whether the picture is halved).
_BLOCKS = [
    *((f"conv32_{k}", 32, False) for k in (1, 2, 3)),
    ("conv64_down", 64, True),
    *((f"conv64_{k}", 64, False) for k in (1, 2, 3)),
    ("conv128_down", 128, True),
    *((f"conv128_{k}", 128, False) for k in (1, 2)),
    ("conv256_down", 256, True),
    *((f"conv256_{k}", 256, False) for k in (1, 2)),
    ("conv256_down_out", 256, True),
]


class FaceEmbedder(nn.Module):
    """Faces (N, 3, 150, 150), RGB from 0 to 255  ->  (N, 128): small distances between pictures of one person.

    A 7×7 convolution at half size, max-pooling, 14 residual blocks of two 3×3 convolutions, the mean over all places,
    and one product. (King, "High quality face recognition with deep metric learning", dlib, 2017, with batch-norm long
    since part of the convolutions.) `load_arrays` takes the weights. Raises ShapeError for other pictures."""

    SIDE = 150
    MEAN = (122.782, 117.001, 104.298)  # of its training pictures

    def __init__(self) -> None:
        self.conv32_down = nn.Conv2d(3, 32, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2)
        channels = 32
        for name, out, halved in _BLOCKS:
            setattr(self, name, _Block(channels, out, halved))
            channels = out
        self.fc = nn.Linear(channels, 128, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 150, 150) -> (N, 128)"""
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, self.SIDE, self.SIDE):
            raise ShapeError(f"FaceEmbedder: faces must be (N, 3, {self.SIDE}, {self.SIDE}), got {tuple(x.shape)}")
        x = (x - Tensor.of(np.array(self.MEAN, np.float32).reshape(3, 1, 1)).to(x.device)) / 255
        x = self.pool(functional.relu(self.conv32_down(x)))
        for name, _, _ in _BLOCKS:
            x = getattr(self, name)(x)
        return self.fc(x.mean(dim=(2, 3)))

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> FaceEmbedder:
        """Take the weights by face-api's names: of each convolution filters (KH, KW, C, O) and a bias, and a scale and
        a shift behind it, which become part of it; fc (256, 128). Raises WeightsError for missing, unknown and
        mis-shaped names, all at once."""
        state, used, wrong = {}, set(), []

        def take(name: str, shape: tuple[int, ...]) -> np.ndarray:
            used.add(name)
            found = arrays.get(name)
            if found is None or found.shape != shape:
                wrong.append(f"{name} is {'missing' if found is None else found.shape}, should be {shape}")
                return np.zeros(shape, np.float32)
            return found

        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                O, C, KH, KW = module.weight.shape
                where = name.replace(".", "/")
                filters, bias = take(f"{where}/conv/filters", (KH, KW, C, O)), take(f"{where}/conv/bias", (O,))
                scale, shift = take(f"{where}/scale/weights", (O,)), take(f"{where}/scale/biases", (O,))
                state[f"{name}.weight"] = (filters * scale).transpose(3, 2, 0, 1)
                state[f"{name}.bias"] = bias * scale + shift
        state["fc.weight"] = take("fc", (256, 128)).T
        wrong += [f"{name} is unknown" for name in arrays if name not in used]
        if wrong:
            more = f", and {len(wrong) - 4} more" if len(wrong) > 4 else ""
            raise WeightsError(f"these are no weights of the face embedder: {'; '.join(wrong[:4])}{more}")
        self.load_state_dict({name: np.ascontiguousarray(array) for name, array in state.items()})
        return self


class _Block(nn.Module):
    """relu(conv2(relu(conv1(x))) + x); where the picture is halved, + its 2×2 means, with channels of zeros added."""

    def __init__(self, channels: int, out: int, halved: bool) -> None:
        self.conv1 = nn.Conv2d(channels, out, 3, stride=2) if halved else nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.halved, self.added = halved, out - channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H, W), or (N, O, H // 2, W // 2)"""
        y = self.conv2(functional.relu(self.conv1(x)))
        if self.halved:
            x = functional.avg_pool2d(x, 2)
            # Without padding, conv1 sees one row and one column less than the pooling, if their number is even.
            y = functional.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        if self.added:
            N, _, H, W = x.shape
            x = cat([x, zeros((N, self.added, H, W), dtype=x.dtype, device=x.device)], dim=1)
        return functional.relu(x + y)
