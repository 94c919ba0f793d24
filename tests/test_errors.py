"""Every error of ours: what somebody else named cannot move a cursor, wherever it is shown; and errors travel."""

import copy
import pickle

import pytest

from tinyvision import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TinyVisionError)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_cannot_move_a_cursor_and_keeps_its_lines(kind):
    error = kind("runs/\x1b[2J\x07\r\u202eexe.jpg \udcff: no such file\n    look at µ·x² in café/東京")
    assert str(error) == "runs/\\x1b[2J\\x07\\r\\u202eexe.jpg \\udcff: no such file\n    look at µ·x² in café/東京"
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is kind
        assert twin.args == error.args
    assert str(kind()) == ""


def test_other_arguments_stay_what_they_are():
    reason = ValueError("x")
    assert errors.OptionError("a", reason, 3).args == ("a", reason, 3)
