"""ImageNet's classes."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of the scores."""
    return tuple(files(__package__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
