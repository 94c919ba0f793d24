"""The captured training step, with a capture that only remembers the work and does it again when replayed."""

import numpy as np
import pytest

from tinyvision import cuda, models, nn, no_grad, optim
from tinyvision.device import Device
from tinyvision.errors import DeviceError, OptionError
from tinyvision.kernels import graph, launch
from tinyvision.tensors.tensor import Tensor


@pytest.fixture
def captures(monkeypatch):
    """How often a step was captured."""
    count = []

    def capture(work, where):
        count.append(where)
        loss = Tensor.of(np.zeros((), np.float32))

        def replay():
            loss.array[...] = work().array

        return loss, replay

    monkeypatch.setattr(graph, "capture", capture)
    monkeypatch.setattr(graph, "device_of", lambda array: Device("cuda"))
    monkeypatch.setattr(graph, "to_device", lambda array, where: array)
    return count


def make(optimizer=optim.SGD, **options):
    import tinyvision

    tinyvision.manual_seed(1)
    model, criterion = models.SimpleCNN(1, 4, 4), nn.CrossEntropyLoss()
    optimizer = optimizer(model.parameters(), lr=0.1, **(options or {"momentum": 0.9}))

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, optimizer


def batches(count, size=3):
    rng = np.random.default_rng(2)
    for _ in range(count):
        yield Tensor.of(rng.standard_normal((size, 1, 4, 4)).astype(np.float32)), Tensor.of(rng.integers(0, 4, size))


def test_the_losses_are_those_of_the_plain_step(captures):
    plain, _ = make()
    expected = [float(plain(x, y)) for x, y in batches(6)]
    graphed = graph.GraphedStep(*make())
    losses = [graphed(x, y) for x, y in batches(6)]
    assert [float(loss) for loss in losses] == expected  # kept apart, although every replay writes one place
    assert len(captures) == 1


def test_the_eager_steps_load_what_the_capture_needs(captures):
    step, optimizer = make()
    seen = []
    graphed = graph.GraphedStep(lambda x, y: seen.append(launch.without_cublas()) or step(x, y), optimizer)
    for x, y in batches(3):
        graphed(x, y)
    assert seen == [True, True, False]  # the last is a real capture, where CuPy itself says so
    assert not launch.without_cublas()


def test_a_changed_learning_rate_captures_anew(captures):
    step, optimizer = make()
    graphed = graph.GraphedStep(step, optimizer)
    for i, (x, y) in enumerate(batches(6)):
        if i == 4:
            optimizer.param_groups[0]["lr"] = 0.01
        graphed(x, y)
    assert len(captures) == 2


def test_a_batch_of_another_shape_is_refused(captures):
    graphed = graph.GraphedStep(*make())
    for x, y in batches(3):
        graphed(x, y)
    with pytest.raises(OptionError, match="drop_last=True"):
        graphed(*next(batches(1, size=2)))


def test_an_optimizer_that_counts_its_steps_is_refused(captures):
    graphed = graph.GraphedStep(*make(optim.AdamW, betas=(0.9, 0.99)))
    for x, y in batches(2):
        graphed(x, y)
    with pytest.raises(OptionError, match="AdamW counts its steps"):
        graphed(*next(batches(1)))
    assert not captures


def test_the_cpu_is_refused():
    with pytest.raises(DeviceError, match="needs a GPU"):
        graph.GraphedStep(*make())(*next(batches(1)))


# -- a model for inference


@pytest.fixture
def model():
    import tinyvision

    tinyvision.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()


@pytest.fixture
def captured(monkeypatch):
    """What was captured; a replay does it again, into the same memory."""
    seen = []

    def capture(work, where):
        seen.append(work)
        output = work()

        def replay():
            output.array[...] = work().array

        return output, replay

    monkeypatch.setattr(graph, "capture", capture)
    monkeypatch.setattr(graph, "device_of", lambda array: Device("cuda"))
    return seen


def images(count=3, seed=2, size=4):
    return Tensor.of(np.random.default_rng(seed).standard_normal((count, 1, size, size)).astype(np.float32))


def test_a_graphed_model_says_what_the_model_says(captured, model):
    fast = cuda.graphed(model)
    outputs = [fast(images(seed=i)) for i in range(4)]
    for i, output in enumerate(outputs):
        assert np.array_equal(output.array, model(images(seed=i)).array), "kept apart, although all write one place"
        assert not output.requires_grad
    assert len(captured) == 1
    fast(images(5))
    fast(images())
    assert len(captured) == 2, "one for each shape"


def test_changed_weights_count_and_new_ones_are_recorded(captured, model):
    fast = cuda.graphed(model)
    before = fast(images()).array
    with no_grad():
        model[0].weight *= 2
        model[1].running_mean += 1
    assert not np.array_equal(fast(images()).array, before)
    assert np.array_equal(fast(images()).array, model(images()).array)
    assert len(captured) == 1
    model[0].weight.data = model[0].weight.array * 0
    assert np.array_equal(fast(images()).array, model(images()).array)
    assert len(captured) == 2


def test_old_shapes_are_forgotten(captured, model, monkeypatch):
    monkeypatch.setattr(graph, "MOST_SHAPES", 2)
    fast = cuda.graphed(model)
    for count in (1, 2, 1, 3, 3, 1):
        fast(images(count))
    assert len(captured) == 4
    assert len(fast.recorded) == 2


def test_what_a_graph_would_get_wrong_is_refused(captured, model):
    fast = cuda.graphed(model)
    model.train()
    with pytest.raises(OptionError, match="training mode"):
        fast(images())
    model.eval()
    handle = model[0].register_forward_hook(lambda module, x, y: None)
    with pytest.raises(OptionError, match="a hook"):
        fast(images())
    handle.remove()
    fast(images())


def test_a_graphed_model_needs_a_gpu(model):
    with pytest.raises(DeviceError, match="needs a GPU"):
        cuda.graphed(model)(images())
