"""Training with device="cuda", on the GPU that `pretended_gpu.py` stands for: nothing becomes NumPy's by mistake."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pretended_gpu import OutOfMemoryError, pretended_gpu  # noqa: F401  a fixture
from strict import StrictArray

import tinyvision as tv
from tinyvision import data, explain, models, nn, optim, random, train
from tinyvision.device import to_numpy
from tinyvision.errors import DeviceError

pytestmark = pytest.mark.usefixtures("pretended_gpu")


def pictures(count=24, seed=0):
    """Random pictures of 8x8 pixels in three classes."""
    rng = random.stream(seed, "pictures")
    images = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return data.ArrayDataset(images, rng.integers(0, 3, count), ["a", "b", "c"])


def network():
    """What has state, draws random numbers or has a fused form."""
    with random.use(random.stream(1, "network")):
        first = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*first, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 3))


def fit(model, device, **options):
    options = {"log": None, "batch_size": 8, "epochs": 2, "val_data": pictures(8, 1), **options}
    return train.fit(model, pictures(), device=device, **options)


@pytest.mark.parametrize(
    "options",
    [{"clip_norm": 0.1, "schedule": "cosine"}, {"optimizer": "adamw", "label_smoothing": 0.1}],
    ids=["sgd", "adamw"],
)
def test_the_history_is_that_of_the_cpu(options, monkeypatch):
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
    here, there = network(), network()
    expected, got = fit(here, "cpu", **options), fit(there, "cuda", **options)
    for row, right in zip(got.rows, expected.rows, strict=True):
        # float32 sums in another order (a strict array is not cut into blocks), over six steps
        assert row["train_loss"] == pytest.approx(right["train_loss"], rel=1e-4)
        assert row["val_loss"] == pytest.approx(right["val_loss"], rel=1e-4)
    assert all(p.device == tv.device("cuda") for p in there.parameters())
    for name, a in there.state_dict().items():
        np.testing.assert_allclose(to_numpy(a), here.state_dict()[name].array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_saved_on_one_is_resumed_on_the_other(first, then, tmp_path, monkeypatch):
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
    expected = fit(network(), "cpu", epochs=3)

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(network(), first, epochs=3, run=tmp_path / "run", on_epoch=stop)
    model = network()
    history = train.fit(model, pictures(), pictures(8, 1), run=tmp_path / "run", resume=True, device=then, log=None)
    assert len(history) == 3
    assert history.rows[-1]["val_loss"] == pytest.approx(expected.rows[-1]["val_loss"], rel=1e-4)
    assert all(p.device == tv.device(then) for p in model.parameters())


def test_evaluation_and_looking_inside():
    model, dataset = network().eval(), pictures()
    x = tv.tensor(np.stack([dataset[i][0] for i in range(3)]).reshape(3, 1, 8, 8).astype(np.float32) / 255)
    expected = train.evaluate(model, dataset)
    maps = [explain.grad_cam(model, x, model[0]), explain.saliency(model, x), explain.occlusion(model, x, size=4)]
    model.to("cuda")
    assert train.evaluate(model, dataset).loss == pytest.approx(expected.loss, rel=1e-5)
    there = x.to("cuda")
    again = [explain.grad_cam(model, there, model[0]), explain.saliency(model, there)]
    for right, got in zip(maps, [*again, explain.occlusion(model, there, size=4)], strict=True):
        np.testing.assert_allclose(to_numpy(got), to_numpy(right), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [lambda: models.resnet18(num_classes=5), lambda: models.SimpleCNN(image_size=24)])
def test_how_often_a_step_waits_for_the_gpu(build):
    tv.manual_seed(0)
    model = build().to("cuda").train()
    optimizer, criterion = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.CrossEntropyLoss()
    x, y = tv.randn(2, 3, 24, 24).to("cuda"), tv.tensor([0, 3]).to("cuda")
    for clip in (False, True):
        StrictArray.syncs = 0
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        assert StrictArray.syncs <= 3 + clip  # two looks at the labels, the loss, the norm


def test_running_out_of_memory_says_what_to_reduce(monkeypatch):
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, x):
            if x.device.type == "cuda" and len(x) > 4:
                raise OutOfMemoryError("Out of memory allocating 7 bytes")
            return self.layer(x.flatten(1))

    with pytest.raises(DeviceError, match=r"cuda:0: not enough GPU memory .*smaller batch"):
        fit(Large(), "cuda")
    with pytest.raises(DeviceError, match="smaller batch"):
        train.evaluate(Large().to("cuda"), pictures(), batch_size=8)


def test_the_tests_for_a_real_gpu_would_run():
    """All that need neither its kernels nor its memory pool: so the first real run meets no slip of the pen."""
    tests = Path(__file__).parents[1]
    left_out = ["memory", "dlpack", "precision", "test_convolutions", "kernels-"]
    left_out += ["captured", "graphed", "replays", "resnet", "real_network", "measures"]
    command = [
        sys.executable, "-m", "pytest", str(tests / "gpu"), "-p", "pretended_gpu", "-p", "no:cacheprovider",
        "-k", " and ".join(f"not {word}" for word in left_out),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tests)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tests.parent, env=environment)
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(summary.split(" passed")[0]) > 100, summary
    assert "skipped" not in summary
