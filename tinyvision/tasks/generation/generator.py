"""A trained network in use: pictures of classes, made of noise, and the way there as an animation."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.show import show
from ...device import to_numpy
from ...errors import OptionError
from ...grad_mode import no_grad
from ...ops.checks import is_integer, is_number
from ...tensors.tensor import Tensor
from ...train.preprocessing import Preprocessing
from ...train.settings import nearest
from .network import GUIDANCE, STEPS, Diffusion
from .samples import noise_of

BATCH = 128
_CELL = 64  # pixels on screen that a small picture is enlarged to
_SECONDS, _STILL = 0.08, 1.5  # that a step of the animation is shown, and the last one


@dataclass
class Generated:
    """Pictures that a network has made.

    steps       uint8 (S + 1, N, H, W, C): noise, and the pictures after every step
    labels      (N,) the classes that were asked for;  recognised   those that the network's judge sees
    classes     names"""

    steps: np.ndarray
    labels: np.ndarray
    recognised: np.ndarray
    classes: list[str]

    @property
    def pictures(self) -> np.ndarray:
        """uint8 (N, H, W, C)"""
        return self.steps[-1]

    def line(self) -> str:
        """How many of what, and how many the judge takes for that."""
        asked = ", ".join(self.classes[k] for k in np.unique(self.labels))
        right, count = int((self.labels == self.recognised).sum()), len(self.labels)
        return f"{count} picture{'s' * (count != 1)} of {asked}; the network's own judge recognises {right}"

    def sheet(self) -> bytes:
        """All pictures as one, a PNG."""
        stream = io.BytesIO()
        self._grid(self.pictures).save(stream, "PNG")
        return stream.getvalue()

    def animation(self) -> bytes:
        """From noise to the pictures, an animated GIF that begins anew."""
        frames = [self._grid(step) for step in self.steps]
        if self.steps.shape[-1] == 1:
            frames = [frame.convert("L") for frame in frames]
        stream = io.BytesIO()
        shown = [round(1000 * _SECONDS)] * (len(frames) - 1) + [round(1000 * _STILL)]
        frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=shown, loop=0)
        return stream.getvalue()

    def _grid(self, pictures):
        return show(list(pictures), scale=max(1, _CELL // max(pictures.shape[1:3])))


@dataclass
class Generator:
    """A trained network ready for use: `tasks.load("runs/digits-2").generate([7, 7, 7], seed=1)`.

    model    a Diffusion in evaluation mode;  preprocessing   of the pictures that it learned from
    classes  names;  origin   where its weights come from, in words"""

    model: Diffusion
    preprocessing: Preprocessing
    classes: list[str]
    origin: str

    def generate(
        self,
        labels: Sequence[int],
        seed: int = 0,
        steps: int = STEPS,
        each: Callable[[], object] | None = None,
        guidance: float = GUIDANCE,
    ) -> Generated:
        """Pictures of the classes labels (N,), made in so many steps. Picture number i is made of noise that seed and i
        decide, so more pictures, or other steps, change no noise. each() is called after every step; it may raise to
        stop. With more `guidance` the classes show more clearly, and the pictures of one become more alike.

        Raises OptionError for a class that is none, a seed below 0, steps that the schedule does not have, and a
        guidance that is not a number from 0 to 100."""
        given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
        if not given or not all(is_integer(label) and 0 <= label < len(self.classes) for label in given):
            raise OptionError(f"generate: labels are whole numbers from 0 to {len(self.classes) - 1}, got {given[:10]}")
        wanted = np.array(given, np.int64)
        if not is_integer(seed):
            raise OptionError(f"generate: seed is a whole number from 0, got {seed!r}")
        if not is_number(guidance) or not 0 <= guidance <= 100:
            raise OptionError(f"generate: guidance is a number from 0 to 100, got {guidance!r}")
        where = next(iter(self.model.buffers())).device
        parts, recognised = [], []
        for begin in range(0, len(wanted), BATCH):
            numbers = range(begin, min(begin + BATCH, len(wanted)))
            noise = Tensor.of(np.stack([noise_of(seed, number, self.model.shape) for number in numbers])).to(where)
            shown: list[np.ndarray] = []

            def keep(step: int, x: Tensor, shown: list[np.ndarray] = shown) -> None:
                shown.append(pixels(to_numpy(x)))
                if step and each is not None:
                    each()

            with no_grad():
                made = self.model.sample(
                    noise, Tensor.of(wanted[begin : begin + BATCH]).to(where), steps, keep, guidance
                )
                recognised.append(self.model.judged(made)[1])
            parts.append(np.stack(shown))
        return Generated(np.concatenate(parts, axis=1), wanted, np.concatenate(recognised), self.classes)

    def label_of(self, name: str) -> int:
        """The number of a class. Raises OptionError with the nearest name if there is none."""
        if name not in self.classes:
            some = ", ".join(self.classes[:20]) + (", ..." if len(self.classes) > 20 else "")
            raise OptionError(
                f"class {name!r} is unknown to {self.origin} (known: {some}){nearest(name, self.classes)}"
            )
        return self.classes.index(name)


def pixels(x: np.ndarray) -> np.ndarray:
    """Numbers (N, C, H, W), of which -1 to 1 is kept  ->  uint8 (N, H, W, C)"""
    return np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
