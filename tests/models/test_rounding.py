"""Why one gradient of a float32 network is now and then a thousand times further off than all the others.

A rounding turns one ReLU, or lets another element win a max-pooling: there the derivative jumps, and what lies below
gets another gradient, in every engine. With the choices fixed as float64 makes them, nothing stands out any more.

    python -m tests.models.test_rounding 8        (so many seeds)
"""

import sys

import numpy as np

import tinyvision as tv
from tinyvision import models, nn


class Choices(dict):
    """Masks of ReLUs and places of winners, by layer and call; `inputs` is what the ReLUs were given."""

    def __init__(self):
        self.inputs = {}


class Chosen(nn.Module):
    """ReLU, or max-pooling 3×3/2/1 of what is not negative, that records its choices, or repeats them."""

    def __init__(self, choices, number, pool=False):
        self.choices, self.number, self.pool, self.calls = choices, number, pool, 0

    def forward(self, x):
        key, self.calls = (self.number, self.calls), self.calls + 1
        if not self.pool:
            if key not in self.choices:
                self.choices[key], self.choices.inputs[key] = x.detach().numpy() > 0, x.detach().numpy()
            mask = self.choices[key]
            return x * tv.from_numpy(mask.astype(x.detach().numpy().dtype))
        N, C, H, W = x.shape
        if key not in self.choices:
            padded = np.pad(x.detach().numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
            row, column = np.divmod(windows.reshape(*windows.shape[:4], 9).argmax(-1), 3)
            row = np.clip(row + 2 * np.arange(row.shape[2])[:, None] - 1, 0, H - 1)
            column = np.clip(column + 2 * np.arange(row.shape[3]) - 1, 0, W - 1)
            plane = np.arange(N * C).reshape(N, C, 1, 1)
            self.choices[key] = (plane * H + row) * W + column
        return x.reshape(-1)[tv.from_numpy(self.choices[key])]


def gradients(seed, dtype, choices):
    """{name: gradient} of the loss of a ResNet-18 on eight pictures of 64×64 pixels."""
    tv.manual_seed(seed)
    model = models.resnet18(num_classes=10).to(dtype)
    if choices is not None:
        for number, module in enumerate(m for m in list(model.modules()) if hasattr(m, "relu")):
            module.relu = Chosen(choices, number)
        model.maxpool = Chosen(choices, "pool", pool=True)
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((8, 3, 64, 64)).astype(np.float32), rng.integers(0, 10, 8)
    nn.CrossEntropyLoss()(model(tv.from_numpy(x.astype(dtype))), tv.from_numpy(y)).backward()
    return {name: p.grad.numpy() for name, p in model.named_parameters()}


def errors(seed):
    """Largest relative error of each parameter's float32 gradient: with its own choices, with those of float64, and
    with one of these turned, at the input of the last ReLU that lies nearest to 0."""
    choices = Choices()
    exact = gradients(seed, np.float64, choices)

    def of(found):
        return np.array([np.abs(found[k] - g).max() / np.abs(g).max() for k, g in exact.items()])

    own, fixed = (of(gradients(seed, np.float32, given)) for given in (None, choices))
    last = max(key for key in choices if key[0] != "pool")
    nearest = np.abs(choices.inputs[last]).argmin()
    choices[last].flat[nearest] ^= True
    return own, fixed, of(gradients(seed, np.float32, choices))


def test_outliers_are_choices_that_a_rounding_has_turned():
    _, fixed, turned = errors(0)
    assert fixed.max() < 1e-4  # 1.3e-5 at most in six seeds
    assert turned.max() > 1e-3


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        kinds = zip(("own choices", "those of float64", "one of them turned"), errors(number), strict=True)
        said = (f"{kind}: median {np.median(found):.1e}, worst {found.max():.1e}" for kind, found in kinds)
        print(f"seed {number}: {'; '.join(said)}", flush=True)
