"""Loops compiled ahead, and processes that find them."""

import importlib.util
import os
import subprocess
import sys

import pytest

NUMBA = importlib.util.find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not NUMBA, reason="numba is not installed")
AHEAD = (
    "from tinyvision.kernels.cpu import compiled; print(compiled.is_complete());"
    "compiled.compile_all(); print(compiled.is_complete())"
)


def in_a_process(code, **environment):
    """The words that a process which runs this code prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    return result.stdout.split()
