"""tutorials/SUPPORTED.md is what the installed torch and tinyvision say today."""

import pytest
from torchvision_oracle import torch, torchvision

from tutorials import __main__ as command
from tutorials import supported


def test_the_page_is_of_today():
    kept = supported.PAGE.read_text(encoding="utf-8")
    for library in (torch, torchvision):
        version = f"{library.__name__} {library.__version__.split('+')[0]}"
        if version not in kept:
            pytest.skip(f"SUPPORTED.md was not made beside {version}")
    assert kept == supported.page(), "names have come or gone: python -m tutorials supported --write"


def test_the_counts_are_printed(capsys):
    assert command.main(["supported"]) == 0
    printed = capsys.readouterr().out
    assert "| `torch.nn` | 1" in printed
    assert printed.count("\n") == len(supported.ROOMS) + 2
