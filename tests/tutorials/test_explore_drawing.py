"""conv.html, drawn on: by a pointer that is held down, and by the keyboard."""

from tests.tutorials.browser import FOLDER, needs_browser, open_page, written

DRAWER = """
<pre id="played"></pre>
<script>
byId("clear").click();
byId("draw").click();
const button = (i, j) => byId("x").children[i].children[j].firstChild;
const point = (kind, i, j) => {
  const box = button(i, j).getBoundingClientRect();
  const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
  button(i, j).dispatchEvent(new PointerEvent(kind, place));
};
const x = () => explore.setting().x;
const seen = [x()];
point("pointerdown", 1, 1); point("pointermove", 1, 2); point("pointermove", 1, 3);
button(1, 3).click(); point("pointerup", 1, 3);
seen.push(x());
point("pointermove", 2, 2);
setTimeout(() => {
  point("pointermove", 3, 3);
  seen.push(x());
  point("pointerdown", 1, 2); point("pointermove", 1, 3); button(1, 3).click(); point("pointerup", 1, 3);
  setTimeout(() => {
    button(1, 1).click(); button(0, 0).click(); button(2, 2).click();
    seen.push(x());
    byId("draw").click();
    button(3, 3).click();
    seen.push(x());
    byId("played").textContent = JSON.stringify({ seen, direction: explore.setting().direction, hash: location.hash });
  }, 50);
}, 50);
</script>
"""


@needs_browser
def test_conv_drawn_on(tmp_path):
    text = (FOLDER / "conv.html").read_text(encoding="utf-8")
    (tmp_path / "conv.html").write_text(text.replace("</body>", DRAWER + "</body>"), encoding="utf-8")
    dom, console = open_page(f"{(tmp_path / 'conv.html').as_uri()}#padding=0", tmp_path, wait=2000)
    assert console == []
    told = written(dom)
    inked = [{(i, j) for i, row in enumerate(x) for j, v in enumerate(row) if v == 9} for x in told["seen"]]
    assert inked == [set(), line := {(1, 1), (1, 2), (1, 3)}, line, keys := {(0, 0), (2, 2)}, keys]
    assert {v for x in told["seen"] for row in x for v in row} == {0, 9}
    assert told["direction"] == "backward"
    assert "x=" in told["hash"]
