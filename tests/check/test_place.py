"""The checker on arrays of a device: the same verdicts as on the CPU, and nothing converted by itself.

The pretended device of `strict.py` refuses every silent way to NumPy, as CuPy does.
"""

import numpy as np
import pytest
from strict import StrictArray

import tinyvision as tv
from tinyvision import check, nn
from tinyvision.check import place
from tinyvision.check.ops import SPECS, spec
from tinyvision.device import CPU, Device, device_of
from tinyvision.errors import DeviceError
from tinyvision.ops import linear_backward, linear_forward
from tinyvision.tape import differentiable
from tinyvision.tensors.tensor import Tensor

STRICT = Device("StrictArray")
RNG = np.random.default_rng(4)
X, W, B = RNG.standard_normal((3, 4)), RNG.standard_normal((5, 4)), RNG.standard_normal(5)


@pytest.fixture(autouse=True)
def a_device_called_strict(monkeypatch):
    """`device=STRICT` is not refused as no GPU, and names the pretended device."""
    monkeypatch.setattr(place, "to_device", lambda array, where: StrictArray(array) if where == STRICT else array)


def said(report):
    """All that a report says, but for where it ran, the time it took, places in files, and the line to change, which is
    looked for with NumPy's arrays alone."""
    told = ("argument", "mistake", "signature", "certainty", "message", "where")
    findings = [
        [*(str(getattr(finding, part)) for part in told), [f for f in finding.facts if "The line to change" not in f]]
        for finding in report.findings
    ]
    return report.status, findings, report.notes, report.probes


@pytest.mark.parametrize("op", [op for op in SPECS if op != "sgd"])
def test_the_engines_own_ops_pass_there(op):
    report = check.op(op, device=STRICT)
    assert report.passed, str(report)
    assert report.device == "StrictArray"
    assert said(report) == said(check.op(op))


def with_backward(op, change, where):
    forward, backward = spec(op).ours()

    def mine(dy, cache):
        return change(list(backward(dy, cache)), dy, cache)

    return check.op(op, forward, mine, device=where)


def changed_in_place(g, dy, cache):
    dy *= 2
    return g


def kept(g, dy, cache, buffers={}):  # noqa: B006  the very mistake
    buffers[type(dy)] = buffers[type(dy)] + g[1] if type(dy) in buffers else g[1]
    return [g[0], buffers[type(dy)], g[2]]


MISTAKES = {
    "sign": ("conv2d", lambda g, dy, cache: [-g[0], *g[1:]]),
    "factor": ("linear", lambda g, dy, cache: [g[0], g[1] / len(dy), g[2]]),
    "no mask": ("relu", lambda g, dy, cache: [dy.copy()]),
    "not summed": ("linear", lambda g, dy, cache: [g[0], g[1], dy]),
    "unnamed": ("conv2d", lambda g, dy, cache: [g[0] + g[0] * g[0] * 0.1, *g[1:]]),
    "swapped": ("linear", lambda g, dy, cache: [g[1], g[0], g[2]]),
    "missing": ("linear", lambda g, dy, cache: [g[0], g[1], None]),
    "count": ("linear", lambda g, dy, cache: g[:2]),
    "raises": ("linear", lambda g, dy, cache: g[7]),
    "float32": ("conv2d", lambda g, dy, cache: [g[0].astype(np.float32), *g[1:]]),
    "integers": ("conv2d", lambda g, dy, cache: [g[0].astype(int), *g[1:]]),
    "not finite": ("linear", lambda g, dy, cache: [g[0] / np.zeros_like(g[0]), *g[1:]]),
    "dy changed": ("linear", changed_in_place),
    "one memory": ("add", lambda g, dy, cache: [dy, dy]),
    "batch": ("batchnorm_train", lambda g, dy, cache: [g[0] - g[0].mean(0, keepdims=True), *g[1:]]),
    "loss": ("cross_entropy", lambda g, dy, cache: [g[0] * 2]),
    "a list": ("relu", lambda g, dy, cache: [list(g[0])]),
    "stacked": ("add", lambda g, dy, cache: np.stack([g[0], g[1]])),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_the_same_words_there(mistake):
    op, change = MISTAKES[mistake]
    there, here = (with_backward(op, change, where) for where in (STRICT, "cpu"))
    assert said(there) == said(here)
    assert not there.passed or there.notes or mistake in ("a list", "stacked")


def test_what_is_kept_between_calls_is_noticed_there():
    for where in (STRICT, "cpu"):
        assert with_backward("linear", kept, where).findings[0].mistake == "accumulates"


def test_a_wrong_forward_and_a_shared_output_there():
    forward, backward = spec("linear").ours()
    buffer = {}

    def doubled(x, weight, bias):
        y, cache = forward(x, weight, bias)
        return 2 * y, cache

    def shared(x, weight, bias):
        y, cache = forward(x, weight, bias)
        out = buffer.setdefault((type(y), y.shape), y)
        out[...] = y
        return out, cache

    for function, mistake in ((doubled, None), (shared, "overwritten")):
        there, here = (check.op("linear", function, backward, device=where) for where in (STRICT, "cpu"))
        assert said(there) == said(here)
        assert there.findings[0].mistake == mistake
    assert there.findings[0].argument == "y"


def test_what_was_brought_back_is_found():
    """A NumPy array from arrays of a GPU, and the other way round."""
    for change, where, words in (
        (lambda g, dy, cache: [g[0], g[1].get(), g[2]], STRICT, "dweight is on cpu, but the inputs are on StrictArray"),
        (lambda g, dy, cache: [g[0], [row.get() for row in g[1]], g[2]], STRICT, "dweight is on cpu"),
        (lambda g, dy, cache: [g[0], StrictArray(g[1]), g[2]], "cpu", "dweight is on StrictArray, but the inputs"),
    ):
        report = with_backward("linear", change, where)
        (finding,) = report.findings
        assert finding.mistake == "wrong_device"
        assert words in finding.message
        assert report.status["dweight"] == "wrong"
        assert report.status["dx"] == "ok"
    report = check.op("relu", lambda x: (np.maximum(x.get(), 0), x), device=STRICT)
    assert report.findings[0].mistake == "wrong_device"
    assert report.findings[0].argument == "y"


def test_an_implicit_conversion_is_the_functions_own_exception():
    report = check.op("relu", lambda x: (np.asarray(x), x), device=STRICT)
    assert report.findings[0].mistake == "exception"
    assert "Implicit conversion" in report.findings[0].message


def test_an_update_rule_there():
    def rule(weight, grad, velocity, lr, momentum, weight_decay):
        velocity = momentum * velocity + grad + weight_decay * weight
        return weight - lr * velocity, velocity

    def in_place(weight, grad, velocity, lr, momentum, weight_decay):
        weight -= lr * grad

    def spoils(weight, grad, velocity, lr, momentum, weight_decay):
        grad += weight_decay * weight
        return weight - lr * grad, velocity

    for function, passes in ((None, True), (rule, True), (in_place, False), (spoils, False)):
        there, here = (check.op("sgd", function, device=where) for where in (STRICT, "cpu"))
        assert said(there) == said(here)
        assert there.passed == passes
        assert there.device == "StrictArray"


# -- any pair of functions


def affine(x, w, b):
    return x @ w.T + b, (x, w)


def affine_backward(dy, cache):
    return dy @ cache[1], dy.T @ cache[0], dy.sum(0)


@pytest.mark.parametrize("change", [
    lambda g, dy: g, lambda g, dy: [2 * g[0], *g[1:]], lambda g, dy: [g[0], g[1].T, g[2]],
    lambda g, dy: [g[0], g[1], dy], lambda g, dy: [0 * g[0], *g[1:]], lambda g, dy: [g[0][::-1], *g[1:]],
])  # fmt: skip
def test_any_pair_there(change):
    def backward(dy, cache):
        return change(affine_backward(dy, cache), dy)

    there = check.gradients(affine, backward, [StrictArray(a) for a in (X, W, B)])
    assert there.device == "StrictArray"
    assert said(there) == said(check.gradients(affine, backward, (X, W, B)))


def test_kinks_labels_and_losses_there():
    x, labels = np.array([[0.0, 1, 2], [-1, 0, 3]]), np.array([2, 0])
    for slope, legal in ((0.0, True), (3.0, False)):

        def backward(dy, x, s=slope):
            return dy * np.where(x == 0, s + 0 * x, np.sign(x))

        there, here = (check.gradients(lambda x: (np.absolute(x), x), backward, a) for a in (StrictArray(x), x))
        assert said(there) == said(here)
        assert there.passed == legal
    forward, backward = tv.ops.cross_entropy_forward, tv.ops.cross_entropy_backward
    report = check.gradients(forward, backward, (StrictArray(x), StrictArray(labels)))
    assert report.passed, str(report)
    assert said(report) == said(check.gradients(forward, backward, (x, labels)))


def test_tensors_are_taken_by_their_arrays():
    def forward(x, w, b):
        assert isinstance(x, StrictArray)
        return affine(x, w, b)

    inputs = [Tensor.of(StrictArray(a), requires_grad=True) for a in (X, W, B)]
    assert check.gradients(forward, affine_backward, inputs).passed
    single = check.gradients(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, Tensor.of(X))
    assert single.passed
    assert single.device == "cpu"


def test_inputs_on_two_devices_are_refused():
    with pytest.raises(DeviceError, match=r"several devices \(StrictArray, cpu, cpu\)"):
        check.gradients(affine, affine_backward, (StrictArray(X), W, B))


# -- a network


class Small(nn.Module):
    def __init__(self, op=None):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu, self.pool, self.head = nn.ReLU(), nn.MaxPool2d(2), nn.Linear(3 * 3 * 3, 4)
        self.op = op or (lambda x, weight, bias: self.head(x))

    def forward(self, x):
        x = self.pool(self.relu(self.norm(self.conv(x))))
        return self.op(x.view(x.size(0), -1), self.head.weight, self.head.bias)


def there(model):
    """The model with its arrays on the pretended device."""
    for t in (*model.parameters(), *model.buffers()):
        t.array = StrictArray(t.array)
    return model


def small(op=None):
    tv.manual_seed(5)
    return Small(op)


IMAGES = np.random.default_rng(6).standard_normal((3, 2, 6, 6)).astype(np.float32)
LABELS = np.array([0, 3, 3])


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("labels", [True, False])
def test_a_network_there(factor, labels):
    def backward(dy, cache, needs):
        dx, dweight, dbias = linear_backward(dy, cache, needs)
        return dx, dweight * factor, dbias

    op = differentiable(linear_forward, backward)
    x, y = tv.Tensor.of(StrictArray(IMAGES)), tv.Tensor.of(StrictArray(LABELS))
    model = there(small(op))
    before = {name: a.array.get() for name, a in model.state_dict().items()}
    report = check.model(model, (x, y) if labels else x)
    here = check.model(small(op), (tv.Tensor.of(IMAGES), LABELS) if labels else IMAGES)
    assert report.device == "StrictArray"
    assert report.status == here.status
    assert [f.signature for f in report.findings] == [f.signature for f in here.findings]
    assert report.passed == (factor == 1)
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a.array.get(), before[name])


def test_a_batch_elsewhere_is_refused():
    with pytest.raises(DeviceError, match="the model is on StrictArray but the batch is on cpu"):
        check.model(there(small()), (tv.Tensor.of(IMAGES), LABELS))


# -- what is told


def test_the_report_says_where_it_ran():
    report = check.op("relu", device=STRICT)
    assert str(report).startswith(" ok relu on StrictArray   forward ok")
    assert report.as_dict()["device"] == "StrictArray"
    assert "relu on StrictArray" in report._repr_html_()
    assert repr(report) == "<Report relu on StrictArray: passed>"
    assert str(check.op("relu")).startswith(" ok relu   forward ok")
    assert check.op("relu").as_dict()["device"] == "cpu"


def test_a_call_is_over_when_the_gpu_is_done(monkeypatch):
    """Errors of a GPU come late; waiting makes them the exception of the call that caused them."""
    monkeypatch.setattr(place, "use", lambda where: None)
    gpu = place.Place()
    gpu.device = Device("cuda", 1)

    def late(where):
        raise RuntimeError(f"an illegal memory access on {where}")

    monkeypatch.setattr(place, "synchronize", late)
    call = check.runner.call(lambda: 3, (), at=gpu)
    assert "illegal memory access on cuda:1" in str(call.error)
    assert not call.ok


def test_names_of_devices(monkeypatch):
    monkeypatch.undo()
    assert place.Place.named("cpu").device == CPU
    with pytest.raises(DeviceError, match='expected "cpu", "cuda"'):
        check.op("relu", device="gpu")
    monkeypatch.setattr("tinyvision.check.place.to_device", lambda array, where: StrictArray(array))
    assert device_of(place.Place.named("cuda").send(X)) == STRICT
