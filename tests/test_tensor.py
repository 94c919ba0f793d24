"""Tensor: PyTorch's spelling, compared with PyTorch where the two can be compared, and its doors."""

import itertools
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import StrictArray

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import DeviceError, DtypeError, GraphError, OptionError, ShapeError, TinyVisionError
from tinyvision.tensors.tensor import Tensor

torch = pytest.importorskip("torch")

KINDS = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}


def same(ours, theirs):
    """Equal shapes, kinds of numbers and values (to the last bits of float32)."""
    assert isinstance(ours, Tensor)
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-6, atol=1e-7)


def both(numbers, **options):
    return tv.tensor(numbers, **options), torch.tensor(numbers, **options)


# -- kinds of numbers

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.eq,
    operator.lt,
    operator.ge,
    operator.ne,
]
NUMBERS = {"float32": [0.5, -2.0, 4.0], "int64": [1, -2, 4], "bool": [True, False, True]}


@pytest.mark.parametrize("op", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("other", [2, 2.5, True, "float32", "int64", "bool"], ids=str)
def test_kinds_of_results_like_torch(op, kind, other):
    a, b = both(NUMBERS[kind])
    c, d = both(NUMBERS[other]) if isinstance(other, str) else (other, other)
    if op is operator.sub and "bool" in (kind, other):
        if kind == other:
            with pytest.raises(DtypeError, match="subtract"):
                op(a, c)
        return  # PyTorch subtracts no truth values at all; we do from numbers
    if op is operator.sub and other is True:
        return
    if op is operator.truediv and other == "bool":
        c, d = c + 1, d + 1
    same(op(a, c), op(b, d))
    if not isinstance(other, str) and op is not operator.truediv:
        same(op(c, a), op(d, b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_beside_a_tensor(dtype):
    x = tv.tensor([1.0, 2.0], dtype=dtype)
    for number in (np.float64(2), np.float32(2), np.int64(2), np.ones(2, dtype), np.ones(2, int)):
        for result in (x * number, number * x, x + number, number - x, x / number):
            assert isinstance(result, Tensor)
            assert result.dtype == dtype


def test_what_tensor_makes_of_its_argument():
    for numbers in (3, 3.5, True, [1, 2], [[1.0], [2]], [], [True, False], [[1, 2], [3, 4]]):
        same(*both(numbers))
    same(tv.tensor(np.arange(3.0)), torch.tensor(np.arange(3.0)))
    same(tv.tensor([tv.tensor(1.0), tv.tensor(2.0)]), torch.tensor([1.0, 2.0]))
    same(tv.tensor([1, 2], dtype=tv.float32), torch.tensor([1, 2], dtype=torch.float32))
    array = np.zeros(3)
    tv.tensor(array).fill_(1)
    assert not array.any(), "tensor() copies"
    tv.from_numpy(array).fill_(1)
    assert array.all(), "from_numpy() shares"
    for wrong, error in (
        ([[1, 2], [3]], ShapeError),
        ("words", DtypeError),
        ([None], DtypeError),
        (object(), DtypeError),
    ):
        with pytest.raises(error, match=r"^tensor: "):
            tv.tensor(wrong)
    with pytest.raises(DtypeError, match="only floating-point tensors can require a gradient, this one is int64"):
        tv.tensor([1, 2], requires_grad=True)
    with pytest.raises(DtypeError, match="from_numpy: expected a NumPy array, got list"):
        tv.from_numpy([1])


def test_constructors_like_torch():
    for name in ("zeros", "ones"):
        for shape in ((3,), (2, 3), ((2, 3),), ((),)):
            same(getattr(tv, name)(*shape), getattr(torch, name)(*shape))
    for limits in ((5,), (2, 7), (1, 9, 3), (0.0, 1.0, 0.25)):
        same(tv.arange(*limits), torch.arange(*limits))
    assert tv.randn(2, 3).shape == tv.rand((2, 3)).shape == (2, 3)
    assert tv.randn(4).dtype == np.float32
    with pytest.raises(ShapeError, match="a shape is made of integers"):
        tv.zeros(2.5)


def test_joining_like_torch():
    a, b = both([[1.0, 2.0]])
    for dim in (0, 1, -1):
        same(tv.cat([a, a * 2], dim), torch.cat([b, b * 2], dim))
    for dim in (0, 1, 2, -1):
        same(tv.stack([a, a * 2], dim), torch.stack([b, b * 2], dim))
    for join in (tv.cat, tv.stack):
        for nothing in ([], None, 3):
            with pytest.raises(OptionError, match="expected a list of one or more tensors"):
                join(nothing)
    with pytest.raises(ShapeError, match="stack: all tensors must have one shape"):
        tv.stack([a, a[0]])
    with pytest.raises(ShapeError, match="stack: there is no axis 3"):
        tv.stack([a, a], 3)


# -- random programs

UNARY = [
    "exp",
    "tanh",
    "sigmoid",
    "relu",
    "neg",
    "t",
    "square",
    "clone",
    "mean",
    "sum",
    "amax",
    "view",
    "unsqueeze",
    "half",
]


def apply(name, x):
    """One step of a program, spelled alike in both libraries."""
    return {
        "exp": lambda: (x * x * -0.1).exp(),  # at most 1, whatever came before
        "tanh": x.tanh,
        "sigmoid": x.sigmoid,
        "relu": x.relu,
        "neg": lambda: -x,
        "t": lambda: x.transpose(0, -1),
        "square": lambda: x**2 * 0.1,
        "clone": x.clone,
        "mean": lambda: x.mean(-1, keepdim=True) + x,
        "sum": lambda: x.sum(dim=0, keepdim=True) * 0.5 - x,
        "amax": lambda: x.max(-1, True)[0] * x,
        "view": lambda: x.contiguous().view(-1, x.size(0)),
        "unsqueeze": lambda: x.unsqueeze(0).squeeze(0),
        "half": lambda: x[..., : (x.shape[-1] + 1) // 2],
    }[name]()


@given(st.lists(st.sampled_from(UNARY), min_size=1, max_size=8), st.integers(0, 99))
@settings(max_examples=60)
def test_random_programs_like_torch(program, seed):
    numbers = np.random.default_rng(seed).standard_normal((3, 4))
    ours, theirs = tv.tensor(numbers, requires_grad=True), torch.tensor(numbers, requires_grad=True)
    x, y = ours, theirs
    for name in program:
        x, y = apply(name, x), apply(name, y)
        assert x.shape == tuple(y.shape)
    (x * x).sum().backward()
    (y * y).sum().backward()
    np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-8, atol=1e-10)


# -- shapes


def test_questions_about_the_shape():
    x = tv.zeros(2, 3, 4)
    assert x.shape == x.size() == (2, 3, 4)
    assert x.size(1) == x.size(-2) == 3
    assert (x.dim(), x.ndim, x.numel(), len(x)) == (3, 3, 24, 2)
    assert [row.shape for row in x] == [(3, 4), (3, 4)]
    with pytest.raises(ShapeError, match="size: axis 3 does not exist"):
        x.size(3)
    with pytest.raises(ShapeError, match="a single number has no length"):
        len(tv.tensor(1.0))


def test_reshaping_like_torch():
    numbers = np.arange(24.0).reshape(2, 1, 3, 4)
    x, y = tv.tensor(numbers), torch.tensor(numbers)
    for name, arguments in [
        ("view", (-1,)), ("view", (4, -1)), ("view", ((6, 4),)), ("reshape", (2, 12)), ("flatten", ()),
        ("flatten", (1,)),
        ("flatten", (-2,)), ("transpose", (1, 2)), ("transpose", (-1, 0)), ("permute", (3, 1, 0, 2)),
        ("permute", ((0, 2, 1, 3),)),
        ("squeeze", ()), ("squeeze", (1,)), ("squeeze", (0,)), ("squeeze", (-3,)), ("unsqueeze", (0,)),
        ("unsqueeze", (-1,)),
        ("unsqueeze", (2,)), ("contiguous", ()),
    ]:  # fmt: skip
        same(getattr(x, name)(*arguments), getattr(y, name)(*arguments))
    same(tv.flatten(x, 1), torch.flatten(y, 1))
    same(x[0, 0].T, y[0, 0].T)
    same(x.view(x.size(0), -1), y.view(y.size(0), -1))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.view(5, -1), lambda x: x.view(2.5, 2), lambda x: x.flatten(4), lambda x: x.flatten(-4),
        lambda x: x.transpose(0, 3), lambda x: x.permute(0, 1), lambda x: x.squeeze(3), lambda x: x.unsqueeze(5),
        lambda x: x.unsqueeze(-5), lambda x: x[2], lambda x: x[0, 0, 0, 0], lambda x: x[tv.tensor([0, 9])],
        lambda x: x.argmax(3), lambda x: x.sum(3), lambda x: x.max(dim=-4), lambda x: x + tv.zeros(5),
        lambda x: x == tv.zeros(5),
        lambda x: x @ tv.zeros(5, 2), lambda x: operator.setitem(x, 7, 1.0),
        lambda x: operator.setitem(x, 0, tv.zeros(5)),
        lambda x: x.copy_(tv.zeros(5)), lambda x: operator.iadd(x, tv.zeros(5)), lambda x: operator.iadd(x[0], x),
        lambda x: x.item(), lambda x: bool(x), lambda x: x.softmax(3), lambda x: tv.zeros(0).max(),
        lambda x: tv.zeros(0).argmax(),
        lambda x: tv.zeros(0, dtype=np.int64).max(),
    ],
)  # fmt: skip
def test_what_does_not_fit_raises_a_shape_error(call):
    with pytest.raises(ShapeError):
        call(tv.zeros(2, 3, 4))


# -- indexing


INDICES = [0, -1, slice(None, None, 2), (0, 1), (..., -1), (slice(None), None), None, [0, 1], (slice(None), [1, 1, 0])]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reading_and_writing_by_index_like_torch(index):
    numbers = np.arange(12.0).reshape(2, 3, 2)
    x, y = tv.tensor(numbers), torch.tensor(numbers)
    same(x[index], y[index])
    x[index], y[index] = 7, 7
    same(x, y)


def test_masks_and_tensors_as_indices_like_torch():
    numbers = np.arange(6.0).reshape(2, 3)
    x, y = tv.tensor(numbers), torch.tensor(numbers)
    same(x[x > 2], y[y > 2])
    same(x[tv.tensor([1, 0, 1])], y[torch.tensor([1, 0, 1])])
    x[x > 2] = 0
    y[y > 2] = 0
    same(x, y)
    x[0], y[0] = tv.tensor([5.0, 6.0, 7.0], dtype="float64"), torch.tensor([5.0, 6.0, 7.0]).double()
    same(x, y)
    assert [10, 20, 30][tv.tensor(1)] == 20
    with pytest.raises(DtypeError, match="only an integer can be an index"):
        [10, 20][tv.tensor(1.0)]


# -- answers


def test_reductions_like_torch():
    numbers = np.array([[3.0, 1.0, 3.0], [0.0, -2.0, 5.0]])
    x, y = tv.tensor(numbers), torch.tensor(numbers)
    same(x.argmax(), y.argmax())
    for dim in (0, 1, -1):
        for keep in (False, True):
            same(x.argmax(dim, keep), y.argmax(dim, keep))
            for mine, theirs in zip(x.max(dim, keep), y.max(dim, keep), strict=True):
                same(mine, theirs)
            same(x.sum(dim, keep), y.sum(dim, keep))
            same(x.softmax(dim), y.softmax(dim))
            same(x.log_softmax(dim), y.log_softmax(dim))
    same(x.max(), y.max())
    same((x > 0).sum(), (y > 0).sum())
    same((x > 0).any(), (y > 0).any())
    same((x > 0).all(), (y > 0).all())
    same(~(x > 0), ~(y > 0))
    same((x > 0) & (x < 4), (y > 0) & (y < 4))
    same((x == 3).float().mean(), (y == 3).float().mean())
    same(tv.tensor([3, 9, 4]).max(), torch.tensor([3, 9, 4]).max())
    same(tv.tensor([3, 9]) ** 2, torch.tensor([3, 9]) ** 2)


def test_the_usual_lines_of_an_evaluation_loop():
    outputs, labels = tv.tensor([[0.1, 0.9], [0.8, 0.2]], requires_grad=True), tv.tensor([1, 1])
    _, predicted = tv.max(outputs.data, 1)
    correct = (predicted == labels).sum().item()
    assert correct == 1
    assert isinstance(correct, int)
    assert (outputs.argmax(1) == labels).float().mean().item() == 0.5
    assert predicted.tolist() == [1, 0]


def test_numbers_out_of_a_tensor():
    x = tv.tensor(2.5)
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert f"{x:.3f}" == "2.500"
    assert x.numpy() is not None
    assert np.asarray(tv.tensor([1, 2])).tolist() == [1, 2]
    with pytest.raises(GraphError, match=r"call .detach\(\).numpy\(\)"):
        tv.tensor(1.0, requires_grad=True).numpy()
    with pytest.raises(GraphError):
        np.asarray(tv.tensor(1.0, requires_grad=True))


def test_comparison_with_what_is_no_number():
    x = tv.tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != "word") is True
    assert x in {x}
    with pytest.raises(TypeError):
        x < "word"  # noqa: B015


def test_printing():
    assert repr(tv.tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])"
    assert repr(tv.tensor([1, 2])) == "tensor([1, 2])"
    assert (
        repr(tv.tensor(1.0, dtype=np.float64, requires_grad=True))
        == "tensor(1., dtype=torch.float64, requires_grad=True)"
    )
    assert repr(tv.tensor(1.0, requires_grad=True).exp()) == "tensor(2.7183, grad_fn=<ExpBackward0>)"
    assert f"{tv.tensor([1, 2])}" == "tensor([1, 2])"


# -- gradients


def test_gradients_flow_through_conversions_and_parts():
    x = tv.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2, 2, 2]
    x.grad = None
    (2 * x[1] - x.clone()[0] + (1 / x)[2] + (3 - x)[1]).backward()
    np.testing.assert_allclose(x.grad.numpy(), [-1, 1, -1 / 9], rtol=1e-6)


def test_an_integer_tensor_beside_one_with_a_gradient():
    x = tv.tensor([1.0, 2.0], requires_grad=True)
    (tv.tensor([3, 4]) * x + tv.tensor([True, False])).sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_two_precisions_meet_in_the_wider_one_and_gradients_come_back():
    one, other = tv.tensor([1.0], requires_grad=True), tv.tensor([1.0], dtype=np.float64, requires_grad=True)
    y = one + other
    assert y.dtype == np.float64
    y.sum().backward()
    assert one.grad.dtype == np.float32
    assert other.grad.dtype == np.float64


def test_detach_shares_memory_and_tells_of_changes():
    x = tv.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    z = y.detach()
    assert not z.requires_grad
    assert z.is_leaf
    assert np.shares_memory(z.array, y.array)
    z += 1
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


def test_hooks_and_retained_gradients():
    x = tv.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda gradient: gradient * 2)
    y.sum().backward()
    assert x.grad.tolist() == [6, 6]
    assert y.grad.tolist() == [2, 2]  # as the hooks have made it, whichever came first
    y = x * 3
    hook = y.register_hook(lambda gradient: gradient * 2)
    hook.remove()
    x.grad = None
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]
    x.grad = None
    seen = []
    x.register_hook(seen.append)
    x.register_hook(lambda gradient: -gradient)
    (x * 2 + x).sum().backward()
    assert [g.tolist() for g in seen] == [[3, 3]], "a leaf's hook sees the whole gradient"
    assert x.grad.tolist() == [-3, -3]
    with pytest.raises(GraphError, match="does not require a gradient"):
        tv.tensor([1.0]).retain_grad()


def test_requires_grad_can_be_asked_for_on_leaves_only():
    x = tv.tensor([1.0]).requires_grad_()
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(GraphError, match="only a leaf can be changed"):
        x.requires_grad_().exp().requires_grad_(False)
    with pytest.raises(DtypeError):
        tv.tensor([1]).requires_grad_()


# -- in place


def test_in_place_under_no_grad_changes_the_same_memory():
    x = tv.tensor([1.0, 2.0], requires_grad=True)
    memory = x.array
    with tv.no_grad():
        x += 1
        x *= 2
        x -= tv.tensor([1.0, 1.0])
        x /= 3
        x[0] = 5
        x.copy_(tv.tensor([7.0, 8.0]))
    assert x.array is memory
    assert x.tolist() == [7, 8]
    assert x.zero_.__self__ is x


@pytest.mark.parametrize(
    "change",
    [
        lambda x: operator.iadd(x, 1), lambda x: operator.isub(x, 1), lambda x: operator.imul(x, 2),
        lambda x: operator.itruediv(x, 2),
        lambda x: x.zero_(), lambda x: x.fill_(1), lambda x: x.copy_(tv.zeros(2)), lambda x: operator.setitem(x, 0, 1),
    ],
)  # fmt: skip
def test_in_place_while_recording_is_refused(change):
    with pytest.raises(GraphError, match="do it inside `with no_grad"):
        change(tv.ones(2, requires_grad=True))


def test_writing_what_is_recorded_into_a_plain_tensor_records_it():
    for change in (lambda t, x: t.copy_(x), lambda t, x: operator.setitem(t, 0, x[0])):
        x, t = tv.ones(2, requires_grad=True), tv.zeros(2)
        change(t, x)
        assert t.requires_grad
        (t * 3).sum().backward()
        assert x.grad.tolist()[0] == 3


def test_plus_equals_changes_everybody_who_has_the_value():
    x = tv.ones(2, requires_grad=True)
    y = first = x * 2
    y += 1
    assert y is first
    assert first.tolist() == [3, 3]
    total = tv.zeros(2)
    total += x * 3
    (y + total).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_read_only_numbers_are_not_changed_in_place():
    fused = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).eval().fuse()
    weight = fused[0].weight

    def double():
        nonlocal weight
        weight *= 2

    with tv.no_grad():
        for change in (weight.zero_, lambda: weight.copy_(weight), lambda: weight.__setitem__(0, 1.0), double):
            with pytest.raises(tv.OptionError, match=r"read-only.*fuse"):
                change()
    with pytest.raises(tv.OptionError, match="fused model cannot be trained"):
        tv.optim.SGD(fused.parameters(), lr=0.1)


def test_in_place_kinds_like_torch():
    x, y = both([1, 2])
    x += True
    y += True
    same(x, y)
    with pytest.raises(DtypeError, match=r"does not go into a tensor of int64"):
        x += 0.5
    with pytest.raises(DtypeError):
        x /= 2
    a, b = both([1.0, 2.0])
    a += tv.tensor([1, 2])
    b += torch.tensor([1, 2])
    same(a, b)


def test_assigning_data_with_a_tensor():
    """`p.data -= lr * p.grad`, as older PyTorch scripts say it."""
    p = tv.ones(2, requires_grad=True)
    (p * p).sum().backward()
    p.data -= 0.25 * p.grad
    assert isinstance(p.array, np.ndarray)
    assert p.tolist() == [0.5, 0.5]


# -- errors of kind


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: tv.tensor([1]) // 0, OptionError), (lambda x: ~x, DtypeError), (lambda x: x.view("a"), ShapeError),
        (lambda x: x.to("cuda:x"), TinyVisionError), (lambda x: tv.tensor([1, 2]).mean(), DtypeError),
        (lambda x: x.sum(dim=1.5), OptionError),
    ],
)  # fmt: skip
def test_other_doors(call, error):
    with pytest.raises(error):
        call(tv.ones(2, 2))


def test_words_beside_a_tensor_are_a_type_error():
    for op in (operator.add, operator.mul, operator.truediv, operator.sub):
        with pytest.raises(TypeError):
            op(tv.ones(2), "word")


# -- other libraries and devices


def test_dlpack_round_trip_shares_memory():
    x = tv.arange(6).float().view(2, 3)
    there = torch.from_dlpack(x)
    there += 1
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    back = tv.from_dlpack(there)
    assert np.shares_memory(back.array, x.array)
    assert tv.from_dlpack(torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(GraphError, match=r"hand over \.detach"):
        torch.from_dlpack(tv.ones(2, requires_grad=True))


def test_moving_to_where_it_is_copies_nothing():
    x = tv.ones(2)
    assert x.to("cpu").array is x.array
    assert x.cpu().array is x.array
    assert x.to(tv.ones(1, dtype=np.float64)).dtype == np.float64
    assert str(x.device) == "cpu"
    assert not x.is_cuda


def test_every_method_stays_on_the_device():
    numbers = np.arange(1.0, 13).reshape(3, 4)
    x = Tensor.of(StrictArray(numbers), requires_grad=True)
    y = (x.view(2, 6).tanh() * 2 + 1).transpose(0, 1)[1:].softmax(1).sum(0, keepdim=True).max(1)[0].mean() / 3 - 1
    y.backward()
    assert isinstance(x.grad.array, StrictArray)
    here = tv.tensor(numbers, requires_grad=True)
    z = (here.view(2, 6).tanh() * 2 + 1).transpose(0, 1)[1:].softmax(1).sum(0, keepdim=True).max(1)[0].mean() / 3 - 1
    z.backward()
    np.testing.assert_array_equal(x.grad.array.get(), here.grad.array)
    assert y.item() == z.item()
    plain = Tensor.of(StrictArray(numbers))
    for made in (
        plain.argmax(1),
        plain > 2,
        (plain > 2).any(),
        plain[plain > 2],
        -plain,
        1 / plain,
        plain**2,
        ~(plain > 1),
        plain.double(),
    ):
        assert isinstance(made.array, StrictArray)
    plain += 1
    plain[0] = 0
    plain[plain > 5] = 1
    plain.fill_(2)
    assert repr(plain).startswith("tensor([[2.")
    with pytest.raises(DeviceError, match="is on"):
        plain + tv.ones(3, 4)
    with pytest.raises(DeviceError, match="is on"):
        plain += tv.ones(3, 4, dtype=np.float64)


def test_the_generator_decides_what_is_drawn():
    tv.manual_seed(3)
    first = tv.randn(3).tolist()
    tv.manual_seed(3)
    assert tv.randn(3).tolist() == first


def test_a_plain_tensor_can_be_pickled_for_worker_processes():
    x = pickle.loads(pickle.dumps(tv.tensor([1.0, 2.0])))
    assert x.tolist() == [1, 2]


def test_a_hook_gives_a_gradient_of_the_same_shape():
    x = tv.randn(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda gradient: Tensor.of(gradient * 3))
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, [6, 6])
    for wrong in (np.ones(3, np.float32), 1.0):
        y = x * 2
        y.register_hook(lambda gradient, wrong=wrong: wrong)
        with pytest.raises(ShapeError, match="the hook gave"):
            y.sum().backward()


def test_python_s_abs():
    np.testing.assert_array_equal(abs(Tensor.of(np.array([-2.0, 3.0]))).array, [2, 3])


@pytest.mark.parametrize("make", [tv.zeros, tv.ones, tv.randn, tv.rand])
def test_no_negative_sizes(make):
    with pytest.raises(ShapeError, match="a size is 0 or more"):
        make(2, -1)


def test_printing_can_be_changed():
    x = tv.tensor([1.0, 0.123456])
    try:
        tv.set_printoptions(precision=2)
        assert repr(x) == "tensor([1.00, 0.12])"
        tv.set_printoptions(sci_mode=True)
        assert repr(x) == "tensor([1.00e+00, 1.23e-01])"
        tv.set_printoptions(profile="full")
        assert "..." not in repr(tv.arange(2000))
        tv.set_printoptions(profile="default", edgeitems=1)
        assert repr(tv.arange(2000)) == "tensor([   0,  ..., 1999])"
        with pytest.raises(OptionError, match="profile must be one of default, short, full"):
            tv.set_printoptions(profile="long")
    finally:
        tv.set_printoptions(profile="default")
    assert repr(x) == "tensor([1.0000, 0.1235])"


def test_numbers_that_there_are_not_are_refused_by_name():
    x = tv.ones(2)
    for call in (lambda: x + 1j, lambda: 1j * x, x.bfloat16, tv.nn.Linear(1, 1).bfloat16):
        with pytest.raises(DtypeError, match=r"complex|bfloat16"):
            call()


def test_a_tensor_of_sizes():
    assert tv.Tensor(2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert tv.Tensor(3).shape == (3,)
    assert tv.Tensor(tv.zeros(2, 1).shape).shape == (2, 1)
    assert tv.Tensor().shape == (0,)
    with pytest.raises(OptionError, match="expected sizes"):
        tv.Tensor([1.0], [2.0])


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_a_tensor_of_an_array_has_the_default_dtype(kind):
    array = np.array([[0, 1, 2], [250, 0, 1]]).astype(kind)
    for made in (tv.Tensor(array), tv.Tensor(array.tolist()), tv.Tensor([tv.tensor(row)[0] for row in array])):
        assert made.dtype == np.float32
    made = tv.Tensor(array)
    np.testing.assert_array_equal(made.array, torch.Tensor(array).numpy())
    theirs = torch.Tensor(other := array.copy())
    made[0, 0] = theirs[0, 0] = 7
    assert array[0, 0] == other[0, 0] == (7 if kind == "float32" else 0)  # of its own dtype, it shares the memory
    array[0, 0] = 0
    tv.set_default_dtype(tv.float64)
    try:
        assert tv.Tensor(array).dtype == tv.Tensor([1, 2]).dtype == tv.Tensor(3).dtype == np.float64
    finally:
        tv.set_default_dtype(tv.float32)
    assert tv.Tensor(np.int64(3)).shape == torch.Tensor(np.int64(3)).shape
    assert tv.Tensor(data=[1, 2]).tolist() == tv.Tensor([1, 2], device="cpu").tolist() == [1, 2]
    assert tv.Tensor(2, 3, device="cpu").shape == (2, 3)
    with pytest.raises(OptionError, match=r"x\.detach"):
        tv.Tensor(tv.ones(2, requires_grad=True))
    whole = tv.arange(3)
    assert tv.Tensor(whole).dtype == np.int64  # of a tensor it is that tensor, as in PyTorch
    shared = tv.Tensor.of(array)
    assert shared.array is array
    for wrong in ([[1], [2, 3]], "12", 1.5, True, np.array(["a"]), np.array([1j])):
        for make in (tv.Tensor, tv.LongTensor):
            with pytest.raises(tv.TinyVisionError):
                make(wrong)


@pytest.mark.parametrize("dtype", ["q5", [1], complex, "S1", object])
@pytest.mark.parametrize("call", [
    lambda x, d: x.to(d), lambda x, d: tv.ones(2, dtype=d), lambda x, d: tv.tensor([1], dtype=d),
    lambda x, d: tv.as_tensor([1], dtype=d), lambda x, d: tv.arange(3, dtype=d), lambda x, d: tv.full((2,), 1, dtype=d),
    lambda x, d: tv.randint(0, 3, (2,), dtype=d), lambda x, d: tv.zeros_like(x, dtype=d),
    lambda x, d: x.new_zeros(1, dtype=d), lambda x, d: x.sum(dtype=d), lambda x, d: tv.randn(2, dtype=d),
])  # fmt: skip
def test_what_is_no_dtype_of_tensors_is_refused(call, dtype):
    with pytest.raises(DtypeError, match=r"expected a dtype|there are no tensors of"):
        call(tv.ones(2), dtype)


@pytest.mark.parametrize("method", ["view_as", "reshape_as", "expand_as", "dot", "mv", "inner"])
def test_a_list_where_a_tensor_belongs_is_refused_by_name(method):
    x = tv.ones(2, 2) if method == "mv" else tv.ones(2)
    with pytest.raises(DtypeError, match=rf"{method}: \w+ must be a tensor, got list"):
        getattr(x, method)([1.0, 2.0])


def test_asking_for_a_gradient_by_assignment_is_asked_the_same_questions():
    x = tv.ones(2, requires_grad=True)
    h = x * 2
    for value, wish, error, says in (
        (h, False, GraphError, "only a leaf can be changed"), (tv.tensor([1, 2]), True, DtypeError, "floating-point"),
        (x, "False", OptionError, "requires_grad is True or False, got 'False'"),
    ):  # fmt: skip
        with pytest.raises(error, match=says):
            value.requires_grad = wish
    (h * x).sum().backward()
    assert x.grad.tolist() == [4, 4]
    del x.grad
    assert x.grad is None
    x.requires_grad = False
    assert not x.requires_grad
    with pytest.raises(DtypeError, match="floating-point"):
        h.detach().requires_grad_().data = tv.tensor([1, 2])


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_an_empty_tensor_without_axes_takes_part_in_cat_with_its_gradient(dim):
    def both(t):
        x, empty = t.ones(2, 3), t.zeros(0, requires_grad=True)
        y = t.cat([x, empty, 2 * x], dim)
        y.sum().backward()
        return y.tolist(), y.requires_grad, tuple(empty.grad.shape)

    assert both(tv) == both(torch)


@pytest.mark.parametrize("name", ["unique", "unique_consecutive"])
def test_what_has_no_gradient_says_so_in_a_backward_and_not_that_it_was_never_asked(name):
    x = tv.tensor([1.0, 3.0, 1.0, 2.0], requires_grad=True)
    y = getattr(x, name)()
    assert y.requires_grad == getattr(torch.tensor([1.0, 2.0], requires_grad=True), name)().requires_grad
    with pytest.raises(GraphError, match=f"{name} has no gradient; give it x.detach"):
        (y.sum() + (x * 2).sum()).backward()
    assert not getattr(x.detach(), name)().requires_grad


def test_the_diagonal_that_diag_gives_is_a_copy_and_that_of_diagonal_a_view():
    def both(t):
        x = t.arange(9.0).view(3, 3)
        x.diag().mul_(0)
        x.diagonal().add_(1)
        return x.tolist()

    assert both(tv) == both(torch)


@pytest.mark.parametrize("shapes", [((2, 3), ()), ((2, 3), (3,)), ((3,), (4, 3)), ((2, 1, 3), (4, 1))])
@pytest.mark.parametrize("dim", [0, -1])
def test_cosine_similarity_counts_the_axes_of_what_is_broadcast(shapes, dim):
    rng = np.random.default_rng(0)
    numbers = [rng.normal(size=shape) for shape in shapes]

    def both(t):
        xs = [t.tensor(n, dtype=t.float64, requires_grad=True) for n in numbers]
        y = t.nn.functional.cosine_similarity(*xs, dim=dim)
        (y * t.arange(float(y.numel()), dtype=t.float64).view(y.shape)).sum().backward()
        return [y.detach().numpy(), *(x.grad.numpy() for x in xs)]

    for ours, theirs in zip(both(tv), both(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_broadcast_tensors_hands_back_what_has_the_shape_already():
    for t in (tv, torch):
        x, y = t.ones(2, 3), t.ones(3)
        seen = t.broadcast_tensors(x, y)
        assert [v is x for v in seen] == [True, False]


def test_truth_values_are_close_where_they_are_equal():
    def both(t):
        a, b = t.tensor([True, False]), t.tensor([True, True])
        return t.isclose(a, b).tolist(), t.allclose(a, b), t.allclose(a, a)

    assert both(tv) == both(torch)


@pytest.mark.parametrize("kinds", list(itertools.product(["float16", "float32", "float64", "int64"], repeat=2)))
@pytest.mark.parametrize("axes", [True, False])
def test_limits_and_angles_have_the_dtype_in_which_both_meet(kinds, axes):
    def both(t):
        x, limit = (t.tensor([1, 2, 3], dtype=getattr(t, kind)) for kind in kinds)
        limit = limit if axes else limit[1]
        found = [x.clamp(min=limit), x.clamp(max=limit), x.clamp_min(limit), x.clamp(limit - 1, limit)]
        found.append(t.atan2(x, limit))
        return [(str(y.dtype), y.tolist()) for y in found]

    for (kind, numbers), (same, expected) in zip(both(tv), both(torch), strict=True):
        assert kind == same
        np.testing.assert_allclose(numbers, expected, rtol=2e-3)
