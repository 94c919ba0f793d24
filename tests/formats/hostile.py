"""The corpus: files that must be refused. `CASES` is a dict of name -> function that makes the bytes."""

from . import hostile_archives, hostile_others  # each adds its cases
from .hostile_pickles import CALLS, CANARY, CASES

__all__ = ["CALLS", "CANARY", "CASES", "hostile_archives", "hostile_others"]
