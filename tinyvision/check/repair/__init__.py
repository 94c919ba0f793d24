"""Which line is wrong: the statement whose change makes everything come out right.

`written` finds the functions that ran and reads them, `edits` lists the small changes that undo what people get wrong,
`search` tries each of them and keeps those that make every number right.
"""

from .search import told

__all__ = ["told"]
