"""One page about one picture: what every layer of a network makes of it, with the network's own numbers.

The page needs nothing else, works from a file and by keyboard, and holds at most LARGEST bytes. What can be followed
with the eye is kept: for each layer the channels that answer most, where in the picture the strongest answer comes
from, and for the first convolution every number of every window.
"""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from .. import explain, nn
from ..device import to_numpy
from ..errors import FileError, OptionError
from ..ops import softmax_forward
from ..tensors.tensor import Tensor
from .recipes import Network
from .report import escape, picture_tag, write_page
from .trust_report import laid_over, seen

LARGEST = 5_000_000  # bytes of a page
_ANSWERS, _SIDE = 10, 56  # rows of a vector, pixels of a map
_WINDOWS = 700_000  # bytes of the first convolution's results
_LAYERS = 400  # that are shown; the numbers of the others are left out, and the page says so


@dataclass
class Answer:
    """What one layer made of the picture: `array` is (C, H, W) or (K,), `tensor` the same on the tape."""

    name: str
    module: nn.Module
    array: np.ndarray
    tensor: Any
    given: np.ndarray | None  # its input, for a convolution


def write_explanation(
    network: Network, image: np.ndarray, name: str, path: str | os.PathLike[str], target: int | None = None
) -> int:
    """Write the page about a picture, uint8 (H, W, 3), called `name`; returns its length in bytes.

    target  the class whose map is drawn; by default the one that the network names

    Raises OptionError for another target than a class, FileError if the page cannot be written."""
    x = to_numpy(network.preprocessing.transform()(image)).astype(np.float32)
    place = next(iter(network.model.parameters())).device
    batch = Tensor.of(x[None].copy(), requires_grad=True).to(place)
    answers, scores = _listened(network.model, batch)
    if target is not None and not 0 <= target < len(scores):
        raise OptionError(f"target is a class from 0 to {len(scores) - 1}, got {target}")
    said = int(scores.argmax()) if target is None else target
    pixels = seen(network.preprocessing, x)
    shown = answers[:_LAYERS]
    channels = 16 if len(shown) <= 40 else 8 if len(shown) <= 160 else 4
    sections = [
        _head(network, name, x, pixels),
        _scores(network, scores, said),
        _maps(network, batch, said, pixels),
        _window(answers),
        "<h2>Layer by layer</h2>\n<p>For each layer the channels with the largest numbers: orange above 0, blue below, "
        "the deepest colour is the layer's largest. The frame is the part of the picture that the strongest number "
        "depends on.</p>",
        *(_layer(answer, channels, batch, pixels) for answer in shown),
    ]
    if len(answers) > len(shown):
        sections.append(f"<p>{len(answers) - len(shown)} more layers are left out.</p>")
    length = sum(len(section.encode("utf-8", "replace")) for section in sections)
    if length > LARGEST - 20_000:
        raise FileError(f"the page about {name} would have {length:,} bytes, more than {LARGEST:,}")
    write_page(path, f"{name}: {network.class_name(said)}", sections)
    return os.path.getsize(path)


def _listened(model, batch):
    """(what each layer answered, in order; the scores): one forward pass with a hook on every layer."""
    answers: list[Answer] = []

    def hear(name):
        def hook(module, inputs, output):
            if hasattr(output, "array") and output.ndim in (2, 4):
                # A copy: a layer after it may work in place.
                given = to_numpy(inputs[0].array)[0].copy() if isinstance(module, nn.Conv2d) else None
                answers.append(Answer(name, module, to_numpy(output.array)[0].copy(), output, given))

        return hook

    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]
    hooks = [module.register_forward_hook(hear(name)) for name, module in leaves]
    try:
        output = model(batch.clone())  # a layer that works in place must not reach the picture itself
    finally:
        for hook in hooks:
            hook.remove()
    return answers, to_numpy(output.array)[0].astype(np.float64)


def _head(network, name, x, pixels):
    size = " × ".join(map(str, x.shape))
    return (
        f"<h1>{escape(name)}</h1>\n<p>{escape(network.origin)}; its input is {size}.</p>\n"
        f"<p>{picture_tag(pixels, 320)}</p>"
    )


def _scores(network, scores, said):
    chances = softmax_forward(scores[None], axis=1)[0][0]
    rows = []
    for k in (-chances).argsort(kind="stable")[:_ANSWERS]:
        bar = f'<span class="track"><span class="bar" style="width:{chances[k]:.1%}"></span></span>'
        name = escape(network.class_name(int(k)))
        name = f"<b>{name}</b>" if k == said else name
        cells = f'<td class="name">{name}</td><td>{bar}</td><td>{chances[k]:.1%}</td><td>{scores[k]:.3f}</td>'
        rows.append(f"<tr>{cells}</tr>")
    head = '<tr><th class="name">class</th><th></th><th>share</th><th>score</th></tr>'
    return f'<h2>What it says</h2>\n<div class="scroll"><table class="bars">{head}{"".join(rows)}</table></div>'


def _maps(network, batch, said, pixels):
    """Where the answer comes from, and what the same method draws for a network that knows nothing."""
    try:
        found = explain.grad_cam(network.model, batch.detach(), target=said)
        control = explain.control(explain.grad_cam, network.model, batch.detach(), target=said)
    except OptionError as reason:  # no convolution whose places are places of the picture
        return f"<h2>Where from</h2>\n<p>{escape(reason)}</p>"
    alike = float(explain.agreement(found, control)[0])
    told = "" if np.isnan(alike) else f" The two agree by {alike:.2f} (1: the same places, 0: nothing in common)."
    tags = "".join(picture_tag(laid_over(pixels, to_numpy(m.array)[0]), 240) for m in (found, control))
    return (
        f"<h2>Where from</h2>\n<p>Grad-CAM for {escape(network.class_name(said))}, and beside it the control: the same "
        f"map of a network whose weights were shuffled.{told} A map says where, and never why.</p>\n"
        f'<div class="maps">{tags}</div>'
    )


# ------------------------------------------------------------------------------------------------- a layer


def _layer(answer, channels, batch, pixels):
    array, module = answer.array, answer.module
    kind = getattr(module, "kind", type(module).__name__.lstrip("_"))  # what a graph's file calls a node
    shape = " × ".join(map(str, array.shape))
    count = sum(p.numel() for p in module.parameters())
    about = f"{shape}; {count:,} parameters" if count else shape
    head = (
        f"<h3>{escape(answer.name)} <small>{escape(kind)}</small></h3>\n<p>{about}; from "
        f"{array.min():.4g} to {array.max():.4g}, mean {array.mean():.4g}, {np.mean(array == 0):.0%} are 0.</p>"
    )
    if array.ndim == 1:
        order = (-np.abs(array)).argsort(kind="stable")[:_ANSWERS]
        row = ", ".join(f"{k}: {array[k]:.4g}" for k in order)
        return f"{head}\n<p>The largest: {row}.</p>"
    strongest = (-array.reshape(len(array), -1).max(axis=1)).argsort(kind="stable")[:channels]
    picture = _sprite(array, strongest)
    names = ", ".join(map(str, strongest))
    framed = _source(answer, batch, pixels, int(strongest[0])) if explain.is_convolution(module) else ""
    return f'{head}\n<div class="scroll">{picture}</div>\n<p><small>channels {names}</small></p>\n{framed}'


def _sprite(array, channels):
    """The maps of some channels in one picture: orange above 0, blue below."""
    from PIL import Image

    largest = max(float(np.abs(array).max()), 1e-30)
    columns = min(8, len(channels))
    rows = -(-len(channels) // columns)
    sheet = np.full((rows * (_SIDE + 4), columns * (_SIDE + 4), 3), 255, np.uint8)
    for k, channel in enumerate(channels):
        strength = np.clip(array[channel] / largest, -1, 1)[..., None]
        colour = np.where(strength > 0, (230, 110, 20), (40, 110, 220))
        tile = Image.fromarray(np.rint(255 - (255 - colour) * np.abs(strength)).astype(np.uint8))
        top, left = k // columns * (_SIDE + 4), k % columns * (_SIDE + 4)
        sheet[top : top + _SIDE, left : left + _SIDE] = tile.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    Image.fromarray(sheet).quantize(32).save(stream, "PNG", optimize=True)
    text = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="maps of {len(channels)} channels" src="data:image/png;base64,{text}">'


def _source(answer, batch, pixels, channel):
    """The part of the picture on which a channel's strongest number depends: where its gradient is not 0."""
    place = np.unravel_index(int(answer.array[channel].argmax()), answer.array[channel].shape)
    batch.grad = None
    answer.tensor[0, channel, int(place[0]), int(place[1])].backward(retain_graph=True)
    if batch.grad is None:
        return ""
    there = np.abs(to_numpy(batch.grad.array)[0]).max(axis=0) > 0
    batch.grad = None
    if not there.any():
        return "<p>Its strongest number does not depend on the picture.</p>"
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    times = max(1, 120 // max(pixels.shape))  # a frame around a tiny picture's pixels, not over them
    marked = pixels.repeat(times, axis=0).repeat(times, axis=1)
    inside = np.s_[top * times : bottom * times, left * times : right * times]
    part = np.ascontiguousarray(marked[inside])
    frame = marked[inside]
    frame[[0, -1]] = (255, 96, 0)
    frame[:, [0, -1]] = (255, 96, 0)
    return (
        f"<p>{picture_tag(marked, 120)} {picture_tag(part, 120)}<br><small>channel {channel} is "
        f"{answer.array[channel][place]:.4g} at row {place[0]}, column {place[1]}; it depends on rows {top} to "
        f"{bottom - 1}, columns {left} to {right - 1}</small></p>"
    )


# ---------------------------------------------------------------------------------------------- one window


def window_data(answers: list[Answer]) -> dict[str, Any] | None:
    """The first convolution in numbers, for the page: its input, weights, bias and results, float32 in base64."""
    first = next((a for a in answers if isinstance(a.module, nn.Conv2d)), None)
    if first is None or first.given is None:
        return None
    module: Any = first.module
    if module.groups != 1 or module.padding_mode != "zeros":
        return None
    weight = to_numpy(module.weight.array)
    kernel, (O, OH, OW) = weight.shape[2:], first.array.shape
    padding = module.padding
    if isinstance(padding, str) or first.given.nbytes > _WINDOWS:
        return None
    kept = min(O, max(1, _WINDOWS // (OH * OW * 4)))
    channels = np.sort((-first.array.reshape(O, -1).max(axis=1)).argsort(kind="stable")[:kept])
    bias = np.zeros(O, np.float32) if module.bias is None else to_numpy(module.bias.array)
    return {
        "layer": first.name,
        "channels": channels.tolist(),
        "input": [list(first.given.shape), _packed(first.given)],
        "weight": [[kept, weight.shape[1], *kernel], _packed(weight[channels])],
        "bias": [[kept], _packed(bias[channels])],
        "output": [[kept, OH, OW], _packed(first.array[channels])],
        "stride": list(_pair(module.stride)),
        "padding": list(_pair(padding)),
        "dilation": list(_pair(module.dilation)),
    }


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _packed(array):
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def _window(answers):
    """Two pictures, three sliders and a table: one number of the first convolution as the sum that it is."""
    data = window_data(answers)
    if data is None:
        return ""
    script = resources.files("tinyvision.train").joinpath("explain_page.js").read_text("utf-8")
    (_, OH, OW), (C, _, _) = data["output"][0], data["input"][0]
    channels = "".join(f'<option value="{k}">{c}</option>' for k, c in enumerate(data["channels"]))
    inputs = "".join(f'<option value="{c}">{c}</option>' for c in range(C))
    numbers = json.dumps(data).replace("<", "\\u003c")  # a layer's name must not end the script
    return (
        f"<h2>One number of {escape(data['layer'])}</h2>\n<p>A number of the result is the sum of a window's numbers, "
        f"each times its weight, and the bias. Move the sliders (or press the arrow keys on them) to follow any of the "
        f"{len(data['channels']) * OH * OW:,} that are kept here; the engine's own result stands beside the sum.</p>\n"
        f'<div id="window"><label>filter <select id="filter">{channels}</select></label> '
        f'<label>input channel <select id="plane">{inputs}</select></label><br>\n'
        f'<label>row <input id="row" type="range" min="0" max="{OH - 1}" value="{OH // 2}"></label> '
        f'<label>column <input id="column" type="range" min="0" max="{OW - 1}" value="{OW // 2}"></label>\n'
        f'<p><canvas id="before" role="img" aria-label="the input, with the window"></canvas> '
        f'<canvas id="after" role="img" aria-label="the result of this filter"></canvas></p>\n'
        f'<p id="sum" aria-live="polite"></p>\n'
        f'<div class="scroll"><table class="bars" id="products"></table></div></div>\n'
        f'<script type="application/json" id="numbers">{numbers}</script>\n<script>\n{script}</script>'
    )
