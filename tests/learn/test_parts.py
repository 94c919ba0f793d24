"""A file that does not run as a whole gives its functions and classes all the same, and says what was left out."""

from importlib.util import find_spec

import pytest

from tinyvision.learn import gradcheck
from tinyvision.learn.loading import load
from tinyvision.learn.process import ask

LAYER = """
class Dense:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.ones((n_in, n_out)) * SCALE, np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(0)
        return dout @ self.W.T
"""


def checked(folder, text):
    (folder / "mine.py").write_text("import numpy as np\n" + text)
    return gradcheck.examine(request(folder))


def request(folder):
    return {"file": str(folder / "mine.py"), "function": "Dense", "forward": None, "op": "linear", "limit": 0.3,
            "device": "cpu"}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("SCALE = 0.5", "images = np.load('nowhere.npy')\nprint(images.shape)", "lines 16, 17 were left out"),
        ("SCALE = 0.5", "while True:\n    pass", "line 16 was left out"),
        ("import not_installed.plots as plots\nSCALE = 0.5", "plots.show(3)", "not_installed is not installed here"),
        ("from not_installed import bar\nSCALE, B = 0.5, bar(2)", "", "not_installed is not installed here"),
        ("from collections import Hashable\nSCALE = 0.5", "", "Line 2 was left out: cannot import name 'Hashable'"),
    ],
)
def test_a_layer_is_checked_in_a_file_that_does_not_run(tmp_path, before, after, told):
    report = checked(tmp_path, f"{before}\n{LAYER}\n{after}\n")
    assert report.passed, str(report)
    assert any(told in note for note in report.notes), report.notes


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is here itself")
def test_numpy_stands_in_for_cupy(tmp_path):
    (tmp_path / "setup.py").touch()  # the project begins here: no folder above is looked into
    layer = LAYER.replace("dout.sum(0)", "np.asnumpy(np.get_array_module(dout).sum(dout, axis=0))")
    (tmp_path / "mine.py").write_text(f"import cupy as np\nSCALE = 0.5\n{layer}")
    answer = ask({"task": "gradcheck", **request(tmp_path)})
    assert answer["passed"], answer["text"]
    assert any("NumPy stands in for it" in note for note in answer["notes"])


def test_what_is_used_of_a_missing_library_is_said(tmp_path):
    used = LAYER.replace("np.ones", "wish")
    report = checked(tmp_path, f"from not_installed import ones as wish\nSCALE = 1.0\n{used}")
    assert not report.passed
    assert "not_installed.ones is used, and is not installed here" in report.findings[0].message


def test_a_definition_that_fails_is_no_module(tmp_path):
    report = checked(tmp_path, LAYER.replace("class Dense", "class Dense(Missing)"))
    assert report.status == {"file": "wrong"}
    assert "Missing" in report.findings[0].message


def test_exercises_ask_for_the_whole_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("while True: pass\n")
    module, report = load(file, "mine", 0.2)
    assert module is None
    assert "loop outside of a function" in report.findings[0].message
