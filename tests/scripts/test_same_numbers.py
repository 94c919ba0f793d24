"""Whole scripts as PyTorch's users write them, run by both libraries: what they print and what they learn is the same.

Only import lines differ. A script's random numbers and pictures come from `same/given.py`, and tensors are float64."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyvision

sys.path.insert(0, str(Path(__file__).parents[1]))
from torchvision_oracle import torch

SAME = Path(__file__).parent / "same"
SCRIPTS = sorted(path.stem for path in SAME.glob("*.py") if path.stem != "given")

# All that a user changes: how a line begins.
IMPORTS = [
    (r"import torch$", "import tinyvision as torch"),
    (r"import torch\.([\w.]+)$", r"import tinyvision.\1"),
    (r"import torch\.([\w.]+) as", r"import tinyvision.\1 as"),
    (r"from torch((?:\.[\w.]+)?) import", r"from tinyvision\1 import"),
    (r"import torchvision$", "from tinyvision import torchvision"),
    (r"import torchvision\.([\w.]+) as", r"import tinyvision.torchvision.\1 as"),
    (r"from torchvision((?:\.[\w.]+)?) import", r"from tinyvision.torchvision\1 import"),
]
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


def changed(source):
    """The script for tinyvision."""
    lines = source.split("\n")
    for pattern, ours in IMPORTS:
        lines = [re.sub("^" + pattern, ours, line) for line in lines]
    return "\n".join(lines)


def run(name, library, monkeypatch, capsys, folder):
    """What the script prints, and the arrays of every model that is left at its end."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(SAME)
    monkeypatch.delitem(sys.modules, "given", raising=False)
    source = (SAME / f"{name}.py").read_text(encoding="utf-8")
    default = library.get_default_dtype()
    library.set_default_dtype(library.float64)
    try:
        scope = {"__name__": "__main__"}
        exec(
            compile(changed(source) if library is tinyvision else source, f"{name} ({library.__name__})", "exec"), scope
        )
    finally:
        library.set_default_dtype(default)
    learned = {
        f"{variable}.{key}": np.array(value.detach().numpy())
        for variable, model in sorted(scope.items())
        if isinstance(model, library.nn.Module)
        for key, value in model.state_dict().items()
    }
    return capsys.readouterr().out, learned


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_libraries_print_and_learn_the_same(name, monkeypatch, capsys, tmp_path):
    (theirs, expected), (ours, learned) = (
        run(name, library, monkeypatch, capsys, tmp_path / library.__name__) for library in (torch, tinyvision)
    )
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    numbers = [np.array(NUMBER.findall(text), np.float64) for text in (ours, theirs)]
    assert numbers[0].size
    np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1.1e-4)  # the last digit that is printed may be rounded
    assert learned.keys() == expected.keys()
    for key, value in learned.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-7, atol=1e-10, err_msg=key)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_import_lines_are_changed(name):
    source = (SAME / f"{name}.py").read_text(encoding="utf-8")
    ours = changed(source)
    assert not re.search(r"^\s*(import|from) torch", ours, re.M)
    for before, after in zip(source.split("\n"), ours.split("\n"), strict=True):
        assert before == after or re.match(r"(import|from) ", before)
