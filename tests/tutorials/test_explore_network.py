"""The trained network in a page: its numbers are the engine's, in every layer and in Grad-CAM; it reads drawings."""

import json

import numpy as np
import pytest

from tests.tutorials.browser import FOLDER, cell, needs_browser, open_page, written
from tinyvision.data import Digits
from tinyvision.explain import grad_cam
from tinyvision.grad_mode import no_grad
from tinyvision.ops import softmax_forward
from tinyvision.tensors.tensor import Tensor
from tutorials import interactive

LAYERS = ("first.conv", "first.relu", "pool1", "second.conv", "second.relu", "pool2")

# A hand's strokes, as the drawing area sees them: corners of a line in its 256 x 256 pixels.
STROKES = {
    0: [[[128, 40], [90, 60], [75, 128], [90, 196], [128, 216], [166, 196], [181, 128], [166, 60], [128, 40]]],
    1: [[[100, 75], [135, 40], [135, 215]]],
    2: [[[80, 80], [100, 50], [140, 45], [165, 75], [150, 120], [80, 205], [175, 205]]],
    4: [[[120, 40], [75, 140], [180, 140]], [[150, 90], [140, 220]]],
    7: [[[75, 50], [180, 50], [115, 215]]],
}


@pytest.fixture(scope="module")
def model():
    return interactive.with_numbers(interactive.carried()["weights"])


def _settings():
    rng = np.random.default_rng(3)
    for _, pixels in interactive.examples()[:4]:
        yield {"pixels": pixels, "target": "answer"}
    for target in (0, 9):
        yield {"pixels": "".join(rng.choice(list("0123456789abcdefg"), 64)), "target": target}
    yield {"pixels": "0" * 64, "target": "answer"}


def _values(model, pixels):
    """What every layer puts out for the letters of a picture, and the picture."""
    x = Tensor.of(np.array([int(letter, 17) for letter in pixels]).reshape(1, 1, 8, 8) / 16)
    seen, parts = {}, dict(model.named_modules())
    hooks = [
        parts[name].register_forward_hook(lambda _, __, y, name=name: seen.update({name: y.numpy()[0]}))
        for name in (*LAYERS, "scores")
    ]
    with no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return x, seen


@needs_browser
@pytest.mark.parametrize("case", range(7))
def test_every_layer_is_the_engine_s(play, model, case):
    state = play("network", json.dumps([["set", s] for s in _settings()]))[case]
    assert state["refused"] is None
    s, n = state["setting"], state["numbers"]
    x, seen = _values(model, s["pixels"])
    np.testing.assert_array_equal(n["values"][0], x.numpy()[0])
    # Sums of at most 72 float64 products; what differs is their order.
    for name, value in zip(LAYERS, n["values"][1:], strict=True):
        np.testing.assert_allclose(value, seen[name], rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(n["scores"], seen["scores"], rtol=0, atol=1e-11)
    probabilities, _ = softmax_forward(seen["scores"][None])
    np.testing.assert_allclose(n["probabilities"], probabilities[0], rtol=0, atol=1e-11)
    target = n["answer"] if s["target"] == "answer" else s["target"]
    assert n["explained"] == target
    np.testing.assert_allclose(n["cam"], grad_cam(model, x, target=target).numpy()[0], rtol=0, atol=1e-12)


def test_what_the_page_says_of_itself_is_so(model):
    carried = interactive.carried()
    unseen = Digits(train=False)
    with no_grad():
        scores = model(Tensor.of(unseen.images.transpose(0, 3, 1, 2) / 255)).numpy()
    assert carried["unseen"] == len(unseen) == 359
    assert carried["right"] == (scores.argmax(1) == unseen.labels).mean() > 0.98
    assert carried["examples"] == [list(pair) for pair in interactive.examples()]
    assert interactive.numbers_of(model) == carried["weights"]
    letters = {interactive.levels(image) for image in unseen.images}
    assert all(pixels in letters for _, pixels in carried["examples"])


def test_the_shared_parts_are_spread(tmp_path, monkeypatch):
    for page in FOLDER.glob("*.html"):
        (tmp_path / page.name).write_text(page.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(interactive, "FOLDER", tmp_path)
    assert interactive.spread_shared_parts() == []
    spoilt = tmp_path / "network.html"
    spoilt.write_text(spoilt.read_text("utf-8").replace("--blue: #005fa3", "--blue: #ff0000"), "utf-8")
    assert interactive.spread_shared_parts() == ["network.html"]
    assert spoilt.read_text("utf-8") == (FOLDER / "network.html").read_text("utf-8")


@needs_browser
def test_network_clicked(play):
    actions = [
        ["click", cell("input", 0, 0)],
        ["click", "#clear"],
        ["click", "#example"],
        ["click", "[data-digit='8']"],
    ]
    actions += [["click", "#layers .card:nth-child(7) button:nth-child(3)"], ["click", cell("map", 1, 1)]]
    actions += [
        ["set", {"pixels": "h" * 64}],
        ["set", {"layer": 7}],
        ["set", {"cell": [2, 0]}],
        ["set", {"target": 10}],
    ]
    inked, cleared, example, eight, layer, last, *refused = play(
        "network", json.dumps(actions), link="#layer=5&channel=15&cell=[3,0]", width=500
    )
    assert inked["setting"]["cell"] == [3, 0]
    assert inked["setting"]["pixels"][0] == "8"
    assert inked["explain"].startswith("second.relu, map 15, row 3, column 0")
    assert cleared["setting"]["pixels"] == "0" * 64
    assert len(example["table"]) == 10
    assert eight["numbers"]["explained"] == 8
    assert (layer["setting"]["layer"], layer["setting"]["channel"], layer["setting"]["cell"]) == (6, 2, [1, 0])
    assert last["setting"]["cell"] == [1, 1]
    assert "adds to the scores" in last["explain"]
    assert [r["refused"].partition(":")[0] for r in refused] == ["RangeError"] * 4
    assert all(r["setting"] == last["setting"] for r in refused)
    assert last["wide"] <= 0


@needs_browser
def test_a_cell_s_sum_is_its_number(play):
    actions = [["set", {"layer": layer, "channel": 5, "cell": [1, 2]}] for layer in (1, 2, 3, 4, 5)]
    for state in play("network", json.dumps(actions)):
        layer, (i, j) = state["setting"]["layer"], state["setting"]["cell"]
        text = state["shown"]["map"][i][j]["text"]
        assert f"= {text}" in state["explain"], LAYERS[layer - 1]


DRAWING = """
<pre id="played"></pre>
<script>
paper.setPointerCapture = () => {}; // no such pointer is down
window.requestAnimationFrame = (draw) => draw(); // without a screen there are no frames to wait for
const found = Object.entries(STROKES).map(([digit, strokes]) => {
  byId("clear").click();
  const box = paper.getBoundingClientRect();
  for (const stroke of strokes) for (const [n, [x, y]] of stroke.entries()) {
    const place = { clientX: box.left + x * box.width / 256, clientY: box.top + y * box.height / 256 };
    paper.dispatchEvent(new PointerEvent(n ? "pointermove" : "pointerdown", { ...place, buttons: 1 }));
  }
  return [digit, explore.numbers().answer];
});
document.getElementById("played").textContent = JSON.stringify(found);
</script>
"""


@needs_browser
def test_it_reads_what_a_hand_draws(tmp_path):
    page = tmp_path / "network.html"
    text = (FOLDER / "network.html").read_text("utf-8")
    page.write_text(text.replace("</body>", DRAWING.replace("STROKES", json.dumps(STROKES)) + "</body>"), "utf-8")
    dom, console = open_page(page.as_uri(), tmp_path)
    assert console == []
    assert written(dom) == [[str(digit), digit] for digit in STROKES]
