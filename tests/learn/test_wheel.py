"""What is installed: every package of tinyvision, and the exercises, which live beside the tutorials."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyvision
from tinyvision.learn import course

ROOT = Path(__file__).parents[2]
WANTED = {
    "tinyvision_command.py",
    *(str(p.relative_to(ROOT)) for p in (ROOT / "tinyvision").rglob("*.py")),
    *(f"tinyvision/learn/exercises/{p.name}" for p in (ROOT / "tutorials" / "exercises").glob("*.py")),
}


def test_the_build_contains_every_module_and_the_exercises(tmp_path):
    pytest.importorskip("setuptools", reason="no setuptools here; the next test looks at the installation")
    build = subprocess.run(
        [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "egg_info", "--egg-base", str(tmp_path),
         "build", "--build-base", str(tmp_path / "base"), "--build-lib", str(tmp_path / "lib")],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr
    built = {str(p.relative_to(tmp_path / "lib")) for p in (tmp_path / "lib").rglob("*.py")}
    assert built == WANTED
    assert (tmp_path / "lib" / "tinyvision" / "py.typed").is_file()
    listed = subprocess.run(
        [sys.executable, "-c", "from tinyvision.learn import course; print(course.folder())"],
        cwd=tmp_path / "lib", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert Path(listed.stdout.strip()) == tmp_path / "lib" / "tinyvision" / "learn" / "exercises"


def test_an_installation_contains_every_module_and_the_exercises():
    package = Path(tinyvision.__file__).parent
    if package == ROOT / "tinyvision":
        pytest.skip("tinyvision is not installed here but imported from its source")
    installed = {str(p) for p in importlib.metadata.files("tinyvision") if p.suffix == ".py"}
    assert installed >= WANTED
    assert course.folder() == package / "learn" / "exercises"


def test_the_list_of_packages_is_complete():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = ast.literal_eval(re.search(r"^packages = (\[.*?\])", text, re.M | re.S).group(1))
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "tinyvision").rglob("__init__.py")}
    assert set(listed) == found | {"tinyvision.learn.exercises"}
