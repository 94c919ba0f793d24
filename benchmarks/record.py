"""Records: what a run measured, as JSON."""

import json
import os
from pathlib import Path

from tinyvision.atomic import atomic_write
from tinyvision.errors import DataError, FileError

from .suite import SCHEMA

REQUIRED = ("kind", "created", "command", "machine", "load_average", "cases")


def check_writable(path):
    """Before minutes of measuring: could the record be written? Raises FileError."""
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise FileError(f"--json {path}: the folder {folder} does not exist")
    if Path(path).is_dir():
        raise FileError(f"--json {path}: this is a folder, expected the name of a file")
    if not os.access(folder, os.W_OK):
        raise FileError(f"--json {path}: the folder {folder} cannot be written to")


def write(path, record):
    """Write it, one measurement's numbers to six digits, so that a record is small and a diff can be read."""
    with atomic_write(path, "w") as file:
        file.write(json.dumps(_rounded(record), indent=1, ensure_ascii=False) + "\n")


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def read(path):
    """A record of ours. Raises DataError for anything else."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a record: {error}") from error
    if not isinstance(record, dict) or "kind" not in record:
        raise DataError(f"{path}: this is not a record of `python -m benchmarks`")
    if record["kind"] == "cpu":
        missing = [name for name in REQUIRED if name not in record]
        if record.get("schema") != SCHEMA or missing:
            raise DataError(
                f"{path}: a record of another version (missing: {', '.join(missing) or 'nothing'}); measure again"
            )
    return record
