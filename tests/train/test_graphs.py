"""`fit` replays its steps as CUDA graphs: on a pretended GPU, with a capture that remembers the work and does it again.

As on a real GPU, what is captured is not done: the fake takes everything back that the work has changed.
"""

import numpy as np
import pytest
from pretended_gpu import pretended_gpu  # noqa: F401  a fixture

import tinyvision as tv
from tinyvision import data, nn, random, train
from tinyvision.device import recording, to_numpy
from tinyvision.kernels import clip, dropout
from tinyvision.train import graphs

pytestmark = pytest.mark.usefixtures("pretended_gpu")


def pictures(count=24):
    rng = random.stream(0, "pictures")
    images = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return data.ArrayDataset(images, rng.integers(0, 3, count), ["a", "b", "c"])


def network(*more):
    with random.use(random.stream(1, "network")):
        first = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*first, nn.Flatten(), *more, nn.Linear(64, 3))


@pytest.fixture
def captures(monkeypatch):
    """How many works every capture took."""
    seen = []

    def everything(graph):
        values = [*graph.model.parameters(), *graph.model.buffers()]
        return [v.array for v in values] + [a for s in graph.optimizer.state.values() for a in s.values()]

    def capture_in_turn(works, where):
        seen.append(len(works))
        (graph,) = made
        arrays = everything(graph)
        before = [a.copy(order="K") for a in arrays]
        first = works[0]()
        works[1]()
        for array, old in zip(arrays, before, strict=True):
            array[...] = old

        def look():
            graph.draws.count = 0  # the same launches again
            with graph.draws.recorded():
                again = works[0]()
            for place, new in zip(first, again, strict=True):
                place.array[...] = new.array

        return [look, works[1]]

    made = []
    own = graphs.StepGraph.__init__

    def init(self, *arguments):
        made[:] = [self]
        own(self, *arguments)

    monkeypatch.setattr(graphs.StepGraph, "__init__", init)
    monkeypatch.setattr(graphs, "capture_in_turn", capture_in_turn)
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
    return seen


def fit(model, count=24, said=None, **options):
    options = {"log": None if said is None else said.append, "batch_size": 8, "epochs": 3, **options}
    return train.fit(model, pictures(count), device="cuda", **options)


def notes(said):
    return [line for line in map(str, said) if "CUDA graph" in line]


@pytest.mark.parametrize("count", [24, 28], ids=["even", "uneven"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_replayed_steps_are_the_steps_as_written(captures, count, schedule):
    results = []
    for graph in (True, False):
        model = network()
        history = fit(model, count, schedule=schedule, graph=graph, lr=0.05)
        results.append((history.rows, [to_numpy(v.array) for v in (*model.parameters(), *model.buffers())]))
    (rows, arrays), (right_rows, right_arrays) = results
    assert captures == [2, 2, 2], "one capture for every epoch, and none with graph=False"
    assert rows == right_rows
    assert all(np.array_equal(a, b) for a, b in zip(arrays, right_arrays, strict=True))


def test_a_run_that_is_resumed_replays_too_and_learns_the_same(captures, tmp_path):
    whole, stopped, again = network(), network(), network()
    fit(whole, epochs=4)

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(stopped, run=tmp_path / "run", epochs=4, on_epoch=stop)
    fit(again, run=tmp_path / "run", resume=True, epochs=4)
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert np.array_equal(to_numpy(a.array), to_numpy(b.array))


def test_parameters_are_known_to_have_changed(captures):
    model = network()
    before = [p.version for p in model.parameters()]
    fit(model, epochs=1)
    assert all(p.version >= old + 3 for p, old in zip(model.parameters(), before, strict=True))


def test_batches_keep_their_loss_when_the_next_one_comes(captures):
    said = []
    history = fit(network(), said=said, epochs=2)
    assert len({row["train_loss"] for row in history.rows}) == 2
    assert not notes(said)


class Drawing(nn.Module):
    def forward(self, x):
        return x * float(random.generator().random() < 2)


def hooked():
    model = network()
    model[0].register_forward_hook(lambda module, x, y: None)
    return model


REASONS = {
    "dropout without its kernel": (lambda: network(nn.Dropout(0.5)), {}, "draws random numbers on the host"),
    "a hook": (hooked, {}, "a hook wants to see every step"),
    "clipping": (network, {"clip_norm": 1.0}, "clip_norm reads the norm of the gradients"),
    "random numbers": (lambda: network(Drawing()), {}, "draws random numbers on the host"),
}


@pytest.mark.parametrize("case", REASONS)
def test_what_cannot_be_replayed_runs_as_written_and_says_why(captures, case):
    build, options, reason = REASONS[case]
    said = []
    fit(build(), said=said, **options)
    (line,) = notes(said)
    assert reason in line
    assert len(captures) == ("on the host" in reason), "and it is not tried again in the next epoch"
    said.clear()
    fit(build(), said=said, graph=False, **options)
    assert notes(said) == []


def test_dropout_draws_anew_in_every_replay(captures, monkeypatch):
    """The kernel's place is taken by NumPy, which draws what a state in the GPU's memory says."""

    def launched(source, name, grid, mask, stored, x, y, given, first, count, p, scale):
        words = given["words"] if stored is None else to_numpy(stored)
        generator = random.Generator().set_state(words.view(np.uint8))
        random.skip(generator, int(first))
        mask, x, y = (getattr(array, "_hidden", array) for array in (mask, x, y))
        mask[...] = generator.random(mask.shape, dtype=np.float32) >= p
        y[...] = x * mask * scale

    monkeypatch.setattr(dropout.gpu, "launch", launched)
    monkeypatch.setattr(dropout.gpu, "aligned", lambda array: array)
    monkeypatch.setitem(nn.functional.dropout.__globals__, "_drawn", dropout.drawn)
    results, said = [], []
    for graph in (True, False):
        model = network(nn.Dropout(0.5), nn.Dropout(0.2))
        history = fit(model, 28, graph=graph, lr=0.05, said=said)
        results.append((history.rows, [to_numpy(p.array) for p in model.parameters()]))
    on_cpu = network(nn.Dropout(0.5), nn.Dropout(0.2))
    rows = train.fit(on_cpu, pictures(28), device="cpu", batch_size=8, epochs=3, lr=0.05, log=None).rows
    assert captures == [2, 2, 2]
    assert notes(said) == []
    assert results[0][0] == results[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))
    assert np.allclose([r["train_loss"] for r in rows], [r["train_loss"] for r in results[0][0]], rtol=1e-5)


def test_a_step_that_clips_is_replayed_where_a_kernel_clips(captures, monkeypatch):
    """The kernel's place is taken by the definition, on arrays of the pretended GPU."""

    def clipped(gradients, most):
        norm = sum((g * g).sum() for g in gradients) ** 0.5
        for g in gradients:
            g *= np.minimum(most / (norm + 1e-6), 1).astype(np.float32)
        return norm

    monkeypatch.setattr(clip, "applies", lambda arrays: True)
    monkeypatch.setattr(clip, "clipped", clipped)
    results, said = [], []
    for graph in (True, False):
        model = network()
        fit(model, graph=graph, clip_norm=0.1, lr=0.05, said=said)
        results.append([to_numpy(p.array) for p in model.parameters()])
    assert captures == [2, 2, 2]
    assert notes(said) == []
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    free = network()
    fit(free, graph=False, lr=0.05)
    assert not np.allclose(results[0][-1], to_numpy(list(free.parameters())[-1].array)), "it was not clipped"


def test_a_capture_that_fails_costs_a_line(captures, monkeypatch):
    def fails(works, where):
        captures.append(1)
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(graphs, "capture_in_turn", fails)
    said, model, plain = [], network(), network()
    fit(model, said=said)
    (line,) = notes(said)
    assert line.endswith("launch by launch, and not as a CUDA graph: operation not permitted")
    assert captures == [1]
    fit(plain, graph=False)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert np.array_equal(to_numpy(a.array), to_numpy(b.array))


def test_a_loss_that_is_not_finite_changes_no_parameter(captures):
    """The first epoch goes well; then the loss of a replayed step is nan, and the second half is not replayed."""
    model, kept = network(), []

    def spoil(row):
        with tv.no_grad():
            model[-1].bias[0] = np.nan
        kept[:] = [to_numpy(p.array) for p in model.parameters()]

    with pytest.raises(tv.errors.TrainingError, match="the loss is nan"):
        fit(model, on_epoch=spoil)
    assert len(captures) == 2
    for p, value in zip(model.parameters(), kept, strict=True):
        assert np.array_equal(to_numpy(p.array), value, equal_nan=True)


def test_on_a_cpu_nothing_is_recorded(captures):
    said = []
    train.fit(network(), pictures(), device="cpu", epochs=1, log=said.append)
    assert captures == []
    assert notes(said) == []


def test_nothing_comes_from_the_host_while_a_graph_is_recorded(monkeypatch):
    monkeypatch.setattr(recording, "now", True, raising=False)
    with pytest.raises(tv.errors.DeviceError, match="comes from the host"):
        tv.tensor([1.0]).to("cuda")
