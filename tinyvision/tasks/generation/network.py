"""What generation trains and keeps: the denoiser, the average of its weights, and the classifier that judges."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from ... import nn
from ...device import to_numpy
from ...errors import OptionError
from ...models.denoiser import Denoiser
from ...nn.module import Buffer, Module, Parameter
from ...ops.checks import is_integer
from ...tensors.alike import full_like
from ...tensors.arranging import cat
from ...tensors.tensor import Tensor
from .schedule import CosineSchedule

STEPS = 25  # from noise to a picture
GUIDANCE = 1.5  # how far a picture is drawn towards its class; with 1 not at all, from 2 on it becomes a caricature
Kind = TypeVar("Kind", bound=Module)


class Judge(nn.Module):
    """A small classifier whose last features say what pictures look like to a network.   (N, C, H, W) -> (N, K)"""

    def __init__(self, in_channels: int, num_classes: int, features: int = 64) -> None:
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 2 * 2, features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K)."""
        return self.head(self.body(x))


class Diffusion(nn.Module):
    """A denoiser with what belongs to it. Pictures have numbers from -1 to 1.

    denoiser   learns what noise is in a picture
    average    the same network with a moving average of the denoiser's weights, which makes the better pictures: every
               single step of training overshoots a little, and the average does not
    judge      a trained classifier, by which pictures are compared; it is part of the network so that all figures of a
               run are by one measure

    Average and judge are made of buffers: they are kept and moved like weights, and learn nothing."""

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 8,
        width: int = 32,
        depth: int = 1,
        steps: int = 200,
    ) -> None:
        self.denoiser = Denoiser(in_channels, num_classes, width, depth)
        if not is_integer(image_size) or image_size < 4 or image_size % self.denoiser.multiple:
            raise OptionError(
                f"Diffusion: image_size is a multiple of {self.denoiser.multiple} from 4 on, got {image_size!r}"
            )
        self.schedule = CosineSchedule(steps)
        self.shape = (in_channels, image_size, image_size)
        self.average = kept(copy.deepcopy(self.denoiser))
        self.steps_averaged = Buffer(np.zeros((), np.float32))
        self.judge = kept(Judge(in_channels, num_classes))

    def forward(self, x: Tensor, times: np.ndarray, labels: Tensor) -> Tensor:
        """The noise in pictures x (N, C, H, W) of times (N,), whole numbers 0 to T: in training by the denoiser, in use
        by the average."""
        time = Tensor.of((np.asarray(times) / self.schedule.steps).astype(x.dtype)).to(x.device)
        return (self.denoiser if self.training else self.average)(x, time, labels)

    def follow(self, most: float) -> None:
        """Take the denoiser's weights into the average: most of it stays, less of it in the beginning, when what it
        holds is the weights of a network that knew nothing."""
        count = self.steps_averaged.array
        count += 1
        stays = np.minimum((1 + count) / (10 + count), count.dtype.type(most))
        for (_, kept), (_, now) in zip(self.average.named_buffers(), self.denoiser.named_parameters(), strict=True):
            kept.array += (1 - stays) * (now.array - kept.array)
            kept.version += 1
        self.steps_averaged.version += 1

    def guided(self, x: Tensor, times: np.ndarray, labels: Tensor, guidance: float) -> Tensor:
        """The noise in x, drawn away from what it would be if no class were said: untold + guidance · (told - untold).
        With 1 it is what the network says, with more the class shows more clearly.   (Ho and Salimans, 2022)"""
        if guidance == 1:
            return self(x, times, labels)
        nothing = full_like(labels, self.denoiser.num_classes)
        both = self(cat([x, x]), np.concatenate([times, times]), cat([labels, nothing]))
        told, untold = both[: len(x)], both[len(x) :]
        return untold + guidance * (told - untold)

    def sample(
        self,
        noise: Tensor,
        labels: Tensor,
        steps: int = STEPS,
        each: Callable[[int, Tensor], Any] | None = None,
        guidance: float = GUIDANCE,
    ) -> Tensor:
        """Pictures (N, C, H, W) of the classes labels (N,), made of noise (N, C, H, W) in so many steps.

        each(step, x) is called before the first step, and after each one with the pictures as far as they are; it may
        raise to stop. The same noise gives the same pictures. Call it in evaluation mode, without gradients.
        `guidance` is that of `guided`."""
        way, x = self.schedule.way(steps), noise
        if each is not None:
            each(0, x)
        for step, (time, earlier) in enumerate(pairwise(way), 1):
            x = self.schedule.before(x, self.guided(x, np.full(len(x), time), labels, guidance), time, earlier)
            if each is not None:
                each(step, x)
        return x

    def judged(self, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(features (N, D), class (N,)) that the judge finds in pictures."""
        features = self.judge.body(x)
        return to_numpy(features), to_numpy(self.judge.head(features)).argmax(1)


def kept(module: Kind) -> Kind:
    """A module whose parameters have become buffers."""
    for part in module.freeze().modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Parameter):
                setattr(part, name, Buffer(value.array.copy()))
    return module
