"""Training, memory, precision and travelling between devices, on a real GPU."""

import gc

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import data, kernels, models, nn, optim
from tinyvision import train as train_module
from tinyvision.device import device_of, memory_errors_explained, prefetch, to_device, to_numpy
from tinyvision.errors import DeviceError
from tinyvision.kernels.graph import GraphedStep
from tinyvision.ops.rounding import rounded


def batches(count, size=24, classes=10):
    rng = np.random.default_rng(7)
    for _ in range(count):
        yield (
            tv.tensor(rng.standard_normal((8, 3, size, size), dtype=np.float32)),
            tv.tensor(rng.integers(0, classes, 8)),
        )


def train(where, steps=10, build=models.SimpleCNN, lr=0.05):
    """The losses of some steps, and the model."""
    tv.manual_seed(3)
    model = build().to(where)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    criterion, losses = nn.CrossEntropyLoss(), []
    for x, y in prefetch(batches(steps), where):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model


@pytest.mark.parametrize("with_kernels", [True, False])
def test_ten_losses_agree_with_the_cpu(with_kernels):
    expected, _ = train("cpu")
    if with_kernels:
        losses, _ = train("cuda")
    else:
        with kernels.only():
            losses, _ = train("cuda")
    assert np.allclose(losses, expected, rtol=1e-3)  # rounding, amplified by ten steps
    untrained, _ = train("cpu", lr=0.0)
    assert abs(expected[-1] - untrained[-1]) > 2e-2  # far more than that: the steps were taken


def resnet():
    return models.resnet18(num_classes=10)


def test_three_steps_of_resnet18_agree():
    assert np.allclose(train("cuda", 3, resnet)[0], train("cpu", 3, resnet)[0], rtol=2e-2)


def test_two_runs_are_the_same_to_the_last_bit():
    (first, one), (second, two) = train("cuda", 5, resnet), train("cuda", 5, resnet)
    assert first == second
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert np.array_equal(to_numpy(a), to_numpy(b)), name


def test_memory_returns(cupy):
    pool = cupy.get_default_memory_pool()
    train("cuda", 2)
    gc.collect()
    before = pool.used_bytes()
    for _ in range(3):
        train("cuda", 2)
    gc.collect()
    assert pool.used_bytes() == before


def test_out_of_memory_says_what_to_reduce_and_leaves_the_engine_working(cupy):
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + (32 << 20))
    try:
        with pytest.raises(DeviceError, match="smaller batch"):
            to_device(np.zeros(64 << 20, np.uint8), "cuda")
        model, x = models.SimpleCNN(image_size=24).to("cuda"), tv.zeros(1024, 3, 24, 24).to("cuda")
        with pytest.raises(DeviceError, match="smaller batch"), memory_errors_explained():
            model(x)
    finally:
        pool.set_limit(size=0)
    assert len(train("cuda", 2)[0]) == 2


def normalised():
    """A network with batch-norm, whose counters and statistics are part of a step."""
    # No bias before batch-norm, which would take it out again: its gradient is rounding alone, and of that Adam makes
    # steps of full length, up or down, so that two right runs differ by them.
    torso = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    layers = [torso, nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 12 * 12, 10))


@pytest.mark.parametrize("build", [models.SimpleCNN, normalised])
def test_a_captured_step_does_what_the_plain_one_does(build):
    results = []
    for wrap in (lambda step, optimizer: step, GraphedStep):
        tv.manual_seed(3)
        model, criterion = build().to("cuda"), nn.CrossEntropyLoss()
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        def step(x, y, model=model, criterion=criterion, optimizer=optimizer):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = wrap(step, optimizer)
        losses = [run(x, y).item() for x, y in prefetch(batches(8), "cuda")]
        results.append((losses, [to_numpy(a) for a in model.state_dict().values()]))
    (plain, expected), (graphed, got) = results
    # While capturing, linear layers are computed by another kernel: sums in another order, over eight steps.
    assert np.allclose(graphed, plain, rtol=1e-3)
    assert all(np.allclose(a, b, rtol=1e-2, atol=1e-3) for a, b in zip(got, expected, strict=True))
    assert plain[2] != plain[3]


def thinned():
    return nn.Sequential(*normalised(), nn.Dropout(0.3))


@pytest.mark.parametrize(
    ("schedule", "optimizer", "build"),
    [("constant", "sgd", normalised), ("cosine", "sgd", thinned), ("cosine", "adamw", normalised)],
)
def test_fit_replays_its_steps(schedule, optimizer, build):
    rng = np.random.default_rng(0)
    pictures = data.ArrayDataset(rng.integers(0, 256, (70, 24, 24, 3), np.uint8), rng.integers(0, 10, 70))
    results = []
    for graph in (True, False):
        tv.manual_seed(3)
        model, said = build(), []
        options = {"epochs": 3, "batch_size": 16, "schedule": schedule, "device": "cuda"}
        options |= {"optimizer": optimizer, "lr": 0.02 if optimizer == "sgd" else 0.002}
        history = train_module.fit(model, pictures, graph=graph, log=said.append, **options)
        assert not any("CUDA graph" in str(line) for line in said)
        results.append(
            ([row["train_loss"] for row in history.rows], [to_numpy(a) for a in model.state_dict().values()])
        )
    (losses, got), (right, expected) = results
    assert np.allclose(losses, right, rtol=1e-3)
    assert all(np.allclose(a, b, rtol=1e-2, atol=1e-3) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("build", [models.SimpleCNN, normalised, models.resnet18])
def test_a_graphed_model_says_what_the_model_says(build):
    model = build().to("cuda").eval()
    fast = tv.cuda.graphed(model)
    size = 32 if build is models.resnet18 else 24
    for count, seed in ((2, 0), (2, 1), (3, 2), (2, 3)):
        rng = np.random.default_rng(seed)
        x = tv.tensor(rng.standard_normal((count, 3, size, size)).astype(np.float32)).to("cuda")
        with tv.no_grad():
            right = to_numpy(model(x))
        assert np.abs(to_numpy(fast(x)) - right).max() <= 1e-3 * np.abs(right).max()
    assert len(fast.recorded) == 2


def test_the_same_units_are_dropped():
    drawn = []
    for where in ("cpu", "cuda"):
        tv.manual_seed(5)
        drawn.append([to_numpy(nn.functional.dropout(tv.ones(*shape).to(where), 0.3)) for shape in ((7,), (64, 33, 9))])
    assert all(np.array_equal(a, b) for a, b in zip(*drawn, strict=True))


def test_a_convolution_measures_what_batch_norm_normalises():
    """As batch-norm on its own finds it, to float32's digits."""
    tv.manual_seed(2)
    for build in (lambda: nn.Conv2d(64, 96, 3, padding=1, bias=True), lambda: nn.Conv2d(3, 64, 7, 2, 3)):
        conv = build().to("cuda")
        norm = nn.BatchNorm2d(conv.out_channels).to("cuda")
        x = 50 + tv.randn(9, conv.in_channels, 29, 31).to("cuda")
        with tv.precision("tf32"):
            y = conv(x)
            right = y.array.transpose(1, 0, 2, 3).reshape(conv.out_channels, -1)
            nn.Sequential(conv, norm)(x)
        right = to_numpy(right).astype(np.float64)
        assert np.allclose(to_numpy(norm.running_mean), 0.1 * right.mean(1), rtol=1e-5, atol=1e-5)
        assert np.allclose(to_numpy(norm.running_var), 0.9 + 0.1 * right.var(1, ddof=1), rtol=1e-5)


def test_checkpoints_travel(tmp_path):
    _, model = train("cuda", 3)
    pytest.importorskip("safetensors")
    tv.save(model.state_dict(), tmp_path / "model.safetensors")
    other = models.SimpleCNN()
    other.load_state_dict(tv.load(tmp_path / "model.safetensors"))
    x = next(batches(1))[0]
    model.eval()
    other.eval()
    with tv.no_grad():
        expected, got = other(x), model(x.to("cuda"))
    assert device_of(got.array).type == "cuda"
    assert np.allclose(to_numpy(got), to_numpy(expected), atol=1e-4)
    back = models.SimpleCNN().to("cuda")
    back.load_state_dict(tv.load(tmp_path / "model.safetensors"))
    assert all(device_of(p.array).type == "cuda" for p in back.parameters())


def test_resnet18_predicts_the_same():
    tv.manual_seed(0)
    model = models.resnet18().eval()
    x = tv.randn(2, 3, 224, 224)
    with tv.no_grad():
        expected = to_numpy(model(x))
        got = to_numpy(model.to("cuda")(x.to("cuda")))
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


def test_precision_changes_what_it_says(cupy):
    a = to_device(np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32), "cuda")
    right = to_numpy(a).astype(np.float64) @ to_numpy(a).astype(np.float64)
    errors = {}
    for mode in ("ieee", "tf32", "bf16", "fp16", "ieee"):
        with tv.precision(mode):
            errors[mode] = np.abs(to_numpy(tv.tensor(a) @ tv.tensor(a)) - right).max()
    assert errors["ieee"] < 1e-4
    assert errors["ieee"] * 10 < errors["tf32"] < 0.5
    kept = rounded(to_numpy(a), "bf16").astype(np.float64)
    with tv.precision("bf16"):
        np.testing.assert_allclose(to_numpy(tv.tensor(a) @ tv.tensor(a)), kept @ kept, atol=2e-4)


def test_dlpack_shares_memory_with_pytorch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    theirs = torch.zeros(3, device="cuda")
    ours = tv.from_dlpack(theirs)
    theirs += 2
    torch.cuda.synchronize()
    assert to_numpy(ours).tolist() == [2, 2, 2]
    back = torch.from_dlpack(ours)
    assert back.data_ptr() == theirs.data_ptr()
