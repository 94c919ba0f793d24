"""The interactive pages: alone in the world, free of errors in a real browser, and their numbers are tinyvision's."""

import json
import re

import numpy as np
import pytest

from tests.tutorials.browser import (
    CONTENTS,
    FOLDER,
    PAGES,
    assert_shown,
    cell,
    images,
    marked,
    needs_browser,
    number,
    open_page,
    written,
)
from tinyvision import ops

# -- without a browser


def test_there_are_these():
    assert [path.stem for path in PAGES] == [
        "backward",
        "batchnorm",
        "channels",
        "conv",
        "landscape",
        "maxpool",
        "network",
        "optimisers",
        "tape",
    ]


@pytest.mark.parametrize("path", [*PAGES, CONTENTS], ids=lambda p: p.stem)
def test_nothing_from_outside(path):
    text = path.read_text(encoding="utf-8")
    assert (
        re.findall(
            r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(|importScripts|<iframe", text
        )
        == []
    )
    assert re.findall(r"\bsrc\s*=", text) == []
    assert re.findall(r"<link\b[^>]*>", text) == ['<link rel="icon" href="data:,">']
    links = re.findall(r'<a\b[^>]*href="([^"#]*)', text)
    assert links
    assert [link for link in links if not (FOLDER / link).is_file()] == []


@pytest.mark.parametrize("part", ["style", "script"])
def test_the_shared_parts_are_the_same_in_all_pages(part):
    found = {
        re.search(rf'<{part} id="shared-{part}">.*?</{part}>', p.read_text(encoding="utf-8"), re.S).group()
        for p in PAGES
    }
    assert len(found) == 1


def test_the_contents_lead_to_every_page_and_back():
    text = CONTENTS.read_text(encoding="utf-8")
    assert sorted(re.findall(r'<a\b[^>]*href="([^"]*)"', text)) == [p.name for p in PAGES]
    assert [p.name for p in PAGES if 'href="index.html"' not in p.read_text(encoding="utf-8")] == []
    shared = re.search(r'<style id="shared-style">.*?</style>', PAGES[0].read_text(encoding="utf-8"), re.S)[0]
    assert shared in text


# -- with one


@needs_browser
def test_an_error_on_a_page_would_be_noticed(tmp_path):
    path = tmp_path / "broken.html"
    path.write_text("<!DOCTYPE html><title>broken</title><script>nothing.here()</script>")
    assert "nothing is not defined" in open_page(path.as_uri(), tmp_path)[1][0]


def _conv_settings():
    rng = np.random.default_rng(7)
    yield {}
    for size, K, S, P, D in [
        (6, 3, 2, 1, 1),
        (8, 3, 2, 2, 2),
        (5, 2, 1, 0, 3),
        (7, 5, 3, 2, 1),
        (4, 1, 3, 0, 1),
        (8, 4, 1, 1, 2),
    ]:
        O = (size + 2 * P - D * (K - 1) - 1) // S + 1
        yield {
            "size": size, "kernel_size": K, "stride": S, "padding": P, "dilation": D,
            "x": rng.integers(-9, 10, (size, size)).tolist(), "weight": rng.normal(size=(K, K)).round(3).tolist(),
            "dy": rng.normal(size=(O, O)).round(3).tolist(),
        }  # fmt: skip


@needs_browser
@pytest.mark.parametrize("case", range(7))
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_conv_shows_our_numbers(play, case, direction):
    actions = [["set", {**s, "direction": d}] for s in _conv_settings() for d in ("forward", "backward")]
    state = play("conv", json.dumps(actions))[2 * case + (direction == "backward")]
    assert state["refused"] is None
    s, n = state["setting"], state["numbers"]
    options = {name: s[name] for name in ("stride", "padding", "dilation")}
    x, weight, dy = images(s["x"], s["weight"], s["dy"])
    y, kept = ops.conv2d_forward(x, weight, **options)
    columns, kept_columns = ops.im2col_forward(x, s["kernel_size"], **options)
    dx, _ = ops.conv2d_backward(dy, kept)
    dcolumns = dy.reshape(-1, 1) * weight.reshape(1, -1)
    assert n["output_size"] == y.shape[2] == y.shape[3]
    # Sums of at most 25 float64 products of numbers below 30: what differs is rounding.
    for name, value in {"y": y[0, 0], "columns": columns, "dx": dx[0, 0], "dcolumns": dcolumns}.items():
        np.testing.assert_allclose(n[name], value, rtol=0, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(n["dx"], ops.im2col_backward(dcolumns, kept_columns)[0][0, 0], rtol=0, atol=1e-11)

    forward = direction == "forward"
    assert_shown(state["shown"]["x"], s["x"] if forward else dx[0, 0])
    assert_shown(state["shown"]["y"], y[0, 0] if forward else dy[0, 0])
    assert_shown(state["shown"]["weight"], s["weight"])
    inner = [[number(text) for text in (row[1:-1] if forward else row[1:])] for row in state["table"]]
    np.testing.assert_allclose(inner, columns if forward else dcolumns, rtol=0, atol=0.051)  # one decimal at the least


CONV_CLICKS = [
    ["click", cell("y", 1, 2)],
    ["click", cell("x", 2, 3)],
    ["click", cell("x", 0, 0)],
    ["type", cell("weight", 0, 0), "1/4"],
    ["type", cell("weight", 0, 0), "many"],
    ["type", "#pixel-value", "-7"],
    ["slide", "[data-setting=padding]", 1],
    ["click", "#next"],
    ["key", cell("x", 2, 2), "ArrowRight"],
    ["set", {"size": 3, "kernel_size": 5, "padding": 0}],
    ["set", {"stride": 9}],
    ["set", {"x": [[1, 2], [3, 4]]}],
    ["set", {"colour": 1}],
    ["set", {"size": 8, "kernel_size": 5, "padding": 2}],
]


@needs_browser
def test_conv_clicked(play):
    output, pixel, corner, quarter, word, typed, padded, stepped, moved, none, *refused, large = play(
        "conv", json.dumps(CONV_CLICKS), link="#size=5&weight=[[1,2,3],[4,5,6],[7,8,9]]", width=500
    )
    assert output["setting"]["size"] == 5  # from the link
    assert marked(output, "x", "read") == [(i, j) for i in (1, 2, 3) for j in (2, 3, 4)]
    assert marked(pixel, "y", "grad") == [(i, j) for i in (0, 1, 2) for j in (1, 2)]
    assert f"= {pixel['shown']['x'][2][3]['text']}" in pixel["explain"]
    assert marked(corner, "y", "grad") == [(0, 0)]
    assert "hears from 1 output" in corner["explain"]
    assert quarter["setting"]["weight"][0][0] == word["setting"]["weight"][0][0] == 0.25
    assert "“many” is not a number" in word["notice"]
    assert word["shown"]["weight"][0][0]["text"] == "0.25"
    assert typed["setting"]["x"][0][0] == -7
    assert padded["numbers"]["output_size"] == 5
    assert stepped["setting"]["pixel"] == [0, 1]
    assert moved["focus"].startswith("dx[1,\u00a02]")  # one to the right of dx[1, 1], with a border of padding
    assert none["numbers"]["y"] == []
    assert "there is no window" in none["notice"]
    assert all(r["refused"].startswith("RangeError") for r in refused)
    assert all(r["setting"] == none["setting"] for r in refused)
    assert large["wide"] <= 0  # nothing sticks out at the side of a narrow window


def _channels_settings():
    rng = np.random.default_rng(10)
    yield {}
    for N, C, O, size, K, S, P in [(2, 3, 3, 5, 3, 2, 1), (1, 2, 3, 4, 2, 1, 1), (2, 1, 1, 3, 3, 1, 0)]:
        OH = (size + 2 * P - K) // S + 1
        x, weight, dy = (
            rng.normal(size=s).round(2).tolist() for s in [(N, C, size, size), (O, C, K, K), (N, O, OH, OH)]
        )
        yield {
            "batch": N, "channels": C, "filters": O, "size": size, "kernel_size": K, "stride": S, "padding": P,
            "x": x, "weight": weight, "dy": dy, "bias": rng.integers(-3, 4, O).tolist(),
        }  # fmt: skip


@needs_browser
@pytest.mark.parametrize("case", range(4))
def test_channels_show_our_numbers(play, case):
    every = ["y", "x", "weight", "bias"]
    states = play("channels", json.dumps([["set", {**s, "chosen": w}] for s in _channels_settings() for w in every]))
    for chosen, state in zip(every, states[4 * case : 4 * case + 4], strict=True):
        assert state["refused"] is None
        s, n = state["setting"], state["numbers"]
        x, weight, bias, dy = (np.array(s[name], float) for name in ("x", "weight", "bias", "dy"))
        y, kept = ops.conv2d_forward(x, weight, bias, stride=s["stride"], padding=s["padding"])
        dx, dweight, dbias = ops.conv2d_backward(dy, kept)
        for name, value in {"y": y, "dx": dx, "dweight": dweight, "dbias": dbias}.items():
            # Sums of at most 54 products of small numbers: what differs is rounding.
            np.testing.assert_allclose(n[name], value, rtol=0, atol=1e-11, err_msg=name)
        on_page = {"x": dx if chosen == "x" else x, "weight": dweight if chosen == "weight" else weight,
                   "y": y if chosen == "y" else dy}  # fmt: skip
        for name, arrays in on_page.items():
            for a, b in np.ndindex(arrays.shape[:2]):
                assert_shown(state["shown"][f"{name}-{a}-{b}"], arrays[a, b])


@needs_browser
def test_channels_clicked(play):
    actions = [
        ["click", cell("y-1-0", 0, 1)],
        ["type", "#value", "7"],
        ["click", cell("x-1-2", 1, 1)],
        ["click", cell("weight-0-1", 0, 0)],
        ["type", "#value", "-4"],
        ["click", "#next"],
        ["click", "#pick-bias"],
        ["slide", "[data-setting=channels]", 1],
        ["set", {"place": [9]}],
        ["set", {"x": [1]}],
        ["set", {"kernel_size": 3, "size": 3, "chosen": "y"}],
    ]
    output, bias, pixel, weight, typed, stepped, dbias, one, *refused, small = play(
        "channels", json.dumps(actions), link="#padding=1", width=500
    )
    assert output["setting"]["padding"] == 1
    assert marked(output, "x-1-0", "read") == [(i, j) for i in range(3) for j in (1, 2, 3)]  # with a border of padding
    assert marked(output, "x-0-0", "read") == []  # no other picture
    assert marked(output, "weight-1-0", "read") == []  # no other filter
    assert bias["setting"]["bias"][0] == 7
    assert bias["numbers"]["y"][1][0][0][1] == output["numbers"]["y"][1][0][0][1] + 6
    assert marked(pixel, "y-1-0", "grad") == marked(pixel, "y-1-1", "grad") != []  # from every filter
    assert marked(pixel, "y-0-0", "grad") == []
    assert "hears from every picture" in weight["explain"]
    assert marked(weight, "y-0-0", "grad") == marked(weight, "y-1-0", "grad") != []
    assert typed["setting"]["weight"][0][1][0][0] == -4
    assert stepped["setting"]["place"] == [0, 1, 0, 1]
    assert dbias["setting"]["place"] == [0]
    assert one["numbers"]["dx"][0] != []
    assert len(one["setting"]["weight"][0]) == 1
    assert all(r["refused"].startswith("RangeError") for r in refused)
    assert all(r["setting"] == one["setting"] for r in refused)
    assert small["wide"] <= 0


def _backward_settings():
    rng = np.random.default_rng(8)
    yield {}
    for step in (9, 9, 7):
        arrays = {
            name: rng.integers(-4, 5, (n, n)).tolist() for name, n in [("x", 6), ("weight", 3), ("bias", 1), ("g", 2)]
        }
        yield {**arrays, "step": step}
    yield {"weight": [[-1.5] * 3] * 3, "x": [[1] * 6] * 6, "bias": [[13.5]], "step": 9}  # all of a is exactly 0


@needs_browser
@pytest.mark.parametrize("case", range(5))
def test_backward_shows_our_numbers(play, case):
    state = play("backward", json.dumps([["set", s] for s in _backward_settings()]))[case]
    assert state["refused"] is None
    s, n = state["setting"], state["numbers"]
    x, weight, g = images(s["x"], s["weight"], s["g"])
    a, of_conv = ops.conv2d_forward(x, weight, np.array(s["bias"][0], dtype=float))
    r, of_relu = ops.relu_forward(a)
    p, of_pool = ops.max_pool2d_forward(r, 2)
    (dr,) = ops.max_pool2d_backward(g, of_pool)
    (da,) = ops.relu_backward(dr, of_relu)
    dx, dweight, dbias = ops.conv2d_backward(da, of_conv)
    ours = {
        "a": a,
        "r": r,
        "p": p,
        "L": (g * p).sum(),
        "dp": g,
        "dr": dr,
        "da": da,
        "dx": dx,
        "dweight": dweight,
        "dbias": dbias,
    }
    for position, (name, value) in enumerate(ours.items()):
        value = value.reshape(np.shape(n[name]))
        # Whole numbers and halves: float64 holds every sum exactly.
        np.testing.assert_array_equal(n[name], value, err_msg=name)
        if position <= s["step"]:
            assert_shown(state["shown"][name], value)
        else:
            assert {cell["text"] for row in state["shown"][name] for cell in row} == {"·"}


@needs_browser
def test_backward_clicked(play):
    actions = [["click", "#next"], ["click", cell("dx", 2, 2)], ["type", cell("x", 0, 0), "9"], ["click", "#ones"]]
    actions += [["click", cell("dr", 0, 0)], ["set", {"step": 10}]]
    second, image, typed, ones, pooled, refused = play("backward", json.dumps(actions), link="#step=0", width=500)
    assert second["setting"]["step"] == 1
    assert marked(image, "da", "grad") == [(i, j) for i in (0, 1, 2) for j in (0, 1, 2)]
    assert f"= {image['shown']['dx'][2][2]['text']}" in image["explain"]
    assert typed["setting"]["x"][0][0] == 9
    assert typed["numbers"]["a"][0][0] == image["numbers"]["a"][0][0] + 9 * image["setting"]["weight"][0][0]
    assert ones["numbers"]["L"] == [[np.sum(ones["numbers"]["p"])]]
    assert marked(pooled, "r", "read") == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert refused["refused"].startswith("RangeError: step must be")
    assert second["wide"] <= 0


def _maxpool_settings():
    rng = np.random.default_rng(9)
    yield {}
    for size, K, S, P in [(7, 3, 2, 1), (5, 2, 1, 0), (6, 3, 1, 1), (7, 4, 3, 2), (4, 1, 1, 0)]:
        O = (size + 2 * P - K) // S + 1
        x, dy = rng.integers(-3, 1, (size, size)).tolist(), rng.integers(-9, 10, (O, O)).tolist()
        yield {
            "size": size,
            "kernel_size": K,
            "stride": S,
            "padding": P,
            "x": x,
            "dy": dy,
            "chosen": "y",
            "cell": [0, 0],
        }


def _shared_out(x, dy, kernel_size, stride, padding, ties):
    """The gradient where equals share dy ("split"), or each get it all ("all")."""
    padded = np.pad(x, padding, constant_values=-np.inf)
    dx = np.zeros_like(padded)
    for i, j in np.ndindex(dy.shape):
        window = np.s_[i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size]
        equal = padded[window] == padded[window].max()
        dx[window] += dy[i, j] * equal / (equal.sum() if ties == "split" else 1)
    return dx[padding : padding + len(x), padding : padding + len(x)]


@needs_browser
@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("ties", ["first", "split", "all"])
def test_maxpool_shows_our_numbers(play, case, ties):
    every = ["first", "split", "all"]
    states = play("maxpool", json.dumps([["set", {**s, "ties": t}] for s in _maxpool_settings() for t in every]))
    state = states[3 * case + every.index(ties)]
    assert state["refused"] is None
    s, n = state["setting"], state["numbers"]
    x, dy = images(s["x"], s["dy"])
    y, kept = ops.max_pool2d_forward(x, s["kernel_size"], s["stride"], s["padding"])
    if ties == "first":
        (dx,) = ops.max_pool2d_backward(dy, kept)
    else:
        dx = _shared_out(x[0, 0], dy[0, 0], s["kernel_size"], s["stride"], s["padding"], ties)[None, None]
    np.testing.assert_array_equal(n["y"], y[0, 0])
    # Thirds and the like, of at most 16 windows: rounding alone.
    np.testing.assert_allclose(n["dx"], dx[0, 0], rtol=0, atol=1e-12)
    for name, value in {"x": x, "y": y, "dy": dy, "dx": dx}.items():
        assert_shown(state["shown"][name], value[0, 0])


@needs_browser
def test_maxpool_clicked(play):
    actions = [
        ["click", cell("y", 0, 0)],
        ["slide", "[data-setting=ties]", "split"],
        ["slide", "[data-setting=stride]", 1],
    ]
    actions += [["click", cell("dx", 1, 0)], ["slide", "[data-setting=padding]", 2], ["type", cell("dy", 0, 0), "-8"]]
    actions += [["slide", "[data-setting=kernel_size]", 4], ["slide", "[data-setting=padding]", 2]]
    tie, split, overlap, pixel, refused, typed, _, padded = play(
        "maxpool", json.dumps(actions), link="#stride=2", width=500
    )
    assert marked(tie, "x", "won") == [(0, 1)]  # [[3, 9], [9, 1]]: the first nine
    assert marked(split, "x", "won") == [(0, 1), (1, 0)]
    assert "2 pixels are equally large" in split["explain"]
    assert overlap["numbers"]["output_size"] == 3
    assert "hears from 2 windows" in pixel["explain"]
    assert f"= {pixel['shown']['dx'][1][0]['text']}" in pixel["explain"]
    assert "at most half of the kernel size" in refused["notice"]
    assert refused["setting"] == pixel["setting"]
    assert typed["setting"]["dy"][0][0] == -8
    assert padded["wide"] <= 0
    assert padded["shown"]["x"][0][0] == {"text": "−∞", "mark": padded["shown"]["x"][0][0]["mark"], "fixed": True}


@needs_browser
def test_a_link_keeps_what_was_changed(play):
    actions = [["click", cell("y", 1, 2)], ["type", cell("weight", 0, 0), "5"], ["set", {"direction": "backward"}]]
    *_, last = play("conv", json.dumps(actions), link="#stride=2")
    assert last["hash"].startswith("#stride=2&")
    again = play("conv", json.dumps([["click", "#backward"]]), link=last["hash"])[0]
    assert {**again["setting"], "window": last["setting"]["window"]} == last["setting"]
    digits = "7" * 64  # looks like a number, which could not hold it
    last = play("network", json.dumps([["set", {"pixels": digits}]]))[0]
    assert play("network", json.dumps([["set", {}]]), link=last["hash"])[0]["setting"]["pixels"] == digits
    last = play("backward", json.dumps([["set", {"step": 4}], ["click", cell("x", 1, 1)]]))[-1]
    assert play("backward", json.dumps([["set", {}]]), link=last["hash"])[0]["setting"] == last["setting"]
    first = play("maxpool", json.dumps([["slide", "[data-setting=stride]", 1], ["slide", "[data-setting=stride]", 2]]))
    assert "stride=1" in first[0]["hash"]
    assert first[1]["hash"] == ""


@needs_browser
@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("conv", "#window=[0]"),
        ("maxpool", "#cell=[0]"),
        ("network", "#cell=null"),
        ("backward", "#step=99"),
        ("batchnorm", "#x=[[1e308,1,1,1,1,1]]"),
        ("conv", "#__proto__=1"),
        ("landscape", "#place=[1.6,0]"),
    ],
)
def test_a_link_that_makes_no_sense_is_refused_and_the_page_is_there(play, name, link):
    (state,) = play(name, json.dumps([["click", "h1"]]), link=link)
    assert "must be" in state["notice"]
    assert state["hash"] == ""
    grids = [grid for grid in state["shown"].values() if grid]
    assert grids
    assert "NaN" not in str(grids)


# Goes through every setting of the sliders (`EVERY`: name -> values; not all of them go together), and writes down
# where two cards share a place on the screen, or the page is wider than the window; and which controls have no name.
WALKER = """
<script>
{
const names = Object.keys(EVERY), faults = [];
let tried = 0;
const walk = (k, setting) => {
  if (k < names.length) return EVERY[names[k]].forEach((value) => walk(k + 1, { ...setting, [names[k]]: value }));
  try { explore.set(setting); } catch (error) { if (error instanceof RangeError) return; throw error; }
  tried += 1;
  const boxes = [...document.querySelectorAll(".card:not(.follow)")].map((card) => card.getBoundingClientRect());
  const inside = [...document.querySelectorAll(".card > :not(.scroll):not(script)")].filter((part) => {
    const [a, b] = [part.getBoundingClientRect(), part.parentElement.getBoundingClientRect()];
    return a.right > b.right + 1 && getComputedStyle(part.parentElement).overflowX === "visible";
  });
  const over = boxes.some((a, i) => boxes.some((b, j) => i < j && a.width && b.width
    && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (over || wide > 0 || inside.length) faults.push({ setting, over, wide, sticking_out: inside.length });
};
walk(0, {});
const label = (part) => part.getAttribute("aria-label") || byId(part.getAttribute("aria-labelledby"))?.textContent
  || [...(part.labels || [])].map((one) => one.textContent).join("")
  || (part.tagName === "BUTTON" ? part.textContent : "");
const nameless = [..."button, input, select, textarea, [role=application], [role=region], [role=grid]".split(", ")]
  .flatMap((what) => [...document.querySelectorAll(what)]).filter((part) => !label(part).trim());
const said = nameless.map((part) => part.outerHTML.slice(0, 80));
parent.postMessage(JSON.stringify({ tried, said, width: innerWidth, faults: faults.slice(0, 5) }), "*");
}
</script>
"""
# No window of a browser without a screen is narrower than 500 pixels; a frame in it can be as narrow as a phone.
FRAMES = """<!DOCTYPE html><pre id="played"></pre>
<script>
const told = [];
onmessage = (message) => {
  told.push(JSON.parse(message.data));
  document.getElementById("played").textContent = JSON.stringify(told);
};
</script>
"""
FRAME = '<iframe src="page.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>'
WIDTHS = [360, 768, 1200, 1920]

SLIDERS = {
    "conv": {
        "size": [3, 5, 8], "kernel_size": [1, 3, 4, 5], "stride": [1, 3], "padding": [0, 2], "dilation": [1, 2],
        "direction": ["forward", "backward"],
    },
    "channels": {
        "batch": [2], "channels": [1, 3], "filters": [3], "size": [3, 5], "kernel_size": [1, 3], "padding": [1],
        "chosen": ["y", "weight"],
    },
    "backward": {},
    "maxpool": {"size": [4, 7], "kernel_size": [1, 2, 4], "stride": [1, 4], "padding": [0, 2]},
    "tape": {"example": ["twice", "neuron", "residual", "entropy"], "step": [0, 3, 9]},
    "batchnorm": {"mode": ["train", "frozen"], "x": [[[1, 2, 3, 4, 5, 6]], [[-99.25] * 5 + [-123]]]},
    "landscape": {"plane": ["between", "around"], "place": [[0, 1], [-0.5, -0.5]]},
    "optimisers": {"surface": ["bowl", "ravine", "bend", "hollows"], "lr": [0.01, 2], "step": [0, 100]},
    "network": {"layer": [0, 1, 3, 4, 6], "cell": [[0, 0], [1, 1]], "target": ["answer", 7]},
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("name", SLIDERS)
def test_no_card_covers_another(name, tmp_path):
    text = (FOLDER / f"{name}.html").read_text(encoding="utf-8")
    every = json.dumps(SLIDERS[name])
    page = text.replace("</body>", WALKER.replace("EVERY", every) + "</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    frames = tmp_path / "frames.html"
    frames.write_text(FRAMES + "".join(FRAME.replace("WIDTH", str(width)) for width in WIDTHS), encoding="utf-8")
    dom, console = open_page(frames.as_uri(), tmp_path, 2000, wait=20_000)
    assert console == []
    told = sorted(written(dom), key=lambda one: one["width"])
    assert [one["width"] for one in told] == WIDTHS
    assert [one["faults"] for one in told] == [[]] * len(WIDTHS)
    assert told[0]["said"] == []  # every control has a name for a screen reader
    least = np.prod([len(values) for values in SLIDERS[name].values()]) / 2
    assert min(one["tried"] for one in told) >= least
