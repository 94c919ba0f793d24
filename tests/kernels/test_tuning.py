"""Kernels that were measured on this card: asked for, kept, read again, and left alone where they are for another."""

import json
import sys
import types
import warnings

import counting_gpu
import numpy as np
import pytest
from pretended_gpu import pretending

import tinyvision as tv
from tinyvision import nn, precision
from tinyvision.cli import doctor
from tinyvision.errors import DeviceError, FileError, OptionError
from tinyvision.kernels import autotune, conv, launch, tensor_cores, tuning

CARD = {"name": "NVIDIA H200", "compute_capability": "9.0"}
FAST, SLOW = 1.0, 2.0


@pytest.fixture(autouse=True)
def card(monkeypatch, tmp_path):
    """What the driver tells, for a test to change; a cache without a file; nothing remembered before or after."""
    told = {"devices": [dict(CARD)], "driver": "13.0", "runtime": "13.0"}
    monkeypatch.setattr(tuning, "report", lambda: told)
    monkeypatch.setattr(tuning, "is_available", lambda: True)
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "_chosen", None)
    conv.forget()
    yield told
    conv.forget()


@pytest.fixture
def clock(monkeypatch):
    """A pretended GPU on which a launch takes what `clock.costs` says of its kernel, 1 by default."""
    clock = types.SimpleNamespace(now=0.0, costs={}, launched=[])

    def launch_on(index, source, kernel, grid, *arguments, **options):
        clock.now += clock.costs.get(kernel, FAST)
        clock.launched.append(kernel)

    class Event:
        def record(self):
            self.at = clock.now
            clock.now += 100.0 * (len(clock.launched) % 7 == 0)  # somebody else's work, now and then

        def synchronize(self):
            pass

    def capture(work, where):
        return None, work

    with counting_gpu.counting():
        monkeypatch.setattr(sys.modules["tinyvision.device"], "_apply_precision", lambda mode: None)
        monkeypatch.setattr(launch, "launch_on", launch_on)
        monkeypatch.setattr(autotune, "capture", capture)
        cupy = autotune.require_cuda()
        cupy.cuda.Event = Event
        cupy.cuda.get_elapsed_time = lambda begin, end: end.at - begin.at
        monkeypatch.setattr(tuning, "_chosen", None)
        yield clock


def network():
    layers = nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 96, 3, stride=2, bias=False)
    return nn.Sequential(*layers, nn.Dropout(0.5)).to("cuda")


def images():
    return tv.tensor(np.ones((2, 3, 12, 10), np.float32)).to("cuda")


def used(clock, model):
    """The kernels of a step."""
    clock.launched.clear()
    y = model(images())
    if model.training:
        y.backward(np.ones_like(y.array))
    return [kernel for kernel in clock.launched if kernel in tensor_cores.TILES or "_fp32_" in kernel]


def test_the_fastest_is_used_from_then_on_and_in_later_processes(clock, monkeypatch):
    model = network()
    with precision("tf32"):
        unasked = used(clock, model)
        assert unasked == used(clock, model), "the same in every step"
        clock.costs = dict.fromkeys(set(unasked), SLOW)
        found = tv.cuda.autotune(model, images())
        tuned = used(clock, model)
        assert len(unasked) == len(tuned) == 5
        assert not set(tuned) & set(unasked)
        monkeypatch.setattr(tuning, "_chosen", None)
        conv.forget()
        assert used(clock, model) == tuned, "from the file"
        clock.costs = {}
        assert len(tv.cuda.autotune(model, images(), save=False).rows) == 5
        assert used(clock, model) == unasked, "a tie leaves what is used unasked"
        monkeypatch.setattr(tuning, "_chosen", None)
        conv.forget()
        assert used(clock, model) == tuned, "the file is as it was"
    told = str(found)
    assert "5 layers, 5 of them with another kernel, 5.000 ms less together" in told
    assert str(found.file) in told
    assert {row["primitive"] for row in found.rows} == {"correlate", "image_gradient", "weight_gradient"}
    assert all(row["ms"][row["unasked"]] == SLOW + (row["primitive"] == "weight_gradient") for row in found.rows)


def test_a_small_gain_may_be_noise(clock):
    model = network().eval()
    with precision("tf32"):
        unasked = used(clock, model)
        clock.costs = dict.fromkeys(set(unasked), 1.02)
        tv.cuda.autotune(model, images())
        assert used(clock, model) == unasked


@pytest.mark.parametrize("mode", ["ieee", "bf16", "fp16"])
def test_every_precision_has_choices_of_its_own(clock, mode):
    model = network()
    with precision("tf32"):
        right = used(clock, model)
    with precision(mode):
        before = used(clock, model)
        clock.costs = dict.fromkeys(set(before), SLOW)
        tv.cuda.autotune(model, images())
        after = used(clock, model)
    different = [a != b for a, b in zip(before, after, strict=True)]
    # In full precision two sizes of tiles are slow now for weights; the image gradient goes phase by phase.
    assert different.count(True) == (2 if mode == "ieee" else 5)
    with precision("tf32"):
        assert used(clock, model) == right


def test_the_model_is_left_as_it_was():
    """With the readable ops, which compute what they ought to, and have no kernels to choose from."""
    with pretending():
        model = network()
        state = {name: value.array.get() for name, value in model.state_dict().items()}
        (first, *_), gradient = model.parameters(), tv.zeros(64, 3, 3, 3).to("cuda")
        first.grad = gradient
        drawn = tv.get_rng_state()
        assert tv.cuda.autotune(model, images(), save=False).rows == []
        assert first.grad is gradient
        assert all(p.grad is None for p in list(model.parameters())[1:])
        assert np.array_equal(tv.get_rng_state(), drawn)
        for name, value in model.state_dict().items():
            assert np.array_equal(value.array.get(), state[name]), name
        model(images())
        assert not np.array_equal(model[1].running_mean.array.get(), state["1.running_mean"]), "as it would have been"


def test_inference_alone_times_no_gradients(clock):
    with precision("tf32"):
        found = tv.cuda.autotune(network().eval(), images(), save=False)
    assert {row["primitive"] for row in found.rows} == {"correlate"}
    assert found.file is None
    assert not list(tuning.file_of(CARD["name"]).parent.glob("*"))


def test_a_kernel_whose_results_differ_is_left_out(clock, monkeypatch):
    model, wrong = network().eval(), "correlate_wgmma_128x128"
    monkeypatch.setattr(autotune, "to_numpy", lambda a: np.full(3, 1.0 + (clock.launched[-1] == wrong)))
    with precision("tf32"):
        assert wrong not in used(clock, model)
        clock.costs = {"correlate_wgmma_128x64": 9.0, "correlate_wgmma_128x256": 8.0}
        found = tv.cuda.autotune(model, images())
        assert set(used(clock, model)) == {"correlate_wgmma_128x256"}
    assert all(row["wrong"] == [wrong] for row in found.rows)
    assert f"{wrong} differs and is left out" in str(found)


def test_what_cannot_be_asked_is_refused(clock):
    with pytest.raises(OptionError, match="autotune: expected the inputs"):
        tv.cuda.autotune(network())
    with pytest.raises(DeviceError, match="autotune: kernels are chosen for a GPU, but the inputs are on cpu"):
        tv.cuda.autotune(network(), tv.zeros(1, 3, 12, 10))


# -- the file


LAYER = tuning.Layer("tf32", "correlate", 200, 64, 27, 1, (3, 3))
CANDIDATES = tensor_cores.candidates("hopper", "correlate")


def kept_one():
    path = tuning.keep([{**LAYER._asdict(), "kernel": CANDIDATES[1], "ms": {CANDIDATES[1]: 1.0}}])
    tuning._chosen = None
    return path


def test_a_file_counts_for_the_card_it_was_made_for():
    kept_one()
    assert tuning.kernel(LAYER, CANDIDATES) == CANDIDATES[1]
    assert tuning.kernel(LAYER._replace(rows=201), CANDIDATES) is None
    assert tuning.kernel(LAYER, CANDIDATES[:1]) is None, "a kernel that is not for this GPU"


def test_layers_are_added_to_a_file():
    kept_one()
    tuning.keep([{**LAYER._replace(rows=5)._asdict(), "kernel": CANDIDATES[0]}])
    assert tuning.kept() == ({LAYER: CANDIDATES[1], LAYER._replace(rows=5): CANDIDATES[0]}, None)
    tuning.keep([{**LAYER._asdict(), "kernel": CANDIDATES[2]}])
    assert tuning.kept()[0][LAYER] == CANDIDATES[2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda told: told.update(driver="13.1"), "made for driver 13.0 and not 13.1"),
        (lambda told: told.update(runtime="12.9"), "made for CUDA 13.0 and not 12.9"),
        (lambda told: told["devices"][0].update(compute_capability="9.1"), "compute capability 9.0 and not 9.1"),
        (lambda told: told["devices"][0].update(name="nvidia h200!"), "card NVIDIA H200 and not nvidia h200!"),
    ],
)
def test_a_foreign_or_stale_file_is_told_and_ignored(card, change, told):
    kept_one()
    change(card)
    with pytest.warns(UserWarning, match=told):
        assert tuning.kernel(LAYER, CANDIDATES) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuning.kernel(LAYER, CANDIDATES) is None, "told once"
    tuning.keep([{**LAYER._replace(rows=5)._asdict(), "kernel": CANDIDATES[0]}])
    assert tuning.kept() == ({LAYER._replace(rows=5): CANDIDATES[0]}, None), "what was stale is gone"


def test_a_file_for_other_kernels_is_stale(monkeypatch):
    kept_one()
    monkeypatch.setattr(launch, "text", lambda name, own=launch.text: own(name) + "// changed")
    with pytest.warns(UserWarning, match=r"made for kernels \w+ and not \w+"):
        assert tuning.kernel(LAYER, CANDIDATES) is None


DAMAGES = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no text": lambda text: "\x00\xff",
    "a list": lambda text: "[]",
    "a number": lambda text: "3",
    "nothing it was made for": lambda text: text.replace('"made for"', '"made"'),
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "a row without a kernel": lambda text: text.replace('"kernel"', '"colonel"'),
    "rows that are no number": lambda text: text.replace('"rows": 200', '"rows": "200"'),
    "rows below 0": lambda text: text.replace('"rows": 200', '"rows": -200'),
    "taps that are one": lambda text: text.replace('"precision": "tf32"', '"precision": 3'),
    "layers that are none": lambda text: json.dumps({**json.loads(text), "layers": 5}),
    "made for nothing": lambda text: json.dumps({**json.loads(text), "made for": None}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told_and_ignored(name):
    path = kept_one()
    path.write_text(DAMAGES[name](path.read_text()), encoding="latin-1")
    with pytest.warns(UserWarning, match=r"nvidia-h200.json: the tuned kernels are not used"):
        assert tuning.kernel(LAYER, CANDIDATES) is None
    kept_one()
    assert tuning.kernel(LAYER, CANDIDATES) == CANDIDATES[1], "written anew"


def test_the_doctor_tells(monkeypatch, card):
    found = {**card, "cupy": None, "problem": None, "packages": []}
    found["devices"] = [{**CARD, "index": 0, "free_gib": 1, "memory_gib": 2}]
    monkeypatch.setattr(sys.modules["tinyvision.device"], "report", lambda: found)
    assert not [f for f in doctor._gpu() if f["what"] == "tuned kernels"]
    kept_one()
    (told,) = [f for f in doctor._gpu() if f["what"] == "tuned kernels"]
    assert told["found"] == "for 1 convolutions"
    card.update(driver="14.0")
    (told,) = [f for f in doctor._gpu() if f["what"] == "tuned kernels"]
    assert told["state"] == "note"
    assert "made for driver 13.0 and not 14.0" in told["found"]
    assert "autotune" in told["remedy"]


def test_nobody_asks_the_driver_where_there_is_no_file(monkeypatch, card):
    monkeypatch.setattr(tuning, "report", lambda: 1 / 0)
    assert tuning.kernel(LAYER, CANDIDATES) is None


def test_where_nothing_can_be_kept(monkeypatch, tmp_path):
    (tmp_path / "tuned").touch()
    with pytest.raises(FileError, match=r"autotune: cannot make the folder .*tuned"):
        kept_one()


# -- all candidates compute the same


@pytest.mark.parametrize("generation", ["ampere", "hopper"])
def test_every_candidate_of_a_layer_gives_the_same(emulate, rng, generation):
    """To the last bit, of whole numbers that TF32 holds, whose sums no order rounds."""
    emulation = emulate(generation=generation)
    x, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((2, 8, 9, 8), (68, 8, 3, 3)))
    options = {"stride": 2, "padding": 1}
    y, cache = conv.DROP_INS[0].op[0](x.astype(float), w.astype(float), **options)
    dy = rng.integers(-4, 5, y.shape).astype(np.float32)
    right = (y, *conv.DROP_INS[0].op[1](dy.astype(float), cache))
    primitives = ("correlate", "image_gradient", "weight_gradient")
    with precision("tf32"):
        for number in range(max(len(tensor_cores.candidates(generation, p)) for p in (primitives[0], primitives[2]))):
            met, wanted = {}, {}
            tuning.met, tuning._chosen = met, {}
            conv.forget()
            _, cache = conv.DROP_INS[0].forward(*map(emulation.array, (x, w)), **options)
            conv.DROP_INS[0].backward(emulation.array(dy), cache, (True, True))
            tuning.met = None
            for layer, found in met.items():
                wanted[layer] = sorted(found.candidates)[number % len(found.candidates)]
            assert {layer.primitive for layer in met} == set(primitives)
            tuning.choose(wanted)
            conv.forget()
            emulation.launched.clear()
            y, cache = conv.DROP_INS[0].forward(*map(emulation.array, (x, w)), **options)
            results = y, *conv.DROP_INS[0].backward(emulation.array(dy), cache, (True, True))
            assert [k for k in emulation.launched if k in tensor_cores.TILES] == list(wanted.values())
            for got, expected in zip(results, right, strict=True):
                assert np.array_equal(got, expected)
