"""ResNet's basic block: two 3×3 convolutions beside a path that skips them.

    y = relu( bn2(conv2(relu(bn1(conv1(x))))) + skip )          skip = x, or downsample(x) where the shape changes
x (N, inplanes, H, W)  ->  y (N, planes, H/stride, W/stride)
"""

from tinyvision import nn


class ResNetBlock(nn.Module):
    """The names of the layers are torchvision's, so that its weights fit."""

    def __init__(self, inplanes, planes, stride=1):
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            # solution:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )
            # skeleton:
            # self.downsample = ...  # nn.Sequential(a 1×1 convolution without bias, a batch-norm)
            # end

    def forward(self, x):
        """The formula above."""
        # solution:
        skip = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + skip)
        # skeleton:
        # return ...
        # end


# -------------------------------------------------------------------------- course

import numpy as np

import tinyvision as tv
from tinyvision.errors import ShapeError
from tinyvision.learn import lab
from tinyvision.models import BasicBlock

TITLE = "a block of ResNet"
LEVEL, MINUTES, PAGE = 3, 20, "22"
NEEDS = ("ResNetBlock",)
MISSING = "the way down for the skip path, and the forward"
HINTS = (
    "x is (N, 64, 56, 56) and the branch (N, 128, 28, 28). What must happen to x before they can be added?",
    "A 1×1 convolution with the same stride and a batch-norm. The last ReLU comes after the sum, not before it.",
    "skip = x if self.downsample is None else self.downsample(x); out = bn2(conv2(relu(bn1(conv1(x))))); "
    "relu(out + skip)",
)
PREDICT = "Why is there no ReLU between bn2 and the sum?"
ANSWER = "The branch could then only ever add; so it can also take away from what the skip path carries."


def filled(block, seed):
    """The block with random parameters and statistics, in evaluation mode."""
    rng = np.random.default_rng(seed)
    state = {
        n: rng.uniform(0.5, 1.5, v.shape).astype(np.float32) * rng.choice([-1, 1], v.shape)
        if "weight" in n
        else rng.uniform(0.5, 1.5, v.shape).astype(np.float32)
        for n, v in block.state_dict().items()
        if v.ndim
    }
    block.load_state_dict({n: a.astype(np.float32) for n, a in state.items()}, strict=False)
    return block.eval()


def check(your):
    for inplanes, planes, stride in ((3, 3, 1), (2, 4, 2), (3, 5, 1)):
        mine = lab.call(your.ResNetBlock, inplanes, planes, stride, argument="ResNetBlock")
        down = None
        if stride != 1 or inplanes != planes:
            down = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes))
        theirs = filled(BasicBlock(inplanes, planes, stride, down), 26)
        wanted, given = set(theirs.state_dict()), set(mine.state_dict())
        lost, added = (", ".join(sorted(s)) or "none" for s in (wanted - given, given - wanted))
        lab.expect(
            wanted == given,
            f"The names of the parameters differ from torchvision's: missing {lost}; too many {added}.",
            "state_dict",
            mine.forward,
        )
        shapes = [
            f"{n} is {mine.state_dict()[n].shape}, should be {v.shape}"
            for n, v in theirs.state_dict().items()
            if mine.state_dict()[n].shape != v.shape
        ]
        lab.expect(not shapes, "; ".join(shapes[:2]) + ".", "state_dict", mine.forward)
        mine.load_state_dict(theirs.state_dict())
        mine.eval()
        x = tv.tensor(np.random.default_rng(27).standard_normal((2, inplanes, 6, 6)).astype(np.float32))
        because = {ShapeError: "Branch and skip path are of different sizes: the way down needs the same stride."}
        with tv.no_grad():
            yours = lab.call(mine, x, argument="forward", because=because)
            lab.expect(isinstance(yours, tv.Tensor), "forward() must return a tensor.", "y", mine.forward)
            skip = x if theirs.downsample is None else theirs.downsample(x)
            inner = theirs.bn1(theirs.conv1(x))
            branch, bare = theirs.bn2(theirs.conv2(theirs.relu(inner))), theirs.bn2(theirs.conv2(inner))
            known = [
                ((branch + skip).numpy(), "The ReLU after the sum is missing."),
                ((theirs.relu(branch) + skip).numpy(), "The last ReLU comes after the sum; you have it before."),
                (theirs.relu(theirs.relu(branch) + skip).numpy(), "One ReLU too many, between bn2 and the sum."),
                (theirs.relu(branch).numpy(), "The skip path is missing."),
                (theirs.relu(bare + skip).numpy(), "The ReLU between bn1 and conv2 is missing."),
            ]
            # float32 sums of a few dozen products: 1e-4 of the largest value is far above their rounding.
            lab.equal(
                yours.numpy(),
                theirs(x).numpy(),
                "y",
                mine.forward,
                f"(inplanes {inplanes}, planes {planes}, stride {stride}.)",
                1e-4,
                known,
            )
    return lab.done("downsample", "forward")
