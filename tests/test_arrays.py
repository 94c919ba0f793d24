"""Arrays of other libraries, and what is no array at all, are refused by name at every public door."""

import re
import types

import numpy as np
import pytest
from strict import StrictArray

import tinyvision as tv
from tinyvision import data, nn, ops
from tinyvision.arrays import check_is_array, is_array
from tinyvision.device import device_of, to_device
from tinyvision.errors import DtypeError, OptionError
from tinyvision.nn import functional as F

IMAGES, ROWS, LABELS = (2, 3, 8, 8), (2, 3), (2,)


def layers():
    """(a name, a layer, the shape of what it takes)"""
    chain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    for layer in (
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.ReLU(),
        nn.ReLU6(), nn.LeakyReLU(), nn.Sigmoid(), nn.Tanh(), nn.Softmax(1), nn.LogSoftmax(1), nn.Dropout(),
        nn.Dropout2d(), nn.Flatten(), nn.Flatten(1, 2), chain, tv.models.resnet18(num_classes=2),
    ):  # fmt: skip
        yield type(layer).__name__, layer, IMAGES
    yield "Linear", nn.Linear(3, 4), ROWS
    yield "BatchNorm1d", nn.BatchNorm1d(3), ROWS


def calls():
    """{what is called: (a function of one array, the shape of that array)}"""
    scores, labels, x = tv.randn(*ROWS), tv.tensor([0, 1]), tv.randn(*IMAGES)
    weighted = {"weight": [1.0, 2.0, 3.0]}
    table = {}
    for name, layer, shape in layers():
        table[name] = layer, shape
        table[f"{name} in evaluation"] = tv.no_grad()(lambda x, layer=layer: layer.eval()(x)), shape
    table |= {
        "CrossEntropyLoss input": (lambda a: nn.CrossEntropyLoss()(a, labels), ROWS),
        "CrossEntropyLoss target": (lambda a: nn.CrossEntropyLoss()(scores, a), LABELS),
        "weighted CrossEntropyLoss": (lambda a: nn.CrossEntropyLoss(**weighted)(a, labels), ROWS),
        "NLLLoss input": (lambda a: nn.NLLLoss()(a, labels), ROWS),
        "NLLLoss target": (lambda a: nn.NLLLoss()(scores, a), LABELS),
        "MSELoss input": (lambda a: nn.MSELoss()(a, scores), ROWS),
        "MSELoss target": (lambda a: nn.MSELoss()(scores, a), ROWS),
        "F.conv2d weight": (lambda a: F.conv2d(x, a), (4, 3, 3, 3)),
        "F.linear weight": (lambda a: F.linear(scores, a), (4, 3)),
        "F.pad": (lambda a: F.pad(a, (1, 1)), IMAGES),
        "F.batch_norm mean": (lambda a: F.batch_norm(x, a, tv.ones(3)), (3,)),
        "F.batch_norm mean in training": (lambda a: F.batch_norm(x, a, tv.ones(3), training=True), (3,)),
        "index": (lambda a: tv.arange(4)[a], LABELS),
        "max": (tv.max, ROWS), "relu": (tv.relu, ROWS), "cat": (lambda a: tv.cat([scores, a]), ROWS),
        "stack": (lambda a: tv.stack([scores, a]), ROWS), "matmul": (lambda a: tv.matmul(scores, a), (3, 2)),
        "equal": (lambda a: tv.equal(scores, a), ROWS), "equal to": (scores.equal, ROWS),
        "allclose": (lambda a: tv.allclose(scores, a), ROWS),
        "where": (lambda a: tv.where(a, scores, scores), ROWS),
        "backward": (lambda a: (tv.randn(*ROWS, requires_grad=True) * 2).backward(a), ROWS),
        "assignment": (lambda a: tv.zeros(*ROWS).__setitem__(slice(None), a), ROWS),
        "Tensor": (tv.Tensor, ROWS), "Parameter": (nn.Parameter, ROWS), "Buffer": (nn.Buffer, ROWS),
        "data": (lambda a: setattr(tv.zeros(*ROWS), "data", a), ROWS),
    }  # fmt: skip
    return table


ARITHMETIC = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "@": lambda a, b: a @ b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}  # fmt: skip
CALLS = calls()
NEEDLESS = {"backward"}  # where None means something


class Foreign:
    """What every array library has, and nothing that NumPy or CuPy has besides."""

    def __init__(self, shape):
        self.shape, self.ndim, self.dtype = shape, len(shape), types.SimpleNamespace(name="float32")


@pytest.mark.parametrize("name", CALLS)
def test_a_tensor_of_pytorch_is_refused_by_name_with_the_remedy(name):
    torch = pytest.importorskip("torch")
    call, shape = CALLS[name]
    with pytest.raises(DtypeError, match=r"is a torch\.Tensor, .*from_numpy\(\w+\.numpy\(\)\).*DataLoader"):
        call(torch.zeros(shape, dtype=torch.int64 if shape == LABELS else torch.float32))


@pytest.mark.parametrize("name", CALLS)
def test_an_array_of_any_other_library_is_refused_by_name(name):
    call, shape = CALLS[name]
    with pytest.raises(DtypeError, match=rf"is a {re.escape(__name__)}\.Foreign, an array of another library"):
        call(Foreign(shape))


@pytest.mark.parametrize("name", [n for n in CALLS if n not in NEEDLESS | {"index", "F.batch_norm mean in training"}])
def test_none_is_refused_with_an_error_of_ours(name):
    call, _ = CALLS[name]
    expected = "got NoneType|without training, running_mean and running_var are needed"
    with pytest.raises((DtypeError, OptionError), match=expected):
        call(None)


@pytest.mark.parametrize("sign", ARITHMETIC)
def test_arithmetic_with_an_array_of_another_library(sign):
    torch = pytest.importorskip("torch")
    calculate, ours = ARITHMETIC[sign], tv.ones(3, 3)
    for other, kind in ((torch.ones(3, 3), r"torch\.Tensor"), (Foreign((3, 3)), "Foreign")):
        with pytest.raises(DtypeError, match=kind):
            calculate(ours, other)
        with pytest.raises(DtypeError, match=kind):
            calculate(other, ours)
    with pytest.raises(DtypeError, match=r"torch\.Tensor"):
        ours += torch.ones(3, 3)


def test_with_what_is_no_array_python_answers_itself():
    assert (tv.zeros(3) == "text") is False
    with pytest.raises(TypeError, match="unsupported operand"):
        tv.zeros(3) + "text"


def test_the_remedies_work():
    torch = pytest.importorskip("torch")
    x, model = torch.randn(IMAGES), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for ours in (tv.from_numpy(x.numpy()), tv.from_dlpack(x), tv.tensor(x), tv.tensor(np.asarray(x))):
        assert isinstance(ours, tv.Tensor)
        np.testing.assert_array_equal(ours.numpy(), x.numpy())
        assert model(ours).shape == (2, 4, 6, 6)
    dataset = torch.utils.data.TensorDataset(x, torch.tensor([0, 1]))
    images, labels = next(iter(tv.data.DataLoader(dataset, batch_size=2)))
    np.testing.assert_array_equal(images.numpy(), x.numpy())
    assert nn.CrossEntropyLoss()(images.mean((2, 3)), labels).item() > 0


def test_what_counts_as_an_array():
    for array in (np.zeros(3), np.float32(1), np.zeros(3).view(Own), StrictArray(np.zeros(3))):
        assert is_array(array)
        check_is_array("op", "x", array)
    for other in (None, 1, [1.0], tv.zeros(3), Foreign((3,)), "text"):
        assert not is_array(other)
        with pytest.raises(DtypeError, match=r"^op: x "):
            check_is_array("op", "x", other)


def test_a_tensor_given_to_an_op_is_told_what_to_do():
    with pytest.raises(DtypeError, match=r"relu: x is a tinyvision\.Tensor, .* pass x\.array"):
        tv.ops.relu_forward(tv.zeros(3))


def test_layers_take_plain_arrays_where_they_look_at_their_input():
    x = np.random.default_rng(0).standard_normal(IMAGES).astype(np.float32)
    for name, layer, shape in layers():
        if shape == IMAGES and "Dropout" not in name:
            mine, expected = layer.eval()(x), layer(tv.from_numpy(x))
            np.testing.assert_array_equal(mine.array if isinstance(mine, tv.Tensor) else mine, expected.array)


def test_moving_converts_and_asking_for_the_device_refuses():
    torch = pytest.importorskip("torch")
    assert isinstance(to_device([torch.zeros(3)], "cpu")[0], np.ndarray)
    with pytest.raises(DtypeError, match=r"torch\.Tensor"):
        device_of(torch.zeros(3))
    with pytest.raises(DtypeError, match="got list"):
        device_of([1.0])


def test_an_error_says_whose_tensor_it_was_given():
    torch = pytest.importorskip("torch")
    for call, error in (
        (tv.from_numpy, DtypeError),
        (nn.init.zeros_, DtypeError),
        (nn.init.kaiming_uniform_, DtypeError),
        (lambda p: tv.optim.SGD([p], lr=0.1), OptionError),
    ):
        with pytest.raises(error, match=r"got torch\.nn\.parameter\.Parameter"):
            call(torch.nn.Parameter(torch.zeros(2, 3)))


def test_none_in_the_place_of_an_image_is_no_question_for_a_kernel():
    """Where the weight is on a GPU, a kernel would be asked whether it applies before the op looks at anything."""
    weight = type("ndarray", (Foreign,), {"__module__": "cupy", "device": types.SimpleNamespace(id=0)})((4, 3, 3, 3))
    weight.dtype = np.dtype(np.float32)
    with pytest.raises(DtypeError, match="conv2d: input must be an array, got NoneType"):
        F.conv2d(None, weight)


def test_gradients_of_foreign_parameters_are_not_clipped_in_silence():
    torch = pytest.importorskip("torch")
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        with pytest.raises(OptionError, match=r"expected parameters, got torch\.nn\.parameter\.Parameter"):
            clip(torch.nn.Linear(2, 2).parameters(), 1.0)


def test_running_averages_that_do_not_fit_are_refused_before_anything_changes():
    x, mean, var = tv.randn(*IMAGES), tv.zeros(3), tv.ones(4)
    with pytest.raises(tv.ShapeError, match=r"input has 3 channels but running_var has \(4,\)"):
        F.batch_norm(x, mean, var, training=True)
    assert not mean.numpy().any()


def test_running_averages_may_be_plain_arrays():
    x, mean, var = tv.randn(*IMAGES), np.zeros(3, np.float32), np.ones(3, np.float32)
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    # The mean of 128 float32 numbers of size 1: rounding stays below 1e-6.
    np.testing.assert_allclose(mean, x.numpy().mean((0, 2, 3)), atol=1e-6)


class Own(np.ndarray):
    """A class of somebody's own."""


MASKED = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])


@pytest.mark.parametrize(
    "door",
    [
        tv.Tensor, tv.tensor, tv.as_tensor, tv.from_numpy, tv.nn.Parameter, tv.nn.functional.relu,
        lambda m: tv.tensor([m, m]), lambda m: tv.Tensor([m, m]), lambda m: tv.ones(2, 2) + m,
        lambda m: tv.ones(2, 2).copy_(m), lambda m: tv.ones(2, 2).__setitem__(0, m[0]), lambda m: ops.relu_forward(m),
        lambda m: data.default_collate([m, m]), lambda m: data.default_collate([(m, 1), (m, 2)]),
        lambda m: data.ArrayDataset(m, [0, 1]), lambda m: data.ArrayDataset([m, m], [0, 1]),
        lambda m: data.ArrayDataset(np.zeros((2, 2)), m[0].astype(int)), data.transforms.ToTensor(),
    ],
)  # fmt: skip
def test_a_masked_array_is_refused_before_its_masked_numbers_count(door):
    with pytest.raises(DtypeError, match="masked"):
        door(MASKED)


@pytest.mark.parametrize("kind", [np.matrix, Own, np.memmap])
def test_an_array_of_a_class_of_its_own_becomes_a_plain_one(kind, tmp_path):
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    if kind is np.memmap:
        own = np.memmap(tmp_path / "x", numbers.dtype, "w+", shape=(2, 2))
        own[:] = numbers
    else:
        own = numbers.view(kind)
    shared, copied = tv.Tensor.of(own), tv.tensor(own)
    assert type(shared.array) is type(copied.array) is np.ndarray
    assert np.shares_memory(shared.array, own)
    assert not np.shares_memory(copied.array, own)
    # For np.matrix, * is a product of matrices: what Tensor() left as it is would be silently wrong.
    np.testing.assert_array_equal((shared * shared).array, numbers * numbers)
    np.testing.assert_array_equal(shared.sum(1).array, [3, 7])
    assert data.default_collate([own, own]).shape == (2, 2, 2)


def test_ops_refuse_a_matrix_whose_operators_mean_something_else():
    for door in (ops.relu_forward, lambda m: tv.ones(2, 2) * m):
        with pytest.raises(DtypeError, match=r"numpy\.matrix.*numpy\.asarray"):
            door(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
