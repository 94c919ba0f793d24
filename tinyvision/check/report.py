"""`Report`: the outcome of a check that can print itself, save itself as a page and show itself in a notebook."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from . import html
from .findings import Finding, Outcome
from .show import picture_lines, render


@dataclass(repr=False)
class Report(Outcome):
    """The outcome of a check: `passed`, `findings`, `notes` (conventions and precision, no errors), `status`.

    `status` maps what was looked at ("forward", "dx", ...) to "ok", "wrong" or "not judged". `print(report)` shows all
    of it in 80 columns; `report.save("report.html")` writes a page with the arrays as heat maps."""

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        """The report in 80 columns, in colour when standard output is a terminal and NO_COLOR is not set."""
        return render(self, colour=_in_colour(sys.stdout))

    def __repr__(self) -> str:
        outcome = "passed" if self.passed else f"{len(self.findings)} findings"
        return f"<Report {self.title}: {outcome}>"

    def show(self, file: Any = None, colour: bool | None = None, picture: bool = True) -> None:
        """Print the report, in colour when `file` (standard output) is a terminal and NO_COLOR is not set."""
        file = sys.stdout if file is None else file
        colour = _in_colour(file) if colour is None else colour
        print(render(self, colour=colour, picture=picture), file=file)

    def save(self, path: str | Path) -> str | Path:
        """Write the report as one self-contained HTML page; returns the path. Raises FileError if it cannot."""
        return html.save(self, path)

    def picture(self, argument: str | None = None) -> "Drawing":
        """Yours, the right one and the difference as heat maps: the last line of a notebook's cell shows them.

        `argument` chooses ("dx"); by default it is the first that can be drawn. Raises OptionError if none can."""
        drawn = [f for f in self.findings if f.picture is not None]
        chosen = [f for f in drawn if argument in (None, f.argument)]
        if not chosen:
            names = ", ".join(f.argument for f in drawn) or "nothing"
            raise OptionError(f"picture: there is nothing to draw of {argument or self.title}; to be drawn: {names}")
        return Drawing(chosen[0])

    def _repr_html_(self):
        return html.fragment(self)


class Drawing:
    """One finding's arrays: heat maps in a notebook, characters where there is only text."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding

    def _repr_html_(self):
        return html.picture(self.finding)

    def __repr__(self) -> str:
        return "\n".join(picture_lines(self.finding))


def _in_colour(file):
    return hasattr(file, "isatty") and file.isatty() and "NO_COLOR" not in os.environ
