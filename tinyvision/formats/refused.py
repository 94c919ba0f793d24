"""How a reader says no: the exception of every reader in this room, and the words for what a file holds."""

from typing import Any


class Refused(Exception):
    """What was found that should not be there. Each door turns it into the error that its users expect."""


def shown(value: Any, limit: int = 60) -> str:
    """A value from a file, fit for an error message: ASCII, short, and no numbers of a thousand digits."""
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return f"{'-' if value < 0 else ''}2**{value.bit_length() - 1} or more"
    text = ascii(value[: limit + 1] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
