"""What a mistake is: words that name it, and the numbers that somebody gets who makes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ops import spec


@dataclass(frozen=True)
class Mistake:
    """One mistake: `wrong(inputs, options)` for the output "y", `wrong(inputs, options, dy)` for a gradient.

    `also` are other forms of it that give other numbers: a sum without keepdims, with the maximum subtracted or not.
    Mistakes of behaviour (an argument changed in place, state kept between calls) have `pair` instead, which makes a
    fresh (forward, backward), and `shows`, the id of the observation by which they are recognised."""

    id: str
    op: str
    argument: str
    says: str
    wrong: Callable[..., Any] | None = None
    pair: Callable[..., Any] | None = None
    shows: str | None = None
    also: tuple[Callable[..., Any], ...] = ()

    def functions(self) -> tuple[Any, Any]:
        """A fresh (forward, backward) in the ops' convention, with this mistake and no other."""
        if self.pair is not None:
            return self.pair()
        return spec(self.op).functions(self)


class Bank:
    """The mistakes of one op, in the order they were added."""

    def __init__(self, op: str) -> None:
        self.op = op
        self.mistakes: list[Mistake] = []

    def add(
        self,
        argument: str,
        name: str,
        says: str,
        wrong: Callable[..., Any] | None = None,
        pair: Callable[..., Any] | None = None,
        shows: str | None = None,
        also: tuple[Callable[..., Any], ...] = (),
    ) -> None:
        """Add a mistake; its id is "<op>.<argument>.<name>"."""
        self.mistakes.append(Mistake(f"{self.op}.{argument}.{name}", self.op, argument, says, wrong, pair, shows, also))
