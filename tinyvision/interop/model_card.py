"""A model card: what a file of weights or of a network is, for those who find it without us.

The form is that of the Hugging Face Hub (https://huggingface.co/docs/hub/model-cards): facts for machines between two
lines of dashes, then text. Only what is known is said; what only the author can know is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..nn.module import Module
from ..printable import printable

_SHOWN = 20  # classes that are named


def model_card(file: Path, model: Module, origin: str, prepared: Any, classes: list[str], shape: Any) -> str:
    """The text of a card.

    file      the file that it lies beside;  origin   where the weights come from, in words
    prepared  how pictures become its input, a train.preprocessing.Preprocessing;  classes   their names, or none
    shape     of one input as the file takes it"""
    count = sum(p.numel() for p in model.parameters())
    means, deviations = ([round(v, 4) for v in values] for values in (prepared.mean, prepared.std))
    resized = (
        f"scale the shorter side to {prepared.shorter} ({prepared.interpolation}) and cut out the centre"
        if prepared.shorter
        else f"scale the picture, whatever its proportions ({prepared.interpolation})"
    )
    front = ["---", "library_name: tinyvision", "tags:", "- tinyvision", f"- {file.suffix[1:].lower()}", "---"]
    facts = [
        f"* file: `{file.name}`, {file.stat().st_size:,} bytes",
        f"* weights: {_in_line(origin)}",
        f"* parameters: {count:,}",
        f"* input: a batch of {' x '.join(map(str, shape))}, float32",
        f"* pixels: {resized} to {prepared.size[0]} x {prepared.size[1]}, then (pixel / 255 - mean) / std with mean "
        f"{means} and std {deviations}",
        f"* classes: {_classes(classes)}",
    ]
    open_questions = [
        "* Of which pictures has it learned, and under which licence are they and these weights?",
        "* On which pictures was it judged, how often was it right, and how often by class?",
        "* What is it for, and for what must it not be used?",
    ]
    parts = [front, ["", f"# {_in_line(file.stem)}", ""], facts]
    parts += [["", "## What the author has to say", ""], open_questions]
    return "\n".join(line for part in parts for line in part) + "\n"


def _in_line(text):
    """One line that Markdown takes for text."""
    return printable(text, 200).replace("<", "&lt;").replace("|", "\\|").replace("`", "'")


def _classes(names):
    if not names:
        return "their names are not known"
    shown = ", ".join(_in_line(name) for name in names[:_SHOWN])
    return f"{len(names)}: {shown}{', ...' if len(names) > _SHOWN else ''}"
