"""The site: every link and anchor leads somewhere on it, nothing comes from elsewhere, formulas are drawn."""

import importlib.util
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tutorials import pages, site

MISSING = [name for name in site.NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (pip install '.[site]')")


class Links(HTMLParser):
    """The ids of a page, where it leads, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.leads, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.leads.append(found["href"])
        elif tag == "link" and found.get("href") and found.get("rel") != "canonical":
            self.loads.append(found["href"])
        elif found.get("src"):
            self.loads.append(found["src"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "out"
    site.build(out, {"Optimisers": "optim"})
    return out


@pytest.fixture(scope="module")
def parsed(built):
    return {page: Links(page.read_text(encoding="utf-8")) for page in built.rglob("*.html")}


def test_every_page_is_there(built):
    names = {path.name for path in built.glob("*.html")}
    assert {f"{path.stem}.html" for path in pages.all_pages()} <= names
    assert {path.name for path in (pages.FOLDER / "explore").glob("*.html")} == {
        path.name for path in (built / "explore").glob("*.html")
    }
    assert "tinyvision.optim" in (built / "reference" / "optim.html").read_text(encoding="utf-8")


def test_links_and_anchors_lead_somewhere(built, parsed):
    dead = []
    for page, links in parsed.items():
        for target in links.leads:
            parts = urlsplit(target)
            if parts.scheme or page.name == "404.html":
                continue
            place = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            place = place / "index.html" if place.is_dir() else place
            if not place.is_file() or (parts.fragment and place.suffix == ".html" and
                                       parts.fragment not in {*parsed[place].ids, "__skip"}
                                       and place.parent.name != "explore"):  # fmt: skip
                dead.append(f"{page.relative_to(built)}: {target}")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(built, parsed):
    loads = [(page.name, target) for page, links in parsed.items() for target in links.loads]
    assert loads
    assert [found for found in loads if re.match(r"[a-z]+:|//", found[1]) and not found[1].startswith("data:")] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in built.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", styles) == []


def test_formulas_are_drawn_and_answers_open(built):
    text = (built / "10-linear-relu-cross-entropy-backward.html").read_text(encoding="utf-8")
    source = next(path for path in pages.all_pages() if path.name.startswith("10-")).read_text(encoding="utf-8")
    assert text.count("<math ") == len(re.findall(r"^\$\$$", source, re.M)) / 2 > 3
    drawn = re.sub(r'aria-label="[^"]*"', "", "".join(re.findall(r"<math .*?</math>", text, re.S)))
    assert "\\" not in drawn
    assert '<mi class="word">weight</mi>' in drawn  # one name, no product of six letters
    assert "$$" not in text
    assert text.count("<details>") == source.count("<details>") > 0
    assert "```" not in text


def test_prev_next_and_dark_colours(built):
    text = (built / "05-im2col.html").read_text(encoding="utf-8")
    assert "06-relu-pooling-linear.html" in text[text.index("<footer") :]
    assert "04-seven-loops.html" in text[text.index("<footer") :]
    assert 'data-md-color-scheme="slate"' in text
    assert (built / "search" / "search_index.json").is_file()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(site.SiteError, match="not an empty folder"):
        site.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
