"""Small things that scripts rely on without knowing: windows, one number alone, whole numbers beyond their range."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import DtypeError, GraphError, OptionError, ShapeError, TinyVisionError

torch = pytest.importorskip("torch")


def test_windows_along_an_axis_are_pytorchs_and_share_memory():
    x, theirs = tv.arange(10.0).reshape(2, 5), torch.arange(10.0).reshape(2, 5)
    for axis, size, step in ((1, 2, 1), (1, 2, 3), (-1, 5, 1), (0, 1, 1), (1, 0, 2)):
        assert x.unfold(axis, size, step).tolist() == theirs.unfold(axis, size, step).tolist()
    x.unfold(1, 2, 2)[0, 1] = -1
    theirs.unfold(1, 2, 2)[0, 1] = -1
    assert x.tolist() == theirs.tolist()
    with pytest.raises(OptionError, match="are one in memory"):
        x.unfold(1, 2, 1).zero_()
    with pytest.raises(ShapeError, match=r"a window of 6 does not fit along axis 1 of \(2, 5\)"):
        x.unfold(1, 6, 1)


@pytest.mark.parametrize("name", ["std", "var"])
def test_one_number_has_no_spread(name):
    for engine in (tv, torch):
        x = engine.tensor([3.0], requires_grad=True)
        with pytest.warns(UserWarning, match=name):
            y = getattr(x, name)()
        y.backward()
        assert np.isnan([y.item(), x.grad.item()]).all()


@pytest.mark.parametrize(
    "wraps",
    [
        lambda t, x: x + 300,
        lambda t, x: x * -1,
        lambda t, x: x > 300,
        lambda t, x: x.fill_(-1),
        lambda t, x: x.__setitem__(0, -2) or x,
        lambda t, x: x.relu(),
        lambda t, x: x**True,
        lambda t, x: x.bool() ** False,
    ],
)
def test_whole_numbers_beyond_their_range_come_round(wraps):
    ours, theirs = (wraps(t, t.tensor([1, 200], dtype=t.uint8)) for t in (tv, torch))
    assert ours.tolist() == theirs.tolist()
    assert str(ours.dtype) == str(theirs.dtype)


@pytest.mark.parametrize("change", [lambda x: x.add_(1), lambda x: x[1:].zero_(), lambda x: x.__setitem__(0, 5.0)])
def test_a_view_of_a_tensor_that_was_changed_without_a_gradient_is_not_guessed_at(change):
    """Whether PyTorch's view has a gradient afterwards hangs on when it is used first: before or after the last line
    but one."""
    x = tv.ones(3, requires_grad=True)
    view, once_more = x[:2], x.view(3, 1)
    x.requires_grad_(False)
    change(x)
    x.requires_grad_()
    with pytest.raises(GraphError, match=r"told requires_grad_\(False\) and changed"):
        view.sum().backward()
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    with pytest.raises(GraphError, match=r"use a \.clone"):
        once_more.sum().backward()


@pytest.mark.parametrize("library", [torch, tv])
def test_a_view_of_a_tensor_that_only_stopped_asking_keeps_its_history(library):
    x = library.ones(3, requires_grad=True)
    view = x[:2]
    x.requires_grad_(False)
    view.sum().backward(retain_graph=True)
    assert x.grad is None
    x.requires_grad_()
    view.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1, 1, 0])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_numbers_that_do_not_fit_are_refused_where_torch_does(dtype):
    """As they are written down; a number below 0 is counted from the end of the unsigned ones."""
    for number in (300, 255, 127, 128, -1, -128, -129, -255, -256, 2**31, 1.7, 1e10, float("nan")):
        for make in (
            lambda t, number=number: t.tensor([1, number], dtype=getattr(t, dtype)),
            lambda t, number=number: t.full((2,), number, dtype=getattr(t, dtype)),
        ):
            try:
                expected = make(torch)
            except RuntimeError:
                with pytest.raises(DtypeError, match="does not fit into " + dtype):
                    make(tv)
            else:
                np.testing.assert_array_equal(make(tv).numpy(), expected.numpy(), strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_of_steps_like_torch(dtype):
    rng = np.random.default_rng(3)
    for numbers, options in (
        (np.linspace(0, 1, 101), {"bins": 100, "min": 0, "max": 1}),
        (rng.standard_normal((7, 9)), {}), (rng.standard_normal(500), {"bins": 7}),
        ([np.nan, 1, 5], {"bins": 4, "min": 0, "max": 2}), ([], {"bins": 3}), ([2, 2], {"bins": 3}),
        (np.arange(50) / 10, {"bins": 50, "min": 0, "max": 5}),
    ):  # fmt: skip
        x = np.asarray(numbers, dtype)
        expected = torch.histc(torch.from_numpy(x.copy()), **options)
        np.testing.assert_array_equal(tv.histc(tv.tensor(x), **options).numpy(), expected.numpy(), strict=True)
    for wrong, error, says in (
        (tv.tensor([np.nan, 1.0]), OptionError, "is no range"), (tv.arange(3), DtypeError, "only floating-point"),
    ):  # fmt: skip
        with pytest.raises(error, match=says):
            wrong.histc(4)
    with pytest.raises(OptionError, match="bins must be a positive integer, got 0"):
        tv.ones(2).histc(0)


def test_bytes_are_seen_as_numbers_of_another_dtype():
    numbers = np.array([[1.5, -2.0], [3.25, 1e30]], np.float32)
    for dtype in ("int32", "uint8", "float32", "int16", "float64"):
        seen, theirs = (t.tensor(numbers).view(getattr(t, dtype)) for t in (tv, torch))
        np.testing.assert_array_equal(seen.numpy(), theirs.numpy(), strict=True)
    x = tv.ones(2)
    x.view(tv.int32).zero_()
    assert x.tolist() == [0, 0]
    assert not tv.ones(2, requires_grad=True).view(tv.int32).requires_grad
    assert tv.ones(2, requires_grad=True).view(tv.float32).requires_grad
    for x, dtype in ((tv.ones(3, dtype=tv.uint8), tv.float32), (tv.ones(4, 2).t(), tv.float64)):
        with pytest.raises(ShapeError, match="cannot be seen as"):
            x.view(dtype)
    with pytest.raises(ShapeError, match="a single number of 4 bytes is none of 8"):
        tv.tensor(1.0).view(tv.float64)


def test_allclose_as_a_method():
    for other in ([1.0, 2.0 + 1e-6], [1.0, 2.1], [1.0, float("nan")]):
        for options in ({}, {"atol": 0.2}, {"equal_nan": True}):
            ours, theirs = (t.tensor([1.0, 2.0]).allclose(t.tensor(other), **options) for t in (tv, torch))
            assert ours is theirs


@pytest.mark.parametrize(("threshold", "value"), [(1, 20), (0.5, 2.7), (-1, -3.9)])
def test_a_threshold_among_whole_numbers(threshold, value):
    for inplace in (False, True):
        x, theirs = (t.tensor([[-2, 0], [1, 2]]) for t in (tv, torch))
        y = tv.nn.Threshold(threshold, value, inplace)(x)
        expected = torch.nn.Threshold(threshold, value, inplace)(theirs)
        np.testing.assert_array_equal(y.numpy(), expected.numpy(), strict=True)
        assert x.tolist() == theirs.tolist()


def test_older_names_warn_as_pytorchs_do():
    for name, options in (
        ("upsample_nearest", {"size": 3}), ("upsample_bilinear", {"size": (3, 5)}),
        ("upsample_bilinear", {"scale_factor": 2}),
    ):  # fmt: skip
        found = []
        for t in (tv, torch):
            with pytest.warns(UserWarning, match=rf"`nn.functional.{name}` is deprecated"):
                found.append(getattr(t.nn.functional, name)(t.arange(8.0).reshape(1, 2, 2, 2), **options).numpy())
        np.testing.assert_allclose(*found, rtol=1e-6)
    found = []
    for t in (tv, torch):
        p = t.nn.Parameter(t.ones(3))
        p.grad = t.tensor([3.0, 4.0, 0.0])
        with pytest.warns(FutureWarning, match="`torch.nn.utils.clip_grad_norm` is now deprecated"):
            norm = t.nn.utils.clip_grad_norm([p], 1.0)
        found.append([norm.item(), *p.grad.tolist()])
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("owner", ["model", "optimizer"])
def test_gradients_set_to_zero_are_recorded_no_longer(owner):
    for t in (tv, torch):
        model = t.nn.Linear(2, 2)
        one = model if owner == "model" else t.optim.SGD(model.parameters(), lr=0.1)
        model.weight.grad, model.bias.grad = model.weight * 2, t.ones(2, requires_grad=True)
        kept = model.bias.grad
        one.zero_grad(set_to_none=False)
        assert model.bias.grad is kept
        for p in model.parameters():
            assert not p.grad.requires_grad
            assert not p.grad.detach().numpy().any()


@pytest.mark.parametrize("owner", [lambda x: x, lambda x: x * 2])
@pytest.mark.parametrize("looked", [False, True])
def test_views_stop_asking_for_a_gradient_with_what_was_detached_in_place(owner, looked):
    """Those taken under no_grad() have no history of their own; those that were recorded keep theirs."""
    asked = []
    for library in (torch, tv):
        x = owner(library.ones(3, requires_grad=True))
        with library.no_grad():
            view = x.view(-1)
        recorded = x.view(-1)
        if looked:
            assert view.requires_grad
        assert x.detach_() is x
        asked.append([v.requires_grad for v in (x, view, recorded)])
    assert asked[0] == asked[1] == [False, False, True]


@pytest.mark.parametrize("name", ["logical_not_", "logical_and_", "logical_or_", "logical_xor_"])
@pytest.mark.parametrize("kind", ["leaf", "recorded", "view"])
def test_what_logic_writes_in_place_the_tape_never_hears_of(name, kind):
    seen = []
    for library in (torch, tv):
        leaf = library.tensor([1.5, 0.0, -2.0], dtype=library.float64, requires_grad=True)
        base = leaf if kind == "leaf" else leaf * 3
        x = base[:2] if kind == "view" else base
        other = library.tensor([0.0, 2.0, 5.0], dtype=library.float64, requires_grad=True)[: len(x)]
        assert getattr(x, name)(*([] if name == "logical_not_" else [other])) is x
        (base * library.tensor([1.0, -2.0, 5.0], dtype=library.float64)).sum().backward()
        seen.append((x.tolist(), x.is_leaf, leaf.grad.tolist(), other.is_leaf))
    assert seen[0] == seen[1]
    for library in (torch, tv):  # the numbers are others, which a backward that kept them has to know
        x = library.ones(3, requires_grad=True).exp()
        x.logical_not_()
        with pytest.raises((RuntimeError, GraphError), match=r"in.?place"):
            x.sum().backward()


@pytest.mark.parametrize("name", ["eq_", "ne_", "lt_", "le_", "gt_", "ge_"])
def test_what_a_comparison_writes_in_place_is_flat_on_both_sides(name):
    seen = []
    for library in (torch, tv):
        a = library.tensor([1.5, 0.0, -2.0], dtype=library.float64, requires_grad=True)
        b = library.tensor([1.5], dtype=library.float32, requires_grad=True)
        x, y = a * 3, library.tensor([1.5, 2.0, 0.0], dtype=library.float64)
        getattr(x, name)(b), getattr(y, name)(b)
        (x + y).sum().backward()
        seen.append((x.tolist(), y.tolist(), x.requires_grad, y.requires_grad, a.grad.tolist(), b.grad.tolist()))
        assert b.grad.dtype == library.float32
        with pytest.raises((RuntimeError, GraphError), match=r"leaf|requires a gradient"):
            getattr(a, name)(b)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
@pytest.mark.parametrize("factor", [0, 1, 3, -1, True])
def test_what_is_added_some_number_of_times_keeps_its_dtype(dtype, factor):
    calls = [
        lambda x, y: x.add(y, alpha=factor), lambda x, y: x.add(True, alpha=factor),
        lambda x, y: x.add(False, alpha=factor), lambda x, y: x.add(y.long(), alpha=factor),
        lambda x, y: x.clone().add_(y, alpha=factor),
        lambda x, y: x.sub(y, alpha=factor), lambda x, y: x.addcmul(y, y, value=factor),
        lambda x, y: x.index_add(0, y.argsort(stable=True), y, alpha=factor),
        lambda x, y: x.reshape(2, 2).addr(y[:2], y[2:].to(x.dtype), alpha=factor),
        lambda x, y: x.reshape(2, 2).addr(y[:2].byte(), y[2:].byte() * 200, beta=factor),
    ]  # fmt: skip
    for call in calls:
        results = []
        for library in (torch, tv):
            x = library.tensor([1, 0, 3, 5]).to(getattr(library, dtype))
            y = library.tensor([2, 0, 0, 9]).to(getattr(library, dtype))
            try:
                z = call(x, y)
                results.append((str(z.dtype).removeprefix("torch."), z.tolist()))
            except (RuntimeError, TinyVisionError):
                results.append(None)
        assert results[0] is None or results[0] == results[1]


def test_a_fraction_of_whole_numbers_is_refused():
    """Where PyTorch takes it for the whole number below without a word, as well."""
    x = tv.tensor([[1, 2], [3, 4]])
    for name, call in {
        "add: alpha": lambda: x.add(x, alpha=0.5), "sub: alpha": lambda: x.sub(True, alpha=0.5),
        "addcmul: value": lambda: x.addcmul(x, x, value=0.5), "addmm: beta": lambda: x.addmm(x, x, beta=0.5),
        "addr: alpha": lambda: x.addr(x[0], x[1], alpha=0.5),
        "index_add: alpha": lambda: x.index_add(0, x[0] - 1, x, alpha=0.5),
    }.items():  # fmt: skip
        with pytest.raises(OptionError, match=f"{name}=0.5 is no whole number, but the tensors hold whole numbers"):
            call()
    assert x.addcmul(x, x, value=2.0).dtype == tv.int64


@pytest.mark.parametrize(
    "dtypes", [("float64", "int64"), ("float64", "bool"), ("bool", "float64"), ("int64", "float64")]
)
@pytest.mark.parametrize("side", ["min", "max"])
def test_at_a_limit_of_another_dtype_the_number_itself_gets_the_gradient(dtypes, side):
    seen = []
    for library in (torch, tv):
        x, limit = (library.tensor([1, 0, 1]).to(getattr(library, d)) for d in dtypes)
        asked = (x if dtypes[0] == "float64" else limit).requires_grad_()
        y = x.clamp(**{side: limit})
        (y * library.tensor([1.0, -2.0, 3.0])).sum().backward()
        seen.append((str(y.dtype).removeprefix("torch."), y.tolist(), asked.grad.tolist()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("empty", [False, True])
def test_coordinates_of_what_is_not_zero_lie_in_memory_as_pytorchs(shape, empty, rng):
    numbers = np.zeros(shape) if empty else np.where(rng.random(shape) < 0.6, rng.standard_normal(shape), 0)
    x, theirs = tv.from_numpy(numbers), torch.from_numpy(numbers)
    for found, expected in ((x.nonzero(), theirs.nonzero()), (x.argwhere(), theirs.argwhere())):
        assert found.tolist() == expected.tolist()
        assert tuple(found.shape) == tuple(expected.shape)
        assert empty or found.stride() == expected.stride()


@pytest.mark.parametrize("change", ["unsqueeze_", "squeeze_"])
def test_what_was_recorded_keeps_its_shape_and_its_history_under_no_grad(change):
    x = tv.ones(2, 3, requires_grad=True)
    y = x.max(1, keepdim=True)[0]
    with tv.no_grad(), pytest.raises(GraphError, match=f"{change}: x was recorded, and no_grad"):
        getattr(y, change)(1)
    y.sum().backward()
    assert x.grad.sum().item() == 2
    with tv.no_grad():
        assert tv.ones(3).unsqueeze_(0).shape == (1, 3)


@pytest.mark.parametrize(("size", "place"), [(0, 0), (3, 3), (3, -4)])
@pytest.mark.parametrize("name", ["index_fill", "index_fill_", "index_select", "index_add", "index_copy"])
def test_a_slice_that_is_not_there_is_refused(name, size, place):
    index, x = tv.tensor([place]), tv.zeros(size, 2)
    last = {"index_select": (), "index_fill": (1.0,), "index_fill_": (1.0,)}.get(name, (tv.ones(1, 2),))
    with pytest.raises(ShapeError, match=r"out of bounds|outside"):
        getattr(x, name)(0, index, *last)


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x: t.zeros(2, 3).clamp(max=t.zeros(2)),
        lambda t, x: t.zeros(2, 3).clamp(t.zeros(2), t.zeros(3)),
        lambda t, x: t.zeros(2, 3).masked_select(t.zeros(2) > 0),
        lambda t, x: t.normal(t.zeros(2), t.ones(3)),
        lambda t, x: t.tensordot(t.tensor(1.0), t.ones(2), dims=1),
        lambda t, x: t.tensordot(t.ones(2), t.ones(2), dims=([1], [0])),
        lambda t, x: t.tensordot(t.ones(2), t.ones(2), dims=2),
        lambda t, x: t.zeros(2).isclose(t.zeros(3)),
        lambda t, x: t.where(t.zeros(2) > 0, t.tensor([1, 2, 3]), 0),
        lambda t, x: t.zeros(2, 3).take_along_dim(t.tensor(0), 0),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(call):
    with pytest.raises(ShapeError):
        call(tv, None)
    with pytest.raises((RuntimeError, IndexError)):
        call(torch, None)


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x[None],
        lambda x: x[:, None],
        lambda x: x[..., None],
        lambda x: x[None, :, None, :, None],
        lambda x: x.t()[:, None],
        lambda x: x[::2, None],
        lambda x: x[:1].expand(5, 4)[:, None],
        lambda x: x[0, 1, None],
        lambda x: x[:, :1].expand(3, 1)[None],
        lambda x: x.unsqueeze(1)[1:2],
    ],
)
def test_steps_of_an_axis_that_none_made(look):
    assert look(tv.zeros(3, 4)).stride() == look(torch.zeros(3, 4)).stride()


def test_differences_of_nothing_are_the_tensor_itself():
    for library in (tv, torch):
        x = library.ones(2, 0, requires_grad=True)
        assert x.diff() is x
        assert x.diff(n=0) is not x
        y = library.zeros(3)
        y.diff(prepend=library.ones(1)).fill_(7)
        assert y.tolist() == [0, 0, 0]


def test_how_nothing_lies_in_memory():
    for shape in ((0,), (2, 0), (0, 3), (2, 0, 3), (0, 0)):
        ours, theirs = tv.zeros(shape), torch.zeros(shape)
        assert ours.data_ptr() == theirs.data_ptr() == 0
        for x, y in ((ours, theirs), (ours + 1, theirs + 1), (ours.clone(), theirs.clone())):
            assert x.stride() == y.stride()
            assert x.storage_offset() == y.storage_offset() == 0
    for start in range(3):
        assert tv.zeros(3)[start:].storage_offset() == torch.zeros(3)[start:].storage_offset()


@pytest.mark.parametrize("view", [np.s_[:, -1], np.s_[:, ::2], np.s_[:, 1:]], ids=str)
def test_where_a_view_of_nothing_lies_is_not_told(view):
    x = tv.zeros(0, 3)[view].detach()
    for ask in (x.stride, x.storage_offset):
        with pytest.raises(ShapeError, match="nowhere"):
            ask()


WRITTEN_EARLY = {
    "sum": lambda t, x, out: t.sum(x, 0, out=out),
    "mean": lambda t, x, out: t.mean(x, 0, out=out),
    "amax": lambda t, x, out: t.amax(x, 0, out=out),
    "max": lambda t, x, out: t.max(x, 0, out=(out, t.zeros(2, dtype=t.int64))),
    "mv": lambda t, x, out: t.mv(x, x[1], out=out),
}


@pytest.mark.parametrize("name", WRITTEN_EARLY)
def test_what_is_read_while_out_is_written_is_refused(name):
    """PyTorch's result is no longer the sum, but what its order of reading and writing leaves."""
    compute = WRITTEN_EARLY[name]
    for t in (torch, tv):
        x = t.tensor([[2.5, -1.0], [1.0, 3.0]], dtype=t.float64)
        right = t.zeros(2, dtype=t.float64)
        compute(t, x.clone(), right)
        if t is torch:
            out = x[:, 0]
            compute(t, x, out)
            # PyTorch's maximum reads in an order that differs from run to run.
            assert name == "max" or out.tolist() != right.tolist()
        else:
            with pytest.raises(OptionError, match="written over"):
                compute(t, x, x[:, 0])
            compute(t, x.clone(), x[:, 0])
            assert x[:, 0].tolist() == right.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("exponent", [0.5, -0.5])
@pytest.mark.parametrize("form", ["number", "one", "each"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_half_is_a_root_of_wide_numbers_alone(dtype, exponent, form):
    seen = []
    for t in (torch, tv):
        x = t.tensor([float("-inf"), -0.0, 0.0, 4.0, float("inf"), -2.0], dtype=getattr(t, dtype), requires_grad=True)
        power = {"number": exponent, "one": t.tensor(exponent), "each": t.full((6,), exponent, dtype=x.dtype)}[form]
        y = x**power
        y.sum().backward()
        seen.append((str(y.dtype).rpartition(".")[2], repr(y.tolist()), repr(x.grad.tolist())))
    assert seen[0] == seen[1]


def test_sizes_to_repeat_to_stand_alone_or_together():
    for sizes in ((4, 3), ((4, 3),), (4, -1), (3,)):
        assert tv.arange(3.0).broadcast_to(*sizes).tolist() == torch.arange(3.0).broadcast_to(*sizes).tolist()
    assert tv.arange(3.0).broadcast_to(size=(2, 3)).tolist() == torch.arange(3.0).broadcast_to(size=(2, 3)).tolist()


def test_nothing_is_sought_among_numbers_that_are_none():
    with pytest.raises(OptionError, match="nan is among the sorted numbers"):
        tv.searchsorted(tv.tensor([1.0, float("nan")]), 2.0)


def test_comparisons_in_place_have_long_names():
    for name in ("less", "less_equal", "greater", "greater_equal", "not_equal"):
        sides = []
        for t in (tv, torch):
            x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
            y = x * 1
            assert getattr(y, f"{name}_")(2) is y
            (y * t.tensor([3.0, -1.0, 2.0])).sum().backward()
            sides.append((y.tolist(), x.grad.tolist(), str(y.dtype).rpartition(".")[2]))
        assert sides[0] == sides[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x, w: t.cat([*x.hsplit(2), *x.hsplit([1, 3])], 1),
        lambda t, x, w: t.cat([*x[0].hsplit(2), *t.hsplit(x[0], (1,))]),
        lambda t, x, w: t.cat([*x.vsplit(3), *t.vsplit(x, indices=[2]), *t.vsplit(x, sections=1)]),
        lambda t, x, w: t.cat([*x[None].dsplit(4), *t.dsplit(x[None], [1])], 2),
        lambda t, x, w: x.masked_scatter(x > 0, w),
        lambda t, x, w: (x * 1).masked_scatter_(t.tensor([True, False, True, False]), w.t()),
        lambda t, x, w: x.masked_scatter(x > 100, w[:0]) * w,
        lambda t, x, w: x.renorm(2, 0, 1.0),
        lambda t, x, w: t.renorm(x, 1, -1, 0.7),
        lambda t, x, w: (x[None] * 1).renorm_(3, 1, 1.5),
        lambda t, x, w: (x * 1).swapaxes_(0, 1) * w.t(),
        lambda t, x, w: (x * 1).swapdims_(0, -1) * w.t(),
        lambda t, x, w: x[0, 0].index_fill(0, t.tensor([0]), 3) + x[1, 1].index_fill(-1, t.tensor(0), 2.0),
        lambda t, x, w: (x[0, 0] * 1).index_copy(0, t.tensor([0]), w[0, :1]),
        lambda t, x, w: x.sgn() * w,
        lambda t, x, w: (x / 4).erfinv() * w,
    ],
)
def test_values_and_gradients_are_pytorchs(call, rng):
    numbers, others = rng.standard_normal((2, 3, 4))
    sides = []
    for t in (tv, torch):
        x, w = (t.tensor(v.tolist(), dtype=t.float64, requires_grad=True) for v in (numbers, others))
        y = call(t, x, w)
        (y * t.linspace(-1, 1, y.numel(), dtype=t.float64).reshape(y.shape)).sum().backward()
        sides.append((y.tolist(), (x.grad + 0).tolist(), w.grad.tolist() if w.grad is not None else None))
    for ours, theirs in zip(*sides, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
        assert (ours is None) == (theirs is None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.hsplit(3), r"hsplit: axis 1 of \(3, 4\) does not make 3 equal pieces"),
        (lambda x: x.dsplit(1), "dsplit: x has 2 axes"),
        (lambda x: x.masked_scatter(x > 0, x[:1]), "12 numbers are to be written and source"),
        (lambda x: x.long().masked_fill(x[0, :3] > 0, 1), "masked_fill: the shapes"),
        (lambda x: x[0].renorm(2, 0, 1), "renorm: slices have an axis or more"),
    ],
)
def test_what_cannot_be_cut_or_written(call, message):
    with pytest.raises(ShapeError, match=message):
        call(tv.ones(3, 4))
    with pytest.raises(RuntimeError):
        call(torch.ones(3, 4))


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "int8", "float32"])
@pytest.mark.parametrize(
    "call",
    [
        lambda t, x, v: x.masked_fill(x > 0, v),
        lambda t, x, v: x.index_fill(0, t.tensor([0]), v),
        lambda t, x, v: t.zeros(2, 2).to(x.dtype).fill_diagonal_(v),
        lambda t, x, v: t.full_like(x, v),
        lambda t, x, v: x.new_full((2,), v),
        lambda t, x, v: x.new_tensor([v, 1]),
        lambda t, x, v: x.scatter(0, t.tensor([0]), v),
        lambda t, x, v: x.clamp(max=v),
    ],
)
def test_numbers_of_another_kind_become_what_pytorchs_become(call, kind):
    for value in (1, -1, 0.5, -0.5, 1.7, 300, True, float("nan"), float("inf")):
        sides = []
        for t, refusals in ((tv, (TinyVisionError,)), (torch, (RuntimeError, TypeError))):
            try:
                y = call(t, t.tensor([0, 1, 1]).to(getattr(t, kind)), value)
                sides.append((y.tolist(), str(y.dtype).rpartition(".")[2]))
            except refusals:
                sides.append(None)
        ours, theirs = sides
        if ours and theirs:
            np.testing.assert_array_equal(ours[0], theirs[0])
            assert ours[1] == theirs[1]
        assert ours or not theirs or (kind, value) == ("uint8", -1)  # which clamp refuses


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int64"])
def test_whole_quotients_rounded_to_0(kind):
    for other in (1, 2, -1, -3, 300, "uint8", "int64", "int8"):
        sides = []
        for t in (tv, torch):
            x = t.tensor([0, 1, 7, 5, 120]).to(getattr(t, kind))
            x = -x if "int" in kind else x
            y = t.tensor([2, 3, 3, 2, 7]).to(getattr(t, other)) if isinstance(other, str) else other
            z = x.div(y, rounding_mode="trunc")
            sides.append((z.tolist(), str(z.dtype).rpartition(".")[2]))
        assert sides[0] == sides[1], other
    large = 2**62 + 1
    assert tv.tensor([-large]).div(tv.tensor([3]), rounding_mode="trunc").item() == -(large // 3)


def test_the_norm_over_no_axes_is_that_over_all():
    for dim in ((), []):
        for keepdim in (False, True):
            ours, theirs = (t.ones(2, 3).norm(dim=dim, keepdim=keepdim) for t in (tv, torch))
            assert ours.shape == tuple(theirs.shape)
            assert ours.item() == pytest.approx(theirs.item())


def test_what_is_written_into_out_is_not_read_for_another_place():
    x = tv.arange(4.0)
    tv.mul(x, x, out=x)
    assert x.tolist() == [0.0, 1.0, 4.0, 9.0]
    with pytest.raises(OptionError, match="mul: some numbers that are read are written over"):
        tv.mul(x[1:], x[:-1], out=x[1:])


def test_differences_taken_no_times_and_numbers_gathered_at_no_place():
    sides = []
    for t in (tv, torch):
        x = t.arange(6.0).reshape(2, 3).requires_grad_()
        y = x.diff(0, prepend=t.ones(2, 1), append=t.ones(2, 2))
        z = x.gather(0, t.zeros(0, dtype=t.int64))
        (y.sum() + z.sum()).backward()
        sides.append((y.tolist(), z.tolist(), z.requires_grad, x.grad.tolist()))
    assert sides[0] == sides[1]


@pytest.mark.parametrize("name", ["linspace", "logspace"])
def test_whole_numbers_at_equal_distances_lie_between_whole_numbers(name):
    for start, end, steps in ((4.3, -3, 5), (0, 1.9, 3), (2.9, 2.9, 1), (-0.5, 3.5, 4), (1, 3, 0)):
        ours, theirs = (getattr(t, name)(start, end, steps, dtype=t.int64) for t in (tv, torch))
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("name", ["pow", "mul", "add", "sub", "remainder", "floor_divide", "true_divide"])
def test_a_number_that_comes_first_has_no_precision_of_its_own(name):
    for number in (2, 2.5, True):
        for kind in ("float32", "float64", "float16", "int64", "uint8"):
            for numbers in (3, [3, 1]):
                y = getattr(tv, name)(number, tv.tensor(numbers, dtype=getattr(tv, kind)))
                try:
                    expected = getattr(torch, name)(number, torch.tensor(numbers, dtype=getattr(torch, kind)))
                except (TypeError, RuntimeError):
                    continue
                assert y.tolist() == pytest.approx(expected.tolist(), rel=1e-3)
                assert str(y.dtype).rpartition(".")[2] == str(expected.dtype).rpartition(".")[2]


def test_what_is_scattered_is_not_read_from_where_it_is_written():
    x = tv.arange(4.0)
    with pytest.raises(OptionError, match="masked_scatter_: some numbers that are read are written over"):
        x.masked_scatter_(x > 1, x)


NO_VIEWS = {
    "roll": lambda t, x: x.roll(1),
    "rot90": lambda t, x: x.rot90(),
    "kron": lambda t, x: t.kron(x, x),
    "einsum": lambda t, x: t.einsum("i,j->ij", x[0], x[1]),
    "einsum of one": lambda t, x: t.einsum("ij->i", x),
    "quantile": lambda t, x: x.quantile(0.5, dim=0),
    "diag": lambda t, x: t.diag(x[0]),
    "conv1d": lambda t, x: t.nn.functional.conv1d(x[None], t.ones(1, 2, 2)),
}


@pytest.mark.parametrize("name", NO_VIEWS)
def test_what_is_put_together_is_no_view(name):
    """So its own views ask for a gradient when it does."""
    for t in (torch, tv):
        y = NO_VIEWS[name](t, t.arange(6.0).reshape(2, 3))
        view = y[..., 0]
        y.requires_grad_()
        assert view.requires_grad


def test_blocks_of_one_number_meet_as_tensors_do():
    for t in (torch, tv):
        joined = t.block_diag(t.tensor(2.5, dtype=t.float64), t.ones(1, 2))
        assert joined.dtype == t.float32
        assert joined.tolist() == [[2.5, 0, 0], [0, 1, 1]]


def test_the_product_of_one_number_has_its_slope_at_infinity_too():
    for t in (torch, tv):
        x = t.tensor([[float("inf")], [2.0]], requires_grad=True)
        x.cumprod(1).sum().backward()
        assert x.grad.tolist() == [[1.0], [1.0]]


def test_how_many_rows_numbers_differ_in_is_flat():
    for t in (torch, tv):
        x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        distance = t.cdist(x, x.detach() * t.tensor([1.0, 2.0]), p=0)
        distance.sum().backward()
        assert distance.tolist() == [[1.0, 2.0], [1.0, 1.0]]
        assert x.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]
