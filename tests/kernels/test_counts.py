"""What a training step and an inference ask of a GPU, counted on a pretended one: none of it may grow unnoticed.

A launch costs the host 5 to 80 µs, a copy of a layer's activations as much as a third of its convolution, and one
question that has to wait for the GPU more than both. A number here may always be lowered; to raise one, say why.
"""

import gc

import counting_gpu
import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn, optim
from tinyvision.device import precision_of
from tinyvision.kernels import launch

NETWORKS = {
    "ResNet-18": (lambda: models.resnet18(num_classes=1000), (64, 3, 224, 224)),
    "SimpleCNN": (lambda: models.SimpleCNN(3, 10, 32), (64, 3, 32, 32)),
    "U-Net": (lambda: models.UNet(3, 4), (4, 3, 128, 128)),
    "EfficientNet-Lite0": (lambda: models.efficientnet_lite0(num_classes=1000), (64, 3, 224, 224)),
}
# (network, what, precision): launches, copies on the GPU and their MiB, copies from and to the host, waits for the GPU
MOST = {
    ("ResNet-18", "training", "tf32"): (236, 2, 1, 0, 2, 2),
    # 1×1 kernels at stride 2 leave three pixels of four alone: for these, the other path's gradient is a copy
    ("ResNet-18", "training", "ieee"): (309, 11, 65, 0, 2, 2),
    ("ResNet-18", "inference", "tf32"): (25, 0, 0, 0, 0, 0),
    # most of the bytes are images that are padded
    ("EfficientNet-Lite0", "training", "tf32"): (579, 43, 1004, 0, 2, 2),
    ("EfficientNet-Lite0", "training", "ieee"): (524, 43, 1004, 0, 2, 2),
    ("U-Net", "training", "tf32"): (261, 25, 43, 0, 2, 2),
    ("SimpleCNN", "training", "tf32"): (45, 4, 4, 0, 2, 2),
    ("SimpleCNN", "inference", "tf32"): (11, 1, 1, 0, 0, 0),
}


def numbers(counts):
    """The numbers that MOST bounds."""
    names = ("launches", "copies", "bytes copies", "host to device", "device to host", "synchronisations")
    launches, copies, copied, *rest = (counts[name] for name in names)
    return launches, copies, -(-copied // 2**20), *rest


def prepared(name, what):
    """A function that does what is to be counted once, and reads the loss as `fit` does."""
    build, shape = NETWORKS[name]
    model, criterion = build().to("cuda"), nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    x = tv.tensor(np.zeros(shape, np.float32)).to("cuda")
    labels = (shape[0], *shape[2:]) if name == "U-Net" else shape[:1]  # of pixels
    y = tv.tensor(np.zeros(labels, np.int64)).to("cuda")

    def training():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    def inference():
        with tv.no_grad():
            model(x)

    model.train(what == "training")
    return {"training": training, "inference": inference}[what]


@pytest.mark.parametrize(("name", "what", "precision"), MOST)
def test_no_number_has_grown(name, what, precision, monkeypatch):
    monkeypatch.setattr(precision_of, "cuda", precision)
    with counting_gpu.counting() as counts:
        once = prepared(name, what)
        once()  # optimizers make their buffers
        counts.clear()
        once()
        got, most = numbers(counts), MOST[name, what, precision]
    print(f"{name}, {what}, {precision}: {got}")
    assert all(a <= b for a, b in zip(got, most, strict=True)), f"{got}, at most {most} are allowed"


@pytest.mark.parametrize("name", ["SimpleCNN", "ResNet-18"])
def test_a_step_leaves_no_memory_behind(name, monkeypatch):
    """Nor does it wait for the garbage collector, which asks no GPU how full it is."""
    monkeypatch.setattr(precision_of, "cuda", "tf32")

    def held():
        return sum(a.nbytes for a in gc.get_objects() if type(a) is counting_gpu.Ghost and a.base is None)

    with counting_gpu.counting():
        once = prepared(name, "training")
        once()
        gc.collect()
        gc.disable()
        try:
            before = held()
            once(), once()
            assert held() == before > 0
        finally:
            gc.enable()


def test_what_is_counted():
    """The pretence counts what CuPy would do: otherwise the numbers above would mean nothing."""
    with counting_gpu.counting() as counts:
        x = tv.tensor(np.zeros((4, 6), np.float32)).to("cuda").array
        counts.clear()
        x + 1, x.T @ x, x.sum(axis=0)
        assert counts["launches"] == 3
        x[1:, ::2].T, x.reshape(-1), launch.channels_first(x)  # looks at memory
        assert counts["launches"] == 3
        assert not counts["copies"]
        x.T.reshape(-1), launch.aligned(x.T)
        assert counts["copies"] == 2
        assert counts["bytes copies"] == 2 * 96
        assert not counts["host to device"]
        x[[0, 2]]
        assert counts["host to device"] == counts["synchronisations"] == 1
        float(x[0, 0])
        assert counts["device to host"] == 1
        assert counts["synchronisations"] == 2
        launch.launch("sgd", "sgd_simple", (1, 1, 1), x)
        assert counts["kernel sgd_simple"] == 1
        with pytest.raises(TypeError):
            x + np.ones(6)


def test_a_move_keeps_the_order_in_memory():
    """A convolution's weight lies channels last; CuPy would bring it into C order, to be copied in every step."""
    with counting_gpu.counting():
        weight = nn.Conv2d(3, 8, 3).to("cuda").weight.array
        assert launch.aligned(weight.transpose(0, 2, 3, 1)).flags.c_contiguous
        assert launch.channels_last(weight).base is not None


@pytest.mark.parametrize("what", ["training", "inference"])
def test_the_numbers_do_not_hang_on_the_first_step(what):
    with counting_gpu.counting() as counts:
        once = prepared("SimpleCNN", what)
        once()
        seen = []
        for _ in range(3):
            counts.clear()
            once()
            seen.append(numbers(counts))
    assert seen[0] == seen[1] == seen[2]
