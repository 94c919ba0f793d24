"""The pages as a site: `python -m tutorials site OUT`, by MkDocs with the theme Material, and mkdocstrings.

Nothing on it is fetched from elsewhere: fonts are the reader's own, search runs in the browser, formulas are MathML.
"""

import html
import importlib.util
import logging
import re
import tempfile
from pathlib import Path

from . import notebooks, pages

NEEDED = {
    "mkdocs": "mkdocs", "material": "mkdocs-material", "mkdocstrings": "mkdocstrings[python]",
    "latex2mathml": "latex2mathml",
}  # fmt: skip

# The reference: a page for each part, of these modules (a package stands for all of its public modules).
REFERENCE = {
    "Ops": "ops",
    "The tape": "tape",
    "Tensors": "tensors",
    "Layers": "nn",
    "Optimisers": "optim",
    "Data": "data",
    "Networks": "models",
    "Weights": "weights",
    "Training": "train",
    "Tasks": "tasks",
    "Checking gradients": "check",
    "Looking inside": "explain",
    "Other formats": "interop",
    "Several processes": "distributed",
    "Devices": "device",
    "Errors": "errors",
}
_FENCE = re.compile(r"^(```+)(python|output|sh|text)\b[^\n]*$", re.M)
_FORMULA = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.M | re.S)
# latex2mathml takes \mathit{weight} for a product of letters, and sets the two signs of += apart.
_LETTERS = re.compile(r'<mrow>((?:<mi mathvariant="(?:italic|normal)">\w</mi>|<mn>\d</mn>){2,})</mrow>')
_ADDED = re.compile(r"<mo><mrow><mo>&#x0002B;</mo></mrow></mo><mo>&#x0003D;</mo>")
_LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\(([^)\s]+)\)")
_STYLE = """
/* The system's own letters; figures are drawn on white. */
.md-typeset img { background: #fff; border-radius: 4px; }
.md-typeset math[display="block"] { overflow-x: auto; max-width: 100%; padding: .2em 0; font-size: 1.05em; }
/* Docstrings keep their lines: many are tables of names and what they mean. */
.md-typeset .doc-contents > p { white-space: pre-line; }
.md-typeset details summary { cursor: pointer; }
.md-typeset mi.word { font-style: italic; }
/* In a table a name is broken between words only, and a column of numbers is no wider than they are. */
.md-typeset table:not([class]) :is(th, td) { min-width: 0; }
.md-typeset table:not([class]) code { word-break: normal; overflow-wrap: normal; }
"""


class SiteError(Exception):
    """The site cannot be made; the message names the remedy."""


def build(out, reference=REFERENCE):
    """Make the site in the folder `out`, which must be new or empty. Raises SiteError."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SiteError(f"the site needs {', '.join(missing)}; install them with: pip install 'tinyvision[site]'")
    out = Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SiteError(f"{out} is there already, and not an empty folder; name a new one, or remove it first")
    from mkdocs.commands.build import build as mkdocs_build
    from mkdocs.config import load_config

    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")  # what MkDocs refuses, it says there
    logging.getLogger("mkdocs.plugins.griffe").addFilter(lambda _: False)  # a type it cannot follow is shown as written
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "docs"
        nav = _write_source(source, reference)
        (Path(folder) / "mkdocs.yml").write_text("site_name: tinyvision\n", encoding="utf-8")
        config = load_config(str(Path(folder) / "mkdocs.yml"), **_settings(source, out, nav))
        try:
            config.plugins.on_startup(command="build", dirty=False)
            mkdocs_build(config)
        except SystemExit as error:  # of a strict build: MkDocs has told what is wrong
            raise SiteError(f"MkDocs did not make the site ({error})") from None
        finally:
            config.plugins.on_shutdown()


def _settings(source, out, nav):
    from pymdownx.slugs import slugify

    address = notebooks.repository()
    day = {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "indigo"}
    night = {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "indigo"}
    day["toggle"] = {"icon": "material/weather-night", "name": "dark colours"}
    night["toggle"] = {"icon": "material/weather-sunny", "name": "light colours"}
    features = ["navigation.footer", "navigation.top", "navigation.indexes", "toc.follow", "content.code.copy"]
    handler = {
        "paths": [str(pages.ROOT)],
        "options": {
            "docstring_style": None, "show_source": True, "show_root_heading": True, "heading_level": 2,
            "show_root_full_path": True, "separate_signature": True, "line_length": 100,
            "members_order": "source", "filters": ["!^_"],
        },
    }  # fmt: skip
    extensions = ["admonition", "attr_list", "md_in_html", "tables", "pymdownx.superfences", "pymdownx.highlight"]
    return {
        "site_name": "tinyvision",
        "site_url": None,
        "repo_url": address,
        "docs_dir": str(source),
        "site_dir": str(out),
        "nav": nav,
        "strict": True,
        "use_directory_urls": False,  # so that the site can be read from the disk
        "extra_css": ["style.css"],
        "theme": {"name": "material", "font": False, "palette": [day, night], "features": features},
        "extra": {"generator": False},
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": handler}}}],
        "markdown_extensions": [*extensions, {"toc": {"permalink": True, "slugify": slugify(case="lower")}}],
        "validation": {"links": {"anchors": "warn", "not_found": "warn"}, "nav": {"omitted_files": "ignore"}},
    }


def _write_source(source, reference):
    """The pages as MkDocs reads them, in the folder `source`; the navigation."""
    source.mkdir(parents=True)
    for folder in ("figures", "explore"):
        for file in sorted((pages.FOLDER / folder).iterdir()):
            if file.suffix in (".svg", ".png", ".gif"):
                _copy(file, source / folder / file.name)
            elif file.suffix == ".html":
                text = re.sub(r'href="\.\./([\w-]+)\.md', r'href="../\1.html', file.read_text(encoding="utf-8"))
                _write(source / folder / file.name, text)
    titles = {}
    for page in sorted(pages.FOLDER.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        titles[page.stem] = re.search(r"^# (.*)$", text, re.M)[1].replace("`", "")
        _write(source / _name(page.name), _as_mkdocs(text))
    _write(source / "style.css", _STYLE)
    for title, module in reference.items():
        _write(source / "reference" / f"{module}.md", f"# {title}\n\n" + "\n\n".join(_modules(module)) + "\n")
    numbered = [{titles[path.stem]: path.name} for path in pages.all_pages()]
    others = [{titles[stem]: f"{stem}.md"} for stem in ("glossary", "formulas", "SUPPORTED") if stem in titles]
    nav = [{"Contents": "index.md"}, {"Pages": numbered}, {"Interactive pages": "explore/index.html"}]
    nav += [{"To look up": others}]
    return [*nav, {"Reference": [{title: f"reference/{module}.md"} for title, module in reference.items()]}]


def _copy(file, target):
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(file.read_bytes())


def _write(target, text):
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _name(file):
    return "index.md" if file == "README.md" else file


def _modules(name):
    """The lines by which mkdocstrings renders a module, or the public modules of a package."""
    place = pages.ROOT / "tinyvision" / name
    if not place.is_dir():
        return [f"::: tinyvision.{name}"]
    files = [
        f for f in sorted(place.rglob("*.py")) if not any(part.startswith("_") for part in (f.stem, f.parent.name))
    ]
    dotted = [".".join(f.relative_to(pages.ROOT).with_suffix("").parts) for f in files]
    package = f"::: tinyvision.{name}\n    options:\n      members: false"
    return [package, *(f"::: {module}" for module in dotted)]


def _as_mkdocs(text):
    """A page in MkDocs' Markdown: fences without our options, formulas as MathML, answers that open, links."""
    text = _FENCE.sub(lambda found: found[1] + {"output": "text"}.get(found[2], found[2]), text)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(part if number % 2 else _prose(part) for number, part in enumerate(parts))


def _prose(text):
    text = text.replace("<details>", '<details markdown="1">')
    return _FORMULA.sub(lambda found: mathml(found[1]), _LINK.sub(_led, text))


def mathml(formula):
    """A formula of a page (LaTeX) as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    rows = formula.replace(r"\cr", r"\\").replace("aligned", "align*")
    drawn = _LETTERS.sub(_as_word, _ADDED.sub("<mo>+=</mo>", convert(rows, display="block")))
    spoken = html.escape(" ".join(formula.split()), quote=True)
    return re.sub(r"\s*\n\s*", " ", drawn).replace("<math ", f'<math aria-label="{spoken}" ', 1)


def _as_word(match):
    """Letters that stand for one name, as one <mi>; browsers set such a one upright, so slanted ones get a class."""
    kind = ' class="word"' if "italic" in match[1] else ""
    return f"<mi{kind}>{''.join(re.findall('>(.)<', match[1]))}</mi>"


def _led(match):
    """A link as the site has it; to what is not on the site, into the repository, or text where there is none."""
    label, (file, anchor) = match[1], match[2].partition("#")[::2]
    if re.match(r"[a-z]+://|#", match[2]) or not file:
        return match[0]
    if re.fullmatch(r"[\w-]+\.md", file) and (pages.FOLDER / file).exists():
        return f"[{label}]({_name(file)}{'#' * bool(anchor)}{anchor})"
    if re.match(r"(figures|explore)/", file):
        return match[0]
    address = notebooks.repository()
    if address is None or not (pages.FOLDER / file).exists():
        return label
    place = (pages.FOLDER / file).resolve().relative_to(pages.ROOT).as_posix()
    return f"[{label}]({address}/blob/HEAD/{place}{'#' * bool(anchor)}{anchor})"
