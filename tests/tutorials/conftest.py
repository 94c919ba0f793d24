"""One profile of the browser for each test module that plays interactive pages."""

from functools import cache

import pytest

from tests.tutorials.browser import played


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    """play(name, actions as JSON, link="", width=1200): the page's states after each action, kept for the module."""
    folder = tmp_path_factory.mktemp("explore")
    return cache(lambda name, actions, **how: played(name, actions, folder, **how))
