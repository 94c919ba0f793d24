"""Which class of a network is meant by the name of a folder: its own names, WordNet's numbers, or plain numbers."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from ..errors import DataError
from ..models import imagenet_classes, imagenet_wordnet_ids
from ..printable import printable


def class_indices(texts: Iterable[str], classes: Sequence[str], count: int) -> tuple[dict[str, int], str]:
    """({text: index of the class}, by what they are named) for the names that folders or a file of labels have.

    texts    the names
    classes  what the network calls its classes, or an empty list
    count    how many classes it has

    All are taken as the network's own names (capitals, hyphens and underscores do not matter); or, of ImageNet's 1,000
    classes, as WordNet ids such as n01440764; or as numbers from 0. Raises DataError if none of these fits all."""
    wanted = sorted(set(texts))
    ways: dict[str, Mapping[str, int]] = {}
    if classes:
        ways["name"] = _names(classes)
    if tuple(classes) == imagenet_classes():
        ways["WordNet id"] = {wordnet: index for index, wordnet in enumerate(imagenet_wordnet_ids())}
    ways["number"] = {str(index): index for index in range(count)}
    best: tuple[str, list[str]] | None = None
    for way, known in ways.items():
        spelled = {text: text if text in known else _plain(text, way) for text in wanted}
        missing = [text for text in wanted if spelled[text] not in known]
        if not missing:
            return {text: known[spelled[text]] for text in wanted}, way
        if best is None or len(missing) < len(best[1]):
            best = way, missing
    way, missing = best or ("number", wanted)
    raise DataError(_told(way, missing, len(wanted), ways, count))


def _names(classes: Sequence[str]) -> dict[str, int]:
    """The classes' names as they are, and in plain spelling where that is one class's alone."""
    known = {}
    plain: dict[str, list[int]] = {}
    for index, name in enumerate(classes):
        plain.setdefault(_plain(name, "name"), []).append(index)
    known.update({name: indices[0] for name, indices in plain.items() if len(indices) == 1})
    known.update({name: index for index, name in enumerate(classes) if classes.count(name) == 1})
    return known


def _plain(text: str, way: str) -> str:
    text = unicodedata.normalize("NFC", text).strip()
    if way == "name":
        return " ".join(text.casefold().replace("_", " ").replace("-", " ").split())
    if way == "number" and text.isascii() and text.isdigit():
        return text.lstrip("0") or "0"
    return text


def _told(way: str, missing: list[str], wanted: int, ways: Mapping[str, Mapping[str, int]], count: int) -> str:
    shown = []
    for text in missing[:3]:
        close = difflib.get_close_matches(_plain(text, way), list(ways[way]), n=1, cutoff=0.6)
        shown.append(printable(ascii(text), 50) + (f" (did you mean {close[0]!r}?)" if close else ""))
    more = ", ..." if len(missing) > 3 else ""
    kinds = {"name": "its own names", "WordNet id": "WordNet ids (n01440764)", "number": f"numbers, 0 to {count - 1}"}
    known = " or ".join(kinds[name] for name in ways)
    known += ", but all of them in the same way" if len(ways) > 1 else ""
    one = f"numbers begin at 0, so the last class is {count - 1}; " if str(count) in missing else ""
    return (
        f"{len(missing)} of {wanted} classes of the pictures are none of the network's {count}: "
        f"{', '.join(shown)}{more}; {one}classes may be given by {known}"
    )
