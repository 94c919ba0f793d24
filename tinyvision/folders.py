"""Where the user's files are, and where tinyvision keeps what it has downloaded or made for this user."""

import os
import shlex
from pathlib import Path

from .errors import FileError


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as it is written on a command line, with the home folder for a `~` in front.

    A name such as `~$photo.png`, of which no user is called, is a name like any other. Raises FileError for `~` itself
    where no home folder is known."""
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        if path.parts[0] != "~":
            return path
        raise FileError(f"{path}: no home folder is known; set HOME, or write the path out") from None


def typed(path: str | os.PathLike[str]) -> str:
    """A path as it is typed behind a command: quoted for the shell, and `./-x` where it would look like an option."""
    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def cache_dir() -> Path:
    """The folder for downloaded files and compiled loops (a Path; it need not exist yet).

    `TINYVISION_HOME` if set, else `tinyvision` in `XDG_CACHE_HOME` (which counts only if absolute, as the XDG
    Base Directory Specification says), else `~/.cache/tinyvision`. Raises FileError where no home folder is known."""
    if home := os.environ.get("TINYVISION_HOME"):
        return user_path(home).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(xdg) if os.path.isabs(xdg) else user_path("~/.cache")
    except FileError:
        raise FileError("no home folder is known, so there is no cache; set TINYVISION_HOME to a folder") from None
    return base / "tinyvision"


def cache_dir_if_known() -> Path | None:
    """The same, or None for a user without a home: for those who only look into it."""
    try:
        return cache_dir()
    except FileError:
        return None


def keep_newest(written: Path, count: int) -> None:
    """Delete what is oldest in a folder of the cache, of the files with this one's suffix, down to so many (from 2).

    The one that was just written stays, whatever the clock says. Raises OSError."""
    others = [path for path in written.parent.glob(f"*{written.suffix}") if path != written]
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - count]:
        old.unlink(missing_ok=True)
