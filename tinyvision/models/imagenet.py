"""ImageNet's classes."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of the scores."""
    return _lines("imagenet_classes.txt")


@cache
def imagenet_wordnet_ids() -> tuple[str, ...]:
    """What ImageNet calls its 1,000 classes, "n01440764" and so on, in the order of the scores: numbers of nouns in
    the dictionary WordNet, and the names of the folders that ImageNet is kept in."""
    return _lines("imagenet_wordnet_ids.txt")


def _lines(name: str) -> tuple[str, ...]:
    return tuple(files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines())
