"""The interactive pages in explore/: the parts that they share, and the network that network.html carries.

Every page works alone, so each has a copy of the shared style and script; conv.html's is the original. The numbers of
network.html are learned here, rounded to four decimals, and judged as they stand in the page.
"""

import json
import re
from collections import OrderedDict

import numpy as np

from tinyvision import nn, random, train
from tinyvision.data import Digits, transforms
from tinyvision.grad_mode import no_grad
from tinyvision.tensors.tensor import Tensor

from . import pages

FOLDER = pages.FOLDER / "explore"
ORIGINAL, NETWORK = FOLDER / "conv.html", FOLDER / "network.html"
_SHARED = [rf'<{part} id="shared-{part}">.*?</{part}>' for part in ("style", "script")]
_NUMBERS = re.compile(r'(<script id="numbers" type="application/json">\n)(.*?)(\n</script>)', re.S)
_EXAMPLES = 3  # unseen digits of each class that the page shows


def spread_shared_parts():
    """Copy the shared style and script of conv.html into the other pages; the names of those that changed."""
    original, changed = ORIGINAL.read_text(encoding="utf-8"), []
    for page in sorted(FOLDER.glob("*.html")):
        text = new = page.read_text(encoding="utf-8")
        for pattern in _SHARED:
            part = re.search(pattern, original, re.S)[0]
            new = re.sub(pattern, lambda _, part=part: part, new, flags=re.S)
        if new != text:
            page.write_text(new, encoding="utf-8")
            changed.append(page.name)
    return changed


def digit_reader():
    """Two blocks of convolution and ReLU, each followed by a pooling, and one linear layer: (N, 1, 8, 8) -> (N, 10)."""
    block = {"first": (1, 8), "second": (8, 16)}
    layers = OrderedDict()
    for number, (name, (channels, filters)) in enumerate(block.items(), 1):
        convolution = nn.Conv2d(channels, filters, 3, padding=1)
        layers[name] = nn.Sequential(OrderedDict(conv=convolution, relu=nn.ReLU()))
        layers[f"pool{number}"] = nn.MaxPool2d(2)
    return nn.Sequential(OrderedDict(**layers, flatten=nn.Flatten(), scores=nn.Linear(16 * 2 * 2, 10)))


def learned(epochs=60):
    """(the trained reader in float64, its numbers rounded as the page has them; its share of right unseen digits)."""
    to_tensor = transforms.ToTensor()
    bent = transforms.RandomAffine(degrees=12, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=8)
    with random.use(random.stream(0, "init")):
        model = digit_reader()
    data = Digits(train=True, transform=transforms.Compose([bent, to_tensor]))
    train.fit(model, data, epochs=epochs, batch_size=32, lr=0.1, log=None)
    model = with_numbers(numbers_of(model))
    unseen = Digits(train=False)
    with no_grad():
        scores = model(Tensor.of(unseen.images.transpose(0, 3, 1, 2) / 255)).numpy()
    return model, float((scores.argmax(1) == unseen.labels).mean())


def numbers_of(model):
    """The parameters by name, as nested lists of numbers with four decimals."""
    return {name: np.round(p.numpy().astype(np.float64), 4).tolist() for name, p in model.state_dict().items()}


def with_numbers(numbers):
    """The reader in float64, with parameters as `numbers_of` gives them."""
    model = digit_reader().double()
    model.load_state_dict({name: np.array(value) for name, value in numbers.items()})
    return model.eval()


def levels(image):
    """A digit (8, 8, 1) of 0 to 255 as the 64 letters that stand in a link: 0 to 9 and a to g, for 0 to 16."""
    return "".join("0123456789abcdefg"[round(int(value) * 16 / 255)] for value in image.ravel())


def examples():
    """Letters of the first unseen digits of each class: [[digit, letters], ...], in turns."""
    unseen = Digits(train=False)
    places = [np.flatnonzero(unseen.labels == digit)[:_EXAMPLES] for digit in range(10)]
    return [[digit, levels(unseen.images[places[digit][n]])] for n in range(_EXAMPLES) for digit in range(10)]


def carried(path=NETWORK):
    """What a page carries; network.html: {"right": share of unseen digits, "unseen": their count, "examples",
    "weights"}."""
    return json.loads(_NUMBERS.search(path.read_text(encoding="utf-8"))[2])


def train_network():
    """Train the network of network.html and write its numbers into the page; the share of right unseen digits."""
    model, right = learned()
    parts = {"right": right, "unseen": len(Digits(train=False)), "examples": examples(), "weights": numbers_of(model)}
    put_numbers(NETWORK, json.dumps(parts, separators=(",", ":")))
    return right


def put_numbers(path, text):
    """Write the numbers (JSON) that a page carries into it."""
    page = path.read_text(encoding="utf-8")
    path.write_text(_NUMBERS.sub(lambda found: found[1] + text + found[3], page), encoding="utf-8")
