"""The learner's folder: made, found, kept, reset."""

import json

import pytest

from tinyvision import DataError, OptionError
from tinyvision.learn import course
from tinyvision.learn.folder import DEFAULT, STATE, Folder, create, find


def test_init_never_overwrites(tmp_path):
    folder, added, new = create(tmp_path / "a")
    assert new
    assert added == list(course.names())
    mine = folder.path / "conv_dx.py"
    mine.write_text("mine", encoding="utf-8")
    (folder.path / "softmax.py").unlink()
    _, added, new = create(folder.path)
    assert (added, new) == (["softmax"], False)
    assert mine.read_text(encoding="utf-8") == "mine"


def test_init_refuses_a_folder_with_other_things(tmp_path):
    (tmp_path / "thesis.tex").write_text("years", encoding="utf-8")
    with pytest.raises(OptionError, match="not empty"):
        create(tmp_path)
    with pytest.raises(OptionError, match="is a file"):
        create(tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_folder_is_found_from_inside_and_from_beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="tinyvision learn init"):
        find()
    create()
    assert find().path == tmp_path / DEFAULT
    monkeypatch.chdir(tmp_path / DEFAULT)
    (tmp_path / DEFAULT / "notes").mkdir()
    monkeypatch.chdir(tmp_path / DEFAULT / "notes")
    assert find().path == tmp_path / DEFAULT
    with pytest.raises(OptionError, match="no course folder"):
        find(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"course": 1}', '{"course": "x", "exercises": {}}', "\xff"])
def test_a_corrupt_state_is_set_aside(place, text):
    (place.path / STATE).write_text(text, encoding="latin-1")
    again = Folder(place.path)
    assert "could not be read" in again.warning
    assert [p.read_text(encoding="latin-1") for p in place.path.glob(STATE + ".broken-*")] == [text]
    assert Folder(place.path).warning is None


def test_a_strange_entry_counts_as_none(place):
    state = {"course": course.version(), "exercises": {"conv_dx": {"tries": "x"}, "softmax": 3, "gone": {}}}
    (place.path / STATE).write_text(json.dumps(state), encoding="utf-8")
    entry = Folder(place.path).entry(course.exercise("conv_dx"))
    assert (entry["tries"], entry["hints"], entry["passed"]) == (0, 0, None)


def test_older_and_newer_courses(place):
    (place.path / STATE).write_text(json.dumps({"course": 0, "exercises": {}}), encoding="utf-8")
    assert "older version" in Folder(place.path).warning
    create(place.path)
    assert Folder(place.path).warning is None
    (place.path / STATE).write_text(json.dumps({"course": 99, "exercises": {}}), encoding="utf-8")
    with pytest.raises(OptionError, match="update tinyvision"):
        Folder(place.path)


def test_reset_keeps_a_backup(place, solve):
    one = course.exercise("sgd")
    assert place.reset(one) is None  # nothing to keep
    for _ in range(2):  # twice within a second: two backups
        text = solve("sgd").read_text(encoding="utf-8")
        backup = place.reset(one)
        assert backup.read_text(encoding="utf-8") == text
        assert place.untouched(one)
    assert len(list((place.path / "backups").iterdir())) == 2
    place.file(one).unlink()
    assert place.reset(one) is None
    assert place.untouched(one)


def test_tries_are_different_texts(place, solve):
    one = course.exercise("sgd")
    place.attempted(one, False)
    assert place.entry(one)["tries"] == 0  # the skeleton as shipped
    for k in range(3):
        solve("sgd", ("weight - lr", f"weight - {k} - lr"))
        place.attempted(one, False)
        place.attempted(one, False)
        assert place.entry(one)["tries"] == k + 1
        assert (place.solution_refused(one) is None) == (k == 2)
    assert Folder(place.path).entry(one)["tries"] == 3


def test_a_file_that_is_gone_is_named_with_the_remedy(place):
    one = course.exercise("sgd")
    place.file(one).unlink()
    with pytest.raises(DataError, match="tinyvision learn reset sgd"):
        place.text(one)
