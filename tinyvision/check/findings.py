"""What the checker has to say, as data: `Finding` with its `Where` and `Picture`, and the `Outcome` of a check."""

import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Where:
    """The place of a difference.

    `index` is the first differing element, `yours` and `right` its two values, `region` plain words for the set of
    differing elements ("all", "border", "overlaps", "one sample", "one channel", "repeated labels", ... or "some").
    `differing` of `total` elements differ, on the probe named `probe`."""

    index: tuple
    yours: float
    right: float
    region: str
    differing: int
    total: int
    probe: str = ""
    noise: float = 0.0
    witness: str = ""

    def __str__(self) -> str:
        return f"{self.region}: {self.differing} of {self.total} elements, first at {list(self.index)}"


@dataclass(frozen=True)
class Picture:
    """Two arrays to draw beside each other, yours and the right one, as last seen on one probe."""

    yours: np.ndarray
    right: np.ndarray


def place(file: str, line: int | None) -> str:
    """Where something is, as editors read it: "conv.py:12", or the file alone where no line is known."""
    return f"{file}:{line}" if line else file


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `argument` is "y", "dx", "dweight", ... or the name of a function; `mistake` a stable id from the bank, or None;
    `signature` the stable id of an observation that needs no knowledge of the op, or None; `certainty` is "exact"
    (the same numbers as a known mistake, or directly observed), "likely" or "unknown"."""

    argument: str
    message: str
    mistake: str | None = None
    signature: str | None = None
    certainty: str = "unknown"
    where: Where | None = None
    file: str | None = None
    line: int | None = None
    picture: Picture | None = None
    facts: tuple = ()
    kind: str = "value"
    lines: tuple = ()  # one or two, where it was found out that a change of that line alone mends it

    def __str__(self) -> str:
        where = f" ({place(os.path.basename(self.file), self.line)})" if self.file else ""
        return f"{self.argument}: {self.message}{where}"

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain numbers and strings, for JSON."""
        where = None
        if self.where is not None:
            where = {
                "index": [int(i) for i in self.where.index],
                "yours": float(self.where.yours),
                "right": float(self.where.right),
                "region": self.where.region,
                "differing": int(self.where.differing),
                "total": int(self.where.total),
                "probe": self.where.probe,
            }
        return {
            "argument": self.argument,
            "mistake": self.mistake,
            "signature": self.signature,
            "certainty": self.certainty,
            "message": self.message,
            "facts": list(self.facts),
            "where": where,
            "file": self.file,
            "line": self.line,
            "lines": list(self.lines),
        }


@dataclass
class Outcome:
    """What a check found, as data: the text and the page are drawn from it, and `Report` can show itself with both."""

    subject: str
    findings: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    status: dict = field(default_factory=dict)
    printed: str = ""
    probes: int = 0
    calls: int = 0
    seconds: float = 0.0
    device: str = "cpu"  # where the functions ran
    read_as: list = field(default_factory=list)  # how code of another form was understood
    beyond: list = field(default_factory=list)  # what the code does not support, and was not judged

    @property
    def title(self) -> str:
        """What was checked, and on which device if not on the CPU."""
        return self.subject if self.device == "cpu" else f"{self.subject} on {self.device}"

    @property
    def passed(self) -> bool:
        """True if everything was judged and nothing was found."""
        return not self.findings and all(s in ("ok", "ours", "skipped", "half") for s in self.status.values())

    @property
    def driven(self) -> bool:
        """False if all that was found is that the code could not be called, which says nothing of what it computes."""
        return not self.findings or any(f.kind != "unread" for f in self.findings)

    @property
    def shared(self) -> str:
        """One sentence for findings that say the same of several arguments; "" where none do."""
        said: dict[str, list[str]] = {}
        for f in self.findings:
            if f.certainty != "unknown":
                plain = re.sub(rf"\b{re.escape(f.argument)}\b", "gradient", f.message) if f.argument else f.message
                said.setdefault(plain, []).append(f.argument)
        told = [
            f"{' and '.join(names)} have one cause: {words[:1].upper()}{words[1:]}"
            for words, names in said.items()
            if len(names) > 1
        ]
        return told[0] if told else ""

    def as_dict(self) -> dict[str, Any]:
        """The report as plain numbers and strings, for JSON."""
        return {
            "subject": self.subject,
            "device": self.device,
            "passed": self.passed,
            "driven": self.driven,
            "status": dict(self.status),
            "findings": [f.as_dict() for f in self.findings],
            "notes": list(self.notes),
            "read_as": list(self.read_as),
            "not_judged": list(self.beyond),
            "probes": self.probes,
            "seconds": round(self.seconds, 4),
        }
