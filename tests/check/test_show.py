"""What a report looks like: text, HTML, JSON."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tinyvision import check
from tinyvision.errors import FileError, OptionError


def report_of(identifier):
    mistake = next(m for m in check.mistakes() if m.id == identifier)
    return check.op(mistake.op, *mistake.functions())


def test_the_block_a_learner_reads():
    text = str(report_of("conv2d.dx.cropped_at_zero"))
    assert text.startswith(" x conv2d   forward ok   shapes ok   dx WRONG   dweight ok   dbias ok\n")
    assert "   first difference  dx[0,0,0,0]   yours +1.1224   should be +0.0000\n" in text
    assert "You cropped the padded gradient at [:H, :W]" in text
    assert "[exact match with a known mistake]" in text
    assert "It is right when padding = 0." in text
    assert "difference" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("identifier", [m.id for m in check.mistakes()][::23])
def test_80_columns(identifier):
    for line in str(report_of(identifier)).split("\n"):
        assert len(line) <= 80, line


def test_colour_only_for_terminals(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    report, terminal, plain = report_of("softmax.dx.sign"), Terminal(), io.StringIO()
    monkeypatch.delenv("NO_COLOR", raising=False)
    report.show(terminal)
    report.show(plain)
    assert "\x1b[1;31m" in terminal.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()) == plain.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    report.show(again := Terminal())
    assert again.getvalue() == plain.getvalue()


@pytest.mark.parametrize(("line", "shown"), [(7, "own.py:7"), (None, "own.py")])
def test_a_place_is_a_line_or_the_file_alone(line, shown, tmp_path):
    finding = check.Finding("y", "It is wrong.", file="own.py", line=line)
    report = check.Report("own", [finding], status={"y": "wrong"})
    report.save(tmp_path / "report.html")
    assert str(finding) == f"y: It is wrong. ({shown})"
    assert str(report).split("\n")[-1].strip() == shown
    assert f"<code>{shown}</code>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_passing_reports_are_short():
    report = check.op("add")
    assert (
        str(report) == " ok add   forward ok   shapes ok   da ok   db ok\n\n   note: " + report.notes[0]
        if report.notes
        else (" ok add   forward ok   shapes ok   da ok   db ok")
    )
    assert bool(report)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "rect", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag


def test_the_page_is_self_contained_and_whole(tmp_path):
    report = report_of("maxpool2d.dx.winner_swapped")
    path = report.save(tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert sum(tag == "svg" for tag, _ in tags.seen) == 4  # the legend, yours, right, difference
    assert "script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "prefers-color-scheme:dark" in page
    assert report._repr_html_() in page


def test_learners_text_is_escaped(tmp_path):
    def backward(dy, cache):
        print("<script>alert(1)</script>")
        raise ValueError("<b>no</b>")

    report = check.op("relu", lambda x: (np.maximum(x, 0), x), backward)
    page = (report.save(tmp_path / "r.html")).read_text()
    assert "<script>" not in page
    assert "<b>no</b>" not in page


def test_saving_into_nowhere_says_so(tmp_path):
    with pytest.raises(FileError):
        check.op("add").save(tmp_path / "missing" / "r.html")


def test_json():
    data = json.loads(json.dumps(report_of("relu.dx.no_mask").as_dict()))
    assert data["passed"] is False
    assert data["findings"][0]["where"]["region"] == "where x < 0"
    assert data["findings"][0]["mistake"] == "relu.dx.no_mask"
    json.dumps(report_of("dropout.dx.fresh_mask").as_dict())


def averaged_twice():
    forward, backward = check.ops.spec("linear").functions()

    def wrong(dy, cache):
        dx, dweight, dbias = backward(dy, cache)
        return dx, dweight * 7, dbias * 7

    return check.op("linear", forward, wrong)


def test_findings_with_one_cause_get_one_headline():
    report = averaged_twice()
    assert len(report.findings) == 2
    assert report.shared.startswith("dweight and dbias have one cause:")
    assert report.shared in " ".join(str(report).split())
    assert "dweight and dbias have one cause" in report._repr_html_()
    assert check.op("relu", None, lambda dy, cache: (dy,)).shared == ""


def test_a_notebook_shows_the_picture_with_a_legend():
    report = averaged_twice()
    drawing = report.picture("dweight")
    page = drawing._repr_html_()
    assert page.count("<svg") == 4  # the legend, yours, right, difference
    assert "NaN or infinity" in page
    assert "dweight" in repr(drawing)
    assert report.picture()._repr_html_() == page
    with pytest.raises(OptionError, match="to be drawn: dweight, dbias"):
        report.picture("dx")
