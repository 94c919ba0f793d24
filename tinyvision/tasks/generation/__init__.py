"""Generation: pictures of a class, made of noise. `Generation` is the task for `train.fit`, `Diffusion` its network,
and `Samples` the pictures and the noise that it learns and is judged with."""

from .frechet import frechet_distance
from .generator import Generated, Generator
from .memory import Memory, compared
from .network import Diffusion, Judge
from .samples import Samples
from .schedule import CosineSchedule
from .task import Generation, GenerationEvaluation

__all__ = [
    "CosineSchedule",
    "Diffusion",
    "Generated",
    "Generation",
    "GenerationEvaluation",
    "Generator",
    "Judge",
    "Memory",
    "Samples",
    "compared",
    "frechet_distance",
]
