"""What inference keeps of weights between calls, and that it is never older than the weights themselves."""

import copy
import gc
import pickle
import types
import weakref
from unittest.mock import patch

import counting_gpu
import numpy as np
import pretended_gpu as pretence
import pytest
import torch
from strict import StrictArray

import tinyvision as tv
from tinyvision import capturing, kernels, nn, optim
from tinyvision.device import precision_of, replays
from tinyvision.nn import fusing
from tinyvision.nn.fusing import conv_norm_act
from tinyvision.nn.keeping import kept_of


class Layers(nn.Module):
    """All that is kept: a weight that is arranged, and a batch-norm, folded with the convolution's bias."""

    def __init__(self):
        self.conv, self.norm, self.relu = nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()

    def forward(self, x):
        """(N, 4, H, W) -> (N, 8, H, W)"""
        return conv_norm_act(x, self.conv, self.norm, self.relu)


NAMES = ("conv.weight", "conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
held = []  # what somebody has taken hold of before


def named(model, name):
    layer, _, own = name.partition(".")
    return getattr(getattr(model, layer), own)


def by_array(model, name):
    named(model, name).array[...] *= 1.5


def by_the_array_itself(model, name):
    named(model, name).array *= 1.5


def by_another_array(model, name):
    tensor = named(model, name)
    tensor.array = tensor.array * 1.5


def by_data(model, name):
    named(model, name).data[0] = 7.0


def by_another_data(model, name):
    named(model, name).data = named(model, name).data * 1.5


def in_place(model, name):
    with tv.no_grad():
        named(model, name).mul_(1.5)


def by_a_view(model, name):
    with tv.no_grad():
        named(model, name)[0].add_(1.5)


def by_a_detached_twin(model, name):
    named(model, name).detach().mul_(1.5)


def by_a_shallow_copy(model, name):
    copy.copy(named(model, name)).array[...] *= 1.5


def by_a_state_dict(model, name):
    state = {n: v.clone() for n, v in model.state_dict().items()}
    state[name] = state[name] * 1.5
    model.load_state_dict(state)


def by_assigning_a_state_dict(model, name):
    state = {n: v.clone() for n, v in model.state_dict().items()}
    state[name] = state[name] * 1.5
    model.load_state_dict(state, assign=True)


def by_another_tensor(model, name):
    layer, _, own = name.partition(".")
    old = named(model, name)
    setattr(getattr(model, layer), own, type(old)((old.detach() * 1.5).detach()))


def by_what_was_held(model, name):
    """The array is taken in one call, and written to in the next."""
    if not held:
        held.append(named(model, name).array)
        return
    held.pop()[...] *= 1.5


def by_a_tensor_that_was_held(model, name):
    if not held:
        held.append(named(model, name).detach())
        return
    held.pop().mul_(1.5)


def by_the_base_that_was_held(model, name):
    if not held:
        array = named(model, name).array
        held.append(array if array.base is None else array.base)
        return
    held.pop()[...] *= 1.5


WRITES = [
    by_array, by_the_array_itself, by_another_array, by_data, by_another_data, in_place, by_a_view, by_a_detached_twin,
    by_a_shallow_copy, by_a_state_dict, by_assigning_a_state_dict, by_another_tensor,
]  # fmt: skip
HELD = [by_what_was_held, by_the_base_that_was_held, by_a_tensor_that_was_held]


pretended_gpu = pretence.pretended_gpu


@pytest.fixture(params=["cpu", "cuda"])
def computing(request, pretended_gpu):
    """The CPU, and a pretended GPU that computes, with arrays that say what they are views of, as CuPy's."""
    assert pretended_gpu
    where = types.SimpleNamespace(ptr=0)
    with patch.object(StrictArray, "base", None, create=True), patch.object(StrictArray, "data", where, create=True):
        held.clear()
        yield request.param


@pytest.fixture
def counts(monkeypatch):
    """A pretended GPU that counts launches."""
    monkeypatch.setattr(precision_of, "cuda", "tf32")
    with counting_gpu.counting() as counts:
        held.clear()
        yield counts


def a_model(device="cuda"):
    tv.manual_seed(3)
    model = Layers()
    with tv.no_grad():
        for name in NAMES[1:]:
            named(model, name).uniform_(0.5, 1.5)  # none is 0
    return model.to(device).eval()


def images(device="cuda"):
    return tv.tensor(np.random.default_rng(4).standard_normal((2, 4, 5, 6)).astype(np.float32)).to(device)


def scores(model, x):
    with tv.no_grad():
        return model(x)


def made(counts, model, x):
    """(weights arranged, batch-norms folded) in a call."""
    counts.clear()
    scores(model, x)
    return counts["kernel arrange"], counts["kernel folded"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_what_was_computed_is_computed_again_after_a_write(counts, write, name):
    model, x = a_model(), images()
    first = made(counts, model, x)
    assert first[0] == 1
    assert made(counts, model, x) == (0, 0)
    write(model, name)
    assert made(counts, model, x) != (0, 0)
    assert made(counts, model, x) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", HELD, ids=lambda write: write.__name__)
def test_nothing_is_kept_while_somebody_else_may_write(counts, write, name):
    model, x = a_model(), images()
    scores(model, x)
    write(model, name)  # takes hold
    assert made(counts, model, x) != (0, 0)
    assert made(counts, model, x) != (0, 0)
    write(model, name)
    assert made(counts, model, x) != (0, 0)
    assert made(counts, model, x) == (0, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", WRITES + HELD, ids=lambda write: write.__name__)
def test_results_are_those_of_the_weights_as_they_are(computing, write, name):
    model, x = a_model(computing), images(computing)
    before = scores(model, x).numpy()
    write(model, name)
    scores(model, x)
    if write in HELD:
        write(model, name)
    after = scores(model, x).numpy()
    assert not np.array_equal(before, after)
    anew = copy.deepcopy(model)
    np.testing.assert_array_equal(after, scores(anew, x).numpy())


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_what_is_learned_counts(computing, kind):
    model, x = a_model(computing), images(computing)
    for _ in range(3):
        before = scores(model, x).numpy()
        model.train()
        optimizer = kind(model.parameters(), lr=0.1)
        (model(x) ** 2).sum().backward()
        optimizer.step()
        model.eval()
        after = scores(model, x).numpy()
        assert not np.array_equal(before, after)
        np.testing.assert_array_equal(after, scores(copy.deepcopy(model), x).numpy())


def test_weights_that_come_and_go_are_not_taken_for_one_another(computing):
    """Where one was, the next may lie, and have its id."""
    model, x = a_model(computing), images(computing)
    for i in range(20):
        weight = nn.Parameter(tv.tensor(np.full((8, 4, 3, 3), i, np.float32)).to(computing))
        model.conv.weight = weight
        del weight
        np.testing.assert_array_equal(scores(model, x).numpy(), scores(copy.deepcopy(model), x).numpy())


def test_another_eps_precision_or_way_is_another_matter(counts, monkeypatch):
    model, x = a_model(), images()
    scores(model, x)
    model.norm.eps = 0.5
    assert made(counts, model, x) == (0, 1)
    monkeypatch.setattr(precision_of, "cuda", "ieee")
    assert made(counts, model, x) == (0, 0)  # channels last already, and nothing to be rounded
    monkeypatch.setattr(precision_of, "cuda", "bf16")
    for images_and_weight in (2, 1):
        scores(model, x)
        assert counts.pop("kernel arrange_bf16") == images_and_weight
    monkeypatch.setattr(precision_of, "cuda", "tf32")
    assert made(counts, model, x) == (0, 0)
    with kernels.only():
        scores(model, x)
    assert made(counts, model, x) == (0, 0)


def test_a_graph_and_another_stream_keep_nothing_of_each_other(counts, monkeypatch):
    model, x = a_model(), images()
    scores(model, x)
    replays[0] += 1  # of a graph, which may have written to the weights
    assert made(counts, model, x)[0] == 1
    monkeypatch.setattr(pretence._Stream, "ptr", 64)  # which does not wait for the first
    assert made(counts, model, x)[0] == 1
    assert made(counts, model, x) == (0, 0)
    monkeypatch.setattr("tinyvision.nn.keeping.without_cublas", lambda: True)  # a graph reads memory of its own
    assert made(counts, model, x)[0] == 1
    assert made(counts, model, x)[0] == 1


def test_a_replay_is_counted(pretended_gpu):
    graph = types.SimpleNamespace(launch=lambda stream: None)
    with (
        patch.object(pretended_gpu.cuda, "MemoryPool", lambda: types.SimpleNamespace(malloc=None), create=True),
        patch.object(pretended_gpu.cuda, "using_allocator", lambda malloc: pretended_gpu.cuda.Device(0), create=True),
        patch.object(pretended_gpu.cuda.Stream, "begin_capture", lambda self: None, create=True),
        patch.object(pretended_gpu.cuda.Stream, "end_capture", lambda self: graph, create=True),
        patch.object(pretended_gpu.cuda.Stream, "__enter__", lambda self: self, create=True),
        patch.object(pretended_gpu.cuda.Stream, "__exit__", lambda self, *error: None, create=True),
    ):
        before = replays[0]
        _, replay = capturing.capture(lambda: None)
        assert replays[0] == before
        replay()
        assert replays[0] == before + 1


def test_memory_of_others_is_nobodys_to_judge(counts):
    model, x = a_model(), images()
    UnownedMemory = type("UnownedMemory", (), {})  # CuPy's name for what comes by DLPack
    data = property(lambda array: types.SimpleNamespace(mem=UnownedMemory(), ptr=0))
    with patch.object(counting_gpu.Ghost, "data", data):
        assert kept_of(model.norm.bias) is None
        assert made(counts, model, x)[0] == 1
        assert made(counts, model, x)[0] == 1


@pytest.mark.parametrize("end", ["look", "move", "train", "delete"])
def test_what_is_kept_goes_with_the_first_look(counts, end):
    """Memory that inference has taken is free again where a network learns, moves or goes."""
    model, x = a_model(), images()
    scores(model, x)
    (arranged,) = (v for v in model.conv.weight.kept.values() if isinstance(v, counting_gpu.Ghost))
    gone = weakref.ref(arranged)
    del arranged
    gc.disable()
    try:
        assert gone() is not None
        if end == "look":
            assert model.conv.weight.array is not None
        elif end == "move":
            model.to("cpu")
        elif end == "train":
            model.train()(x)
        else:
            del model
        assert gone() is None
    finally:
        gc.enable()


def test_copies_take_nothing_along(counts):
    model, x = a_model(), images()
    scores(model, x)
    twin = copy.deepcopy(model)
    assert twin.conv.weight.kept is None
    scores(model, x)
    assert copy.copy(model.conv.weight).kept is None
    model.to("cpu")
    assert pickle.loads(pickle.dumps(model.conv.weight)).kept is None


def test_copies_on_the_cpu_take_nothing_along():
    model, x = a_model("cpu"), images("cpu")
    scores(model, x)
    assert model.conv.weight.kept is not None
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.conv.weight.kept is None
    assert copy.copy(model.conv.weight).kept is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_on_the_cpu_a_write_is_noticed_as_well(write, name):
    model, x = a_model("cpu"), images("cpu")
    scores(model, x)
    before = named(model, name).kept
    scores(model, x)
    assert before is not None
    assert named(model, name).kept is before
    write(model, name)
    assert named(model, name).kept is not before
    for _ in range(2):
        scores(model, x)
    assert named(model, name).kept is not None


def test_on_the_cpu_a_batch_norm_is_folded_once(monkeypatch):
    model, x, folded, calls = a_model("cpu"), images("cpu"), fusing._folded, []
    monkeypatch.setattr(fusing, "_folded", lambda *a, **options: calls.append(a) or folded(*a, **options))
    for count in (1, 1):
        scores(model, x)
        assert len(calls) == count
    model.norm.bias.array[0] = 5
    scores(model, x)
    assert len(calls) == 2


LOOKS = {  # all by which others may write to an array, without the array
    "a view": lambda array: array[1:],
    "a view of a view": lambda array: array.transpose()[..., ::2],
    "a buffer": memoryview,
    "PyTorch's tensor": torch.from_numpy,
    "PyTorch's tensor, by DLPack": torch.from_dlpack,
    "an iterator": lambda array: array.flat,
    "an address with its array": lambda array: array.ctypes,
}


@pytest.mark.parametrize("name", ["conv.weight", "norm.running_var"])
@pytest.mark.parametrize("look", LOOKS)
def test_on_the_cpu_nothing_is_kept_while_somebody_may_write(look, name):
    model, x = a_model("cpu"), images("cpu")
    scores(model, x)
    taken = LOOKS[look](named(model, name).array)
    scores(model, x)
    assert named(model, name).kept is None
    del taken
    scores(model, x)
    assert named(model, name).kept is not None


@pytest.mark.parametrize("source", ["file", "buffer", "another library"])
def test_on_the_cpu_memory_of_others_is_nobodys_to_judge(source, tmp_path):
    model, x, numbers = a_model("cpu"), images("cpu"), np.ones(8, np.float32)
    if source == "file":
        array = np.memmap(tmp_path / "numbers", np.float32, "w+", shape=8)
        array[...] = 1
        others = array
    elif source == "buffer":
        others = bytearray(numbers.tobytes())
        array = np.frombuffer(others, np.float32)
    else:
        others = torch.ones(8)
        array = others.numpy()
    model.norm.bias.array = np.asarray(array)
    del array
    before = scores(model, x).numpy()
    assert kept_of(model.norm.bias) is None
    memory = others.numpy() if source == "another library" else np.frombuffer(others, np.float32)
    memory[...] = 7
    del memory
    assert not np.array_equal(before, scores(model, x).numpy())


def test_one_weight_of_several_convolutions():
    """In other groups, at another stride: what is kept of it for one is not what the others need."""
    rng = np.random.default_rng(6)
    convs = [nn.Conv2d(32 * g, 64, 3, stride=s, padding=1, groups=g, bias=False) for g, s in ((1, 1), (2, 1), (4, 2))]
    for conv in convs:
        conv.weight = convs[0].weight
    images = [tv.tensor(rng.standard_normal((2, conv.in_channels, 9, 9)).astype(np.float32)) for conv in convs]
    for _ in range(2):
        for conv, x in zip(convs, images, strict=True):
            expected = nn.functional.conv2d(x, conv.weight.clone(), None, conv.stride, 1, 1, conv.groups).relu()
            with tv.no_grad():
                y = conv_norm_act(x, conv, None, nn.ReLU())
            np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-3, atol=1e-4)
