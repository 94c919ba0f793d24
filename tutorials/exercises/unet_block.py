"""The way up of a U-Net, without attention: enlarge, put the skip connection beside it, two convolutions.

    y = relu(conv2(relu(conv1( cat(up(x), skip) ))))          up: a transposed convolution, kernel 2, stride 2
x (N, channels, H, W), skip (N, skip_channels, 2·H or one more, 2·W or one more)  ->  y (N, out, H of skip, W of skip)
"""

import tinyvision as tv
from tinyvision import nn


class UpBlock(nn.Module):
    """up halves the channels; conv1 and conv2 are 3×3 with padding 1."""

    def __init__(self, channels, skip_channels, out):
        # solution:
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv1 = nn.Conv2d(channels // 2 + skip_channels, out, 3, padding=1)
        # skeleton:
        # self.up = ...  # from channels to channels // 2
        # self.conv1 = ...  # from how many to out?
        # end
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x, skip):
        """Images of an odd size came down with one row or column less: zeros below and to the right make up for it."""
        x = self.up(x)
        # solution:
        H, W = skip.shape[2:]
        x = nn.functional.pad(x, (0, W - x.shape[3], 0, H - x.shape[2]))
        x = tv.cat([x, skip], dim=1)
        # skeleton:
        # x = ...  # padded to the size of skip, then with skip beside it
        # end
        return self.relu(self.conv2(self.relu(self.conv1(x))))


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.errors import ShapeError, TinyVisionError
from tinyvision.learn import lab

TITLE = "the way up of a U-Net"
LEVEL, MINUTES, PAGE = 3, 20, "31"
NEEDS = ("UpBlock",)
MISSING = "the enlargement, the channels that meet in conv1, and the skip connection"
HINTS = (
    "An image of 7 rows was pooled to 3. How many rows come back after doubling, and how many has the skip?",
    "6 and 7: one row of zeros below. Concatenated along the channels, channels // 2 + skip_channels go into conv1.",
    "nn.functional.pad(x, (0, W - x.shape[3], 0, H - x.shape[2])), then tv.cat([x, skip], dim=1)",
)
PREDICT = "Why not add the skip, as ResNet does, in place of putting it beside?"
ANSWER = (
    "One could, where the channels agree. Beside, conv1 can choose per place: edges from below, meaning from above."
)


class Reference(nn.Module):
    """The block as it should be, with the usual faults."""

    def __init__(self, channels, skip_channels, out):
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv1 = nn.Conv2d(channels // 2 + skip_channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x, skip, fault=None):
        x = self.up(x)
        (H, W), (h, w) = skip.shape[2:], x.shape[2:]
        right, below = W - w, H - h
        x = nn.functional.pad(x, (right, 0, below, 0) if fault == "before" else (0, right, 0, below))
        x = tv.cat([skip, x] if fault == "order" else [x, skip], dim=1)
        x = self.conv1(x)
        x = self.conv2(x if fault == "relu" else x.relu())
        return x if fault == "last relu" else x.relu()


def check(your):
    because = {
        ShapeError: "Two sizes do not meet: pad x to the size of skip; count conv1's channels after the concatenation.",
        TinyVisionError: "Two sizes do not meet: pad x to the size of skip before they are put side by side.",
    }
    faults = {
        "before": "The zeros are above and to the left; below and to the right is asked for.",
        "order": "skip comes first in yours; x is first, then skip.",
        "relu": "The ReLU between the convolutions is missing.",
        "last relu": "The last ReLU is missing.",
    }
    rng = np.random.default_rng(50)
    for channels, skips, out, size in ((4, 3, 5, (3, 2)), (6, 3, 2, (2, 3))):
        mine = lab.call(your.UpBlock, channels, skips, out, argument="UpBlock")
        theirs = Reference(channels, skips, out)
        wanted = {n: tuple(v.shape) for n, v in theirs.state_dict().items()}
        given = {n: tuple(v.shape) for n, v in mine.state_dict().items()}
        differ = [f"{n} is {given.get(n, 'missing')}, should be {s}" for n, s in wanted.items() if given.get(n) != s]
        lab.expect(not differ, "; ".join(differ[:2]) + ".", "parameters", mine.forward)
        for p in theirs.parameters():
            p.array[...] = rng.standard_normal(p.shape)
        mine.load_state_dict(theirs.state_dict())
        for more in (0, 1):
            x = tv.tensor(rng.standard_normal((2, channels, *size)).astype(np.float32))
            skip = tv.tensor(rng.standard_normal((2, skips, *(2 * s + more for s in size))).astype(np.float32))
            with tv.no_grad():
                yours = lab.call(mine, x, skip, argument="forward", because=because)
                lab.expect(isinstance(yours, tv.Tensor), "forward() must return a tensor.", "y", mine.forward)
                known = [(theirs(x, skip, fault).numpy(), words) for fault, words in faults.items()]
                told = f"(channels {channels}, skip of {tuple(skip.shape)}.)"
                # float32 sums of a few dozen products: 1e-4 of the largest value is far above their rounding.
                lab.equal(yours.numpy(), theirs(x, skip).numpy(), "y", mine.forward, told, 1e-4, known)
    return lab.done("parameters", "forward")
