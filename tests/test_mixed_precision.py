"""`precision("bf16")` and "fp16": what is rounded and what is not; autocast and GradScaler beside PyTorch's."""

import copy
import pickle
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from pretended_gpu import pretended_gpu  # noqa: F401  a fixture

import tinyvision as tv
from tinyvision import kernels, nn, precision
from tinyvision.device import to_numpy
from tinyvision.errors import DeviceError, DtypeError, OptionError
from tinyvision.nn import fusing
from tinyvision.ops.rounding import rounded
from tinyvision.tensors import taped

THEIRS = {"bf16": torch.bfloat16, "fp16": torch.float16}
SPECIAL = [0x0000, 0x8000, 0x3F800000, 0x3F808000, 0x3F818000, 0x3F818001, 0x3F817FFF, 0x7F7FFFFF, 0x7F800000,
           0xFF800000, 0x00000001, 0x0000FFFF, 0x00018000, 0x33000000, 0x33000001, 0x477FEFFF, 0x477FF000]  # fmt: skip
NANS = [0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("mode", THEIRS)
def test_rounding_is_pytorchs_to_the_bit(rng, mode):
    bits = np.concatenate([rng.integers(0, 2**32, 20000, np.uint32), np.array(SPECIAL, np.uint32)])
    x = bits.view(np.float32)
    x = x[~np.isnan(x)]
    x = np.concatenate([x, rng.standard_normal(2000).astype(np.float32)])
    expected = torch.from_numpy(x).to(THEIRS[mode]).float().numpy()
    kept, before = rounded(x, mode), x.copy()
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept.view(np.uint32), expected.view(np.uint32))
    np.testing.assert_array_equal(rounded(kept, mode).view(np.uint32), kept.view(np.uint32))
    np.testing.assert_array_equal(x.view(np.uint32), before.view(np.uint32))
    assert np.isnan(rounded(np.array(NANS, np.uint32).view(np.float32), mode)).all()


def test_rounding_keeps_the_order_of_memory_and_takes_views(rng):
    x = rng.standard_normal((2, 6, 5, 3)).astype(np.float32).transpose(0, 3, 1, 2)[:, :, ::2]
    for mode in THEIRS:
        np.testing.assert_array_equal(rounded(x, mode), rounded(x.copy(), mode))
        strides = rounded(x, mode).strides
        assert sorted(range(4), key=lambda a: -strides[a]) == [0, 2, 3, 1]


# op on the tape, its pair, the shapes of its arrays, options
PRODUCTS = {
    "conv2d": (taped.conv2d, (2, 4, 7, 6), (6, 2, 3, 3), (6,), {"stride": 2, "padding": 1, "groups": 2}),
    "conv2d, many channels": (taped.conv2d, (2, 16, 9, 9), (16, 16, 3, 3), None, {"padding": 1}),
    "conv2d, depthwise": (taped.conv2d, (2, 5, 7, 6), (5, 1, 3, 3), (5,), {"padding": 1, "groups": 5}),
    "conv2d, 1×1": (taped.conv2d, (2, 5, 4, 3), (7, 5, 1, 1), (7,), {}),
    "conv_transpose2d": (taped.conv_transpose2d, (2, 4, 5, 3), (4, 3, 3, 3), (3,), {"stride": 2}),
    "linear": (taped.linear, (3, 5, 40), (7, 40), (7,), {}),
    "matmul": (taped.matmul, (4, 3, 5), (4, 5, 6), None, {}),
}  # fmt: skip


def case(name, rng):
    op, *shapes, options = PRODUCTS[name]
    return op, [rng.standard_normal(s).astype(np.float32) for s in shapes if s is not None], options


def by_definition(op, arrays, dy, options, mode):
    """The op in float64, of rounded factors; a bias and its gradient are not rounded."""
    y, cache = op.forward(
        *[rounded(a, mode).astype(float) for a in arrays[:2]], *map(np.float64, arrays[2:]), **options
    )
    needs = (True,) * len(arrays)
    gradients = op.backward(rounded(dy, mode).astype(float), cache, needs)
    return y, [*gradients[:2], *op.backward(dy.astype(float), cache, needs)[2:]]


@pytest.mark.parametrize("switched", [(), None], ids=["readable", "loops"])
@pytest.mark.parametrize("mode", THEIRS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_of_rounded_factors_and_summed_in_float32(rng, name, mode, switched):
    op, arrays, options = case(name, rng)
    leaves = [tv.tensor(a, requires_grad=True) for a in arrays]
    with kernels.only(*(kernels.names() if switched is None else switched)):
        with precision(mode):
            y = op(*leaves, **options)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        y.backward(tv.tensor(dy))  # outside of the block: it rounds as its forward did
    expected, gradients = by_definition(op, arrays, dy, options, mode)
    got = [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]
    for what, one, right in zip(("y", "first", "second", "bias"), got, [expected, *gradients], strict=False):
        assert one.dtype == np.float32
        close = 2e-6 if name != "conv2d, many channels" else 1e-5  # Winograd's
        assert np.abs(one - right).max() <= close * np.abs(right).max(), what
    in_full, _ = op.forward(*map(np.float64, arrays), **options)
    assert np.abs(got[0] - in_full).max() > 20 * close * np.abs(in_full).max()  # and something was rounded


@pytest.mark.parametrize("name", PRODUCTS)
def test_beside_pytorchs_autocast(rng, name):
    """Ours is nearer to the exact result than bf16's rounding allows for; PyTorch's is ours, rounded."""
    op, arrays, options = case(name, rng)
    with precision("bf16"):
        ours = op(*map(tv.tensor, arrays), **options).numpy()
    functions = torch.nn.functional
    function = torch.matmul if name == "matmul" else getattr(functions, op.__name__)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = function(*map(torch.from_numpy, arrays), **options)
    assert theirs.dtype == torch.bfloat16
    exact, _ = op.forward(*map(np.float64, arrays), **options)
    largest, _ = op.forward(*(np.abs(a).astype(float) for a in arrays), **options)  # Σ |x| |w|
    assert (np.abs(ours - exact) <= (2 * 2**-8 + 2**-16) * largest).all()
    assert (np.abs(theirs.float().numpy() - ours) <= 2**-7 * np.abs(ours) + 2**-8 * np.abs(largest)).all()


def test_what_is_no_product_is_not_touched(rng):
    x = tv.tensor(rng.standard_normal((4, 6)).astype(np.float32))
    norm = nn.BatchNorm1d(6)

    def others():
        labels = tv.tensor([0, 1, 5, 2])
        loss = nn.functional.cross_entropy(x, labels)
        return [x.softmax(1), x * x, x.sum(), norm(x), loss, x.exp(), x.mean(0), x + 1]

    before = [y.detach().numpy() for y in others()]
    with precision("bf16"):
        for y, right in zip(others(), before, strict=True):
            np.testing.assert_array_equal(y.detach().numpy(), right)


def test_other_dtypes_are_not_touched(rng):
    a, b = (tv.tensor(rng.standard_normal((5, 5))) for _ in range(2))
    whole = tv.tensor(np.arange(257 * 2).reshape(2, 257))
    right, product = (a @ b).numpy(), (whole @ whole.T).numpy()
    with precision("bf16"):
        np.testing.assert_array_equal((a @ b).numpy(), right)
        np.testing.assert_array_equal((whole @ whole.T).numpy(), product)


def test_everything_that_multiplies_is_reached(rng):
    """By its spellings: what is not rounded would be exact here, where one factor is 257 and the other 1."""
    x, one = tv.full((1, 1, 1, 1), 257.0), tv.ones(1, 1, 1, 1)
    spelled = {
        "@": lambda: x[0, 0] @ one[0, 0],
        "bmm": lambda: tv.bmm(x[0], one[0]),
        "mv": lambda: x[0, 0] @ one[0, 0, 0],
        "addmm": lambda: tv.addmm(tv.zeros(1, 1), x[0, 0], one[0, 0]),
        "einsum": lambda: tv.einsum("ij,jk->ik", x[0, 0], one[0, 0]),
        "linear": lambda: nn.functional.linear(x[0, 0], one[0, 0]),
        "conv2d": lambda: nn.functional.conv2d(x, one),
        "conv1d": lambda: nn.functional.conv1d(x[0], one[0]),
        "conv_transpose2d": lambda: nn.functional.conv_transpose2d(x, one),
        "second factor": lambda: one[0, 0] @ x[0, 0],
    }
    for mode, value in (("bf16", 256), ("fp16", 257), ("ieee", 257), ("tf32", 257)):
        with precision(mode):
            assert {name: call().item() for name, call in spelled.items()} == dict.fromkeys(spelled, value)


@pytest.mark.parametrize("mode", THEIRS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_gpu_rounds_as_the_cpu_does(pretended_gpu, monkeypatch, rng, name, mode):  # noqa: F811
    monkeypatch.setattr(sys.modules["tinyvision.device"], "_apply_precision", lambda mode: None)  # it has no cuBLAS
    op, arrays, options = case(name, rng)
    results = {}
    for where in ("cpu", "cuda"):
        leaves = [tv.tensor(a).to(where).requires_grad_() for a in arrays]
        with precision(mode, where), kernels.only():
            y = op(*leaves, **options)
        y.backward(y.detach())
        results[where] = [to_numpy(a) for a in (y, *(leaf.grad for leaf in leaves))]
        assert tv.get_precision("cuda") == tv.get_precision("cpu") == "ieee"
    for one, other in zip(*results.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(one).max())


def test_fused_inference_rounds_and_keeps_nothing_rounded(rng):
    conv, norm = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.act = conv, norm, nn.ReLU()

        def norm_pairs(self):
            return [("conv", "norm")]

        def forward(self, x):
            return fusing.conv_norm_act(x, self.conv, self.norm, self.act)

    norm.running_mean.array[...] = rng.standard_normal(16)
    net = Net().eval()
    x = tv.tensor(rng.standard_normal((1, 16, 12, 12)).astype(np.float32))
    for model in (net, fusing.fuse(net)):
        with tv.no_grad():
            full = model(x).numpy()
            with precision("bf16"):
                half = model(x).numpy()
            np.testing.assert_array_equal(model(x).numpy(), full)
            weight, x16 = rounded(model.conv.weight.array, "bf16"), tv.tensor(rounded(x.array, "bf16"))
            other = copy.deepcopy(model)
            other.conv.weight = nn.Parameter(weight)
            np.testing.assert_allclose(other(x16).numpy(), half, atol=2e-5)
        assert np.abs(half - full).max() > 1e-3


def test_a_network_learns_in_it(rng):
    """Twenty steps: the losses are those of float32, to bf16's two digits, and those of PyTorch's autocast."""
    x, labels = rng.standard_normal((16, 3, 8, 8)).astype(np.float32), rng.integers(0, 3, 16)
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
                                 torch.nn.Flatten(), torch.nn.Linear(8 * 36, 3))  # fmt: skip
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    losses = {}
    for mode in ("ieee", "bf16", "fp16"):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
        model.load_state_dict({name: tv.tensor(value.copy()) for name, value in state.items()})
        losses[mode] = train(tv, model, tv.tensor(x), tv.tensor(labels), lambda mode=mode: precision(mode))
        assert all(p.dtype == np.float32 and p.grad.dtype == np.float32 for p in model.parameters())
    autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16)  # noqa: E731
    losses["theirs"] = train(torch, theirs, torch.from_numpy(x), torch.from_numpy(labels), autocast)
    assert losses["ieee"][-1] < losses["ieee"][0] / 2
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses["ieee"], rtol=0.03, atol=0.01, err_msg=name)
    assert losses["bf16"] != losses["ieee"]


def train(torch, model, x, labels, block):
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.02), []
    for _ in range(20):
        with block():
            loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# ---- autocast --------------------------------------------------------------------------------------------------------


def of_257():
    return (tv.full((1, 1), 257.0) @ tv.ones(1, 1)).item()


def test_autocast_by_all_its_spellings():
    for block in (tv.autocast("cpu"), tv.amp.autocast("cpu", dtype=tv.bfloat16), tv.autocast(device_type="cpu")):
        with block:
            assert of_257() == 256
            assert tv.is_autocast_enabled("cpu")
            assert tv.get_autocast_dtype("cpu") is tv.bfloat16
            with block:  # again, inside of itself
                assert of_257() == 256
            with tv.autocast("cpu", enabled=False):
                assert of_257() == 257
            with tv.autocast("cpu", dtype=tv.float16):
                assert of_257() == 257
                assert tv.get_autocast_dtype("cpu") == tv.float16
        assert of_257() == 257
    assert not tv.is_autocast_enabled("cpu")
    assert tv.autocast("cpu")(of_257)() == 256
    with tv.autocast("cpu", enabled=1):
        assert of_257() == 256
    with pytest.warns(UserWarning, match="float32"), tv.autocast("cpu", dtype=tv.float32):
        assert of_257() == 257
    with pytest.raises(ZeroDivisionError), tv.autocast("cpu"):
        raise ZeroDivisionError
    assert of_257() == 257


@pytest.mark.skipif(tv.cuda.is_available(), reason="a GPU is there")
def test_autocast_for_a_gpu_that_is_not_there():
    for block in (lambda: tv.cuda.amp.autocast(), lambda: tv.autocast("cuda", tv.bfloat16), lambda: tv.amp.autocast()):
        with pytest.warns(UserWarning, match="no GPU"), block():
            assert of_257() == 257
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with tv.cuda.amp.autocast(False):
            assert of_257() == 257
    assert tv.cuda.is_bf16_supported() is False


def test_a_precision_for_one_kind_of_device():
    with precision("bf16", "cuda"):
        assert (tv.get_precision(), tv.get_precision("cpu")) == ("bf16", "ieee")
        assert of_257() == 257
        with precision("bf16", "cpu"), precision("ieee", "cuda"):
            assert (tv.get_precision("cuda"), tv.get_precision("cpu")) == ("ieee", "bf16")
            assert of_257() == 256
    assert (tv.get_precision(), tv.get_precision("cpu")) == ("ieee", "ieee")


def test_threads_do_not_see_each_others_blocks():
    """Neither what is in force, nor what was when another began: two that overlap leave nothing behind."""
    first, second, seen = threading.Event(), threading.Event(), {}

    def other():
        seen["before"] = of_257()
        with precision("fp16"), tv.autocast("cpu"):
            first.set()
            second.wait(600)
            seen["inside"] = of_257()
        seen["after"] = tv.get_precision(), tv.get_precision("cpu")

    with precision("bf16"):
        thread = threading.Thread(target=other)
        thread.start()
        assert first.wait(600)
    assert (tv.get_precision(), tv.get_precision("cpu")) == ("ieee", "ieee")
    with tv.autocast("cpu"):
        second.set()
        thread.join(600)
        assert of_257() == 256
    assert (tv.get_precision(), tv.get_precision("cpu")) == ("ieee", "ieee")
    assert seen == {"before": 257, "inside": 256, "after": ("ieee", "ieee")}


def test_one_decorator_in_two_threads_that_overlap():
    """The first to enter is the first to leave: each leaves its own block."""
    seen, steps = {}, {name: [threading.Event() for _ in range(3)] for name in ("first", "second")}

    @tv.autocast("cpu")
    def wait(name):
        steps[name][0].set()
        assert steps[name][1].wait(600)

    def run(name, mode):
        with precision(mode):
            wait(name)
            seen[name] = tv.get_precision("cpu")
        steps[name][2].set()

    threads = [threading.Thread(target=run, args=pair) for pair in (("first", "fp16"), ("second", "ieee"))]
    for thread, name in zip(threads, steps, strict=True):
        thread.start()
        assert steps[name][0].wait(600)
    for name in steps:
        steps[name][1].set()
        assert steps[name][2].wait(600)
    assert seen == {"first": "fp16", "second": "ieee"}


def test_a_backward_in_another_thread_changes_nothing_here():
    x = tv.ones(2, 2, requires_grad=True)
    with precision("bf16"):
        y = (x @ x).sum()
    with tv.autocast("cpu"):
        thread = threading.Thread(target=y.backward)
        thread.start()
        thread.join(600)
        assert tv.is_autocast_enabled("cpu")
    assert not tv.is_autocast_enabled("cpu")
    assert x.grad.tolist() == [[4, 4], [4, 4]]


def test_what_autocast_refuses():
    for wrong in ({"dtype": tv.float64}, {"device_type": "mps"}, {"enabled": "yes"}, {"dtype": "half"}):
        with pytest.raises(OptionError, match="autocast"):
            tv.autocast(**{"device_type": "cpu", **wrong})
    for call in (lambda: tv.zeros(2, dtype=tv.bfloat16), lambda: tv.zeros(2).to(tv.bfloat16), tv.zeros(2).bfloat16,
                 lambda: tv.tensor([1.0], dtype=tv.bfloat16), lambda: nn.Linear(2, 2).to(tv.bfloat16),
                 lambda: np.zeros(2, tv.bfloat16)):  # fmt: skip
        with pytest.raises(DtypeError, match=r'bfloat16.*precision\("bf16"\)'):
            call()
    assert tv.zeros(2).dtype != tv.bfloat16
    assert copy.deepcopy(tv.bfloat16) is pickle.loads(pickle.dumps(tv.bfloat16)) is tv.bfloat16
    with pytest.raises(AttributeError, match="block"):
        tv.set_autocast_enabled("cpu", True)


# ---- the scale -------------------------------------------------------------------------------------------------------


def steps(torch, scaler, factors):
    """A parameter, and the scale, after each step; the gradient of step i is factors[i]."""
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer, seen = torch.optim.SGD([p], lr=0.25), []
    for factor in factors:
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append((p.detach().numpy().tolist(), scaler.get_scale(), scaler.state_dict()))
    return seen


def test_the_scale_goes_as_pytorchs_does():
    factors = [1.0, float("inf"), 2.0, 1.0, 1.0, 3.0e38, float("nan"), 0.5, 1.0, 1.0, 1.0]
    options = {"init_scale": 1024.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 3}
    with np.errstate(over="ignore"):
        ours = steps(tv, tv.amp.GradScaler("cpu", **options), factors)
    assert ours == steps(torch, torch.amp.GradScaler("cpu", **options), factors)
    assert len({scale for _, scale, _ in ours}) == 3


def test_a_scale_goes_on_where_another_ended():
    options = {"init_scale": 64.0, "growth_interval": 4}
    whole = steps(tv, tv.amp.GradScaler("cpu", **options), [1.0] * 6)
    first = torch.amp.GradScaler("cpu", **options)
    steps(torch, first, [1.0] * 3)
    later = tv.amp.GradScaler("cpu")
    later.load_state_dict(first.state_dict())
    assert [scale for _, scale, _ in steps(tv, later, [1.0] * 3)] == [scale for _, scale, _ in whole[3:]]
    with pytest.raises(OptionError, match="no growth_factor"):
        later.load_state_dict({"scale": 2.0, "backoff_factor": 0.5, "growth_interval": 1, "_growth_tracker": 0})
    with pytest.raises(OptionError, match="not enabled"):
        later.load_state_dict({})


def test_gradients_that_fp16_would_lose_are_kept():
    x, w = tv.full((1, 4), 1.0), tv.tensor(np.full((4, 4), 0.5, np.float32), requires_grad=True)
    scaler = tv.amp.GradScaler("cpu")

    def gradient(scale):
        w.grad = None
        with tv.autocast("cpu", dtype=tv.float16):
            loss = (x @ w).sum() * 1e-9
        scale(loss).backward()
        return w.grad.numpy().copy()

    assert (gradient(lambda loss: loss) == 0).all()
    np.testing.assert_allclose(gradient(scaler.scale), 1e-9 * 65536, rtol=1e-3)


def test_gradients_are_looked_at_in_between():
    p = tv.tensor([3.0, 4.0], requires_grad=True)
    optimizer, scaler = tv.optim.SGD([p], lr=1.0), tv.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale((p * p).sum() / 2).backward()
    assert p.grad.tolist() == [24, 32]
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5
    with pytest.raises(OptionError, match=r"update\(\) comes first"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    np.testing.assert_allclose(p.detach().numpy(), [2.4, 3.2], rtol=1e-6)
    with pytest.raises(OptionError, match=r"update\(\) comes first"):
        scaler.step(optimizer)
    scaler.update()
    scaler.update(new_scale=2)
    assert scaler.get_scale() == 2
    assert [y.item() for y in scaler.scale((p[0] * 0 + 1, p[1] * 0 + 3))] == [2, 6]
    assert [y.item() for y in scaler.scale(q * 0 + 1 for q in p)] == [2, 2]


def test_what_the_scale_refuses():
    p = tv.tensor([1.0], requires_grad=True)
    optimizer, scaler = tv.optim.SGD([p], lr=1.0), tv.amp.GradScaler("cpu")
    for call, why in (
        (lambda: scaler.step(optimizer), "no parameter of this optimizer has a gradient"),
        (lambda: scaler.step(optimizer, lambda: p), "closure"),
        (scaler.update, "before any step"),
        (lambda: scaler.set_growth_factor(1.0), "growth_factor more than 1"),
        (lambda: scaler.set_backoff_factor(1.0), "backoff_factor between 0 and 1"),
        (lambda: scaler.set_growth_interval(0), "growth_interval at least 1"),
        (lambda: tv.amp.GradScaler("cpu", backoff_factor=2.0), "backoff_factor between 0 and 1"),
        (lambda: tv.amp.GradScaler("cpu", growth_interval=0), "growth_interval at least 1"),
    ):
        with pytest.raises(OptionError, match=why):
            call()
    with pytest.raises(DeviceError):
        tv.amp.GradScaler("mps")
    (p * 2).backward()
    with pytest.raises(OptionError, match="no loss has been scaled"):
        scaler.step(optimizer)
    assert p.grad.tolist() == [2]
    with pytest.raises(OptionError, match="takes tensors, got float"):
        scaler.scale(2.0)
    half, scaler = tv.tensor([1.0], dtype=tv.float16, requires_grad=True), tv.amp.GradScaler("cpu", 2.0)
    scaler.scale(half.sum()).backward()
    with pytest.raises(OptionError, match="float16"):
        scaler.step(tv.optim.SGD([half], lr=1.0))


def test_a_scale_is_set_otherwise_on_the_way():
    scaler = tv.amp.GradScaler(tv.device("cpu"), init_scale=64.0)
    scaler.set_growth_factor(4.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(2)
    assert (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()) == (4, 0.25, 2)
    scales = [scale for _, scale, _ in steps(tv, scaler, [1.0, 1.0, float("inf"), 1.0])]
    assert scales == [64, 256, 64, 64]


def test_a_scale_that_is_off():
    off = [tv.amp.GradScaler("cpu", enabled=False)]
    if not tv.cuda.is_available():
        with pytest.warns(UserWarning, match="no GPU"):
            off.append(tv.cuda.amp.GradScaler(512.0))
    for scaler in off:
        p = tv.tensor([1.0], requires_grad=True)
        optimizer = tv.optim.SGD([p], lr=1.0)
        scaler.scale(p.sum()).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer, lambda: None)
        scaler.update()
        assert p.item() == 0
        assert (scaler.get_scale(), scaler.is_enabled(), scaler.state_dict()) == (1.0, False, {})
        scaler.load_state_dict({})


def test_a_copy_of_the_name_is_the_name():
    for twin in (copy.copy(tv.bfloat16), copy.deepcopy(tv.bfloat16), pickle.loads(pickle.dumps(tv.bfloat16))):
        assert twin is tv.bfloat16
