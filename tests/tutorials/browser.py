"""Interactive pages played in a real browser without a screen, and what stands on them afterwards."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tutorials import pages

FOLDER = pages.FOLDER / "explore"
CONTENTS = FOLDER / "index.html"
PAGES = sorted(set(FOLDER.glob("*.html")) - {CONTENTS})
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium found on the PATH")

# Plays `actions` on the page, and after each writes down its setting, its numbers, and what stands in its grids.
PLAYER = """
<pre id="played"></pre>
<script>
const shown = () => Object.fromEntries([...document.querySelectorAll("[role=grid]")].map((grid) => [grid.id,
  [...grid.children].map((row) => [...row.children].map((cell) => ({
    text: cell.firstChild.value || cell.firstChild.textContent, mark: cell.className, fixed: cell.firstChild.disabled,
  })))]));
const table = () => [...document.querySelectorAll("tbody tr")].map((row) =>
  [...row.children].map((cell) => cell.textContent));
byId("played").textContent = JSON.stringify(ACTIONS.map(([what, ...how]) => {
  let refused = null;
  const target = what === "set" ? null : document.querySelector(how[0]);
  try {
    if (what === "set") explore.set(how[0]);
    if (what === "click") target.click();
    if (what === "type") { target.value = how[1]; target.dispatchEvent(new Event("change")); }
    if (what === "slide") { target.value = how[1]; target.dispatchEvent(new Event("input")); }
    if (what === "key") { target.focus(); target.dispatchEvent(new KeyboardEvent("keydown", { key: how[1] })); }
  } catch (error) { refused = `${error.name}: ${error.message}`; }
  return { refused, setting: explore.setting(), numbers: explore.numbers(), shown: shown(), table: table(),
    explain: byId("explain").textContent, notice: byId("notice").textContent,
    hash: location.hash,
    focus: document.activeElement.getAttribute("aria-label"), wide: document.documentElement.scrollWidth - innerWidth };
}));
</script>
"""


def open_page(path, folder, width=1200, wait=None):
    """The page's DOM after it has run (for `wait` ms of its own time), and what it wrote to the console."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    ]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
        "--enable-logging=stderr",
        "--dump-dom",
    ]
    command += [] if wait is None else [f"--virtual-time-budget={wait}"]
    # The browser ends when the page has come to rest; the limit is a guard against one that never ends.
    done = subprocess.run([*command, path], capture_output=True, text=True, encoding="utf-8", timeout=900, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def played(name, actions, folder, link="", width=1200):
    """The states of page `name` after each of the actions (JSON). One start of the browser plays them all."""
    text = (FOLDER / f"{name}.html").read_text(encoding="utf-8")
    copy = folder / f"{name}.html"
    copy.write_text(text.replace("</body>", PLAYER.replace("ACTIONS", actions) + "</body>"), encoding="utf-8")
    dom, console = open_page(f"{copy.as_uri()}{link}", folder, width)
    assert console == []
    return written(dom)


def written(dom):
    """What a page wrote into its <pre id="played">."""
    return json.loads(html.unescape(re.search(r'<pre id="played">(.*?)</pre>', dom, re.S).group(1)))


def cell(grid, i, j):
    return f"#{grid} > :nth-child({i + 1}) > :nth-child({j + 1}) > *"


def images(*arrays):
    """(H, W) lists as (1, 1, H, W) arrays."""
    return [np.array(a, dtype=float)[None, None] for a in arrays]


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def assert_shown(shown, values):
    """Cells show two decimals below 10, one below 100, else none: half a unit of the last one is allowed."""
    values = np.array(values, dtype=float)
    texts = np.array(
        [[number(c["text"]) for c in row if not c["fixed"]] for row in shown if not all(c["fixed"] for c in row)]
    )
    digits = np.select([abs(values) >= 100, abs(values) >= 10], [0, 1], 2)
    assert texts.shape == values.shape
    assert np.all(abs(texts - values) <= 0.5 * 10.0**-digits + 1e-9)


def marked(state, grid, mark):
    return [
        (i, j) for i, row in enumerate(state["shown"][grid]) for j, c in enumerate(row) if mark in c["mark"].split()
    ]
