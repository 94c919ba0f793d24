"""Where tinyvision keeps what it has downloaded or made for this user."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder for downloaded files and compiled loops (a Path; it need not exist yet).

    `TINYVISION_HOME` if set, else `tinyvision` in `XDG_CACHE_HOME` (which counts only if absolute, as the XDG
    Base Directory Specification says), else `~/.cache/tinyvision`."""
    if home := os.environ.get("TINYVISION_HOME"):
        return Path(home).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(xdg) if os.path.isabs(xdg) else Path("~/.cache").expanduser()
    return base / "tinyvision"
