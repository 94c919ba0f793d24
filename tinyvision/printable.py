"""Text that we did not write, made fit for a terminal: the one way by which names from files and folders are shown."""

_OUR_BREAK = "\n    "  # how messages of ours go on in another line; any other line break came with somebody's text


def printable(text: object, longest: int | None = 120) -> str:
    """`text` as one line that cannot move a cursor, ring a bell or forge another line.

    Control characters, line breaks, marks that change the direction of writing, and bytes that are no text
    (lone surrogates) are escaped. Beyond `longest` characters, unless that is None, the middle is left out."""
    given = str(text)[: None if longest is None else 4 * longest]
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given)
    if longest is None or len(line) <= longest:
        return line
    return f"{line[: longest // 2]}...{line[-longest // 3 :]}"


def printable_message(text: object) -> str:
    """The same for an error's message, whose further lines are indented by four blanks; these breaks are kept."""
    return _OUR_BREAK.join(printable(line, None) for line in str(text).split(_OUR_BREAK))
