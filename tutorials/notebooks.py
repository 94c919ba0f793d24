"""Pages as Jupyter notebooks that run from anywhere: text and code in cells, outputs left for the reader to make."""

import json
import re

from . import pages

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_COLAB = re.compile(r"^\[▶ [^\n]*\]\(https://colab\.[^\n]*\n\n?", re.M)
_FIGURE = re.compile(r"^!\[[^\n]*\]\(figures/[^\n]*\n", re.M)  # the cells draw the figures themselves


def repository():
    """The address of the public repository, from pyproject.toml's [project.urls]; None if it gives none."""
    text = (pages.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = re.search(r"^\[project\.urls\]\n((?:(?!\[).*\n)*)", text, flags=re.M)
    found = table and re.search(
        r"^(?:Repository|Source|Homepage) *= *\"(https://[^\"]+)\"", table[1], flags=re.M | re.I
    )
    return found[1].rstrip("/") if found else None


def colab(path):
    """The line that opens the page at `path` in Google Colab, in Markdown; None where no repository on GitHub is given.

    The notebooks lie on the repository's branch `notebooks`, which the site's workflow writes."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", repository() or "")
    if found is None:
        return None
    name = found[1].removesuffix(".git")
    return (
        f"[▶ Run this page in Colab](https://colab.research.google.com/github/{name}/blob/notebooks/{path.stem}.ipynb)"
    )


def spread_colab_lines():
    """Give every page its line below the title, or take it away where there is no address; the pages that changed."""
    changed = []
    for path in pages.all_pages():
        text = path.read_text(encoding="utf-8")
        title, _, rest = _COLAB.sub("", text).partition("\n")
        line = colab(path)
        new = f"{title}\n{rest}" if line is None else f"{title}\n\n{line}\n{rest}"
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def notebook(path):
    """The page at `path` as a notebook: the JSON of an .ipynb file as a dict."""
    address = repository()
    cells = [_cell("code", _installation(address))]
    cells += [_cell(kind, text if kind == "code" else _links(text, address)) for kind, text in _pieces(path)]
    for number, cell in enumerate(cells):
        cell["id"] = f"{path.stem[:2]}-{number}"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def write(path, folder):
    """Write the notebook of the page at `path` into `folder`; its path. Raises PageError if it is there already."""
    target = folder / f"{path.stem}.ipynb"
    if target.exists():
        raise pages.PageError(f"{target} exists already, perhaps with your notes in it; rename or remove it first")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def _pieces(path):
    """A page cut at its blocks: ("markdown", text) and ("code", text) in order, without outputs and figures."""
    text = _COLAB.sub("", path.read_text(encoding="utf-8"))  # a notebook does not lead to itself
    found, prose, place = [], "", 0
    for block in pages.blocks(text):
        first = text.rindex("```", 0, block.span[0])
        last = block.span[1] + len("```\n")
        prose += text[place:first]
        runs = block.language == "python" and "source" not in block.options
        if runs:
            found += [("markdown", prose), ("code", _caught(block.text) if "raises" in block.options else block.text)]
            prose = ""
        elif block.language != "output":
            prose += re.sub(r" source=\S+", "", text[first:last])
        place = last
    found.append(("markdown", prose + text[place:]))
    cut = [
        (kind, _FIGURE.sub("", part).strip("\n") if kind == "markdown" else part.strip("\n")) for kind, part in found
    ]
    return [(kind, part) for kind, part in cut if part]


def _caught(code):
    """Code that is meant to raise, so that the cells after it still run."""
    body = "".join(f"    {line}\n" if line.strip() else "\n" for line in code.splitlines())
    return f'try:\n{body}except Exception as error:\n    print(f"{{type(error).__name__}}: {{error}}")\n'


def _installation(address):
    """The first cell: does nothing where tinyvision is installed, else installs it, or says how."""
    if address is None:
        remedy = (
            '    raise ImportError("tinyvision is not installed in this notebook\'s environment: "\n'
            '                      "run `pip install PATH` there, with the path of your copy of it") from None'
        )
    else:
        remedy = (
            "    import subprocess, sys\n"
            f'    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+{address}"], check=True)'
        )
    return f"try:\n    import tinyvision\nexcept ImportError:\n{remedy}"


def _links(text, address):
    """Links to pages lead to their notebooks, links to files into the repository; where there is none, text remains."""

    def lead(match):
        label, (file, anchor) = match[1], match[2].partition("#")[::2]
        if match[2].startswith(("https://", "#")):
            return match[0]
        if re.fullmatch(r"\d\d-[\w-]+\.md", file):
            return f"[{label}]({file.removesuffix('.md')}.ipynb)"
        if address is None:
            return label
        place = (pages.FOLDER / file).resolve().relative_to(pages.ROOT).as_posix()
        return f"[{label}]({address}/blob/HEAD/{place}{'#' * bool(anchor)}{anchor})"

    parts = re.split(r"(^```.*?^```$|^\$\$$.*?^\$\$$)", text, flags=re.M | re.S)
    return "".join(part if number % 2 else _LINK.sub(lead, part) for number, part in enumerate(parts))


def _cell(kind, text):
    cell = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
