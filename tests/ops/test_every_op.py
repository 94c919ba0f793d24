"""What holds for every op alike, over the table in `op_cases.py`."""

import copy
import inspect

import numpy as np
import pytest
from strict import StrictArray, from_strict, to_strict

from tinyvision import blocks, errors, ops, threads
from tinyvision.ops import checks as door
from tinyvision.ops.convolution import sliding

from .op_cases import CASES

VIEWS = {
    "reshape",
    "flatten",
    "transpose",
    "index",
    "diagonal",
    "expand",
    "slide",
}  # the declared exception: y may be a view

each_op = pytest.mark.parametrize("case", CASES, ids=str)


def with_upstream(case, rng, dtype=np.float64):
    """The arguments, the result, its cache and a random signed upstream gradient."""
    arguments = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.make(rng)]
    options = {k: v.astype(dtype) if getattr(v, "dtype", None) == np.float64 else v for k, v in case.options.items()}
    y, cache = case.forward(*arguments, **options)
    return arguments, options, y, cache, rng.standard_normal(y.shape).astype(dtype)


def gradients_of(case, dy, cache, needs):
    """The gradients, as many as there are smooth arguments at least."""
    result = case.backward(dy, cache, needs)
    assert isinstance(result, tuple)
    return result


def needs_for(arguments, wanted):
    return tuple(i in wanted for i in range(len(arguments)))


def arrays_in(tree):
    """All NumPy arrays in a nest of tuples, lists and dicts."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from arrays_in(part)
    elif isinstance(tree, dict):
        yield from arrays_in(list(tree.values()))


def test_the_table_names_every_op():
    offered = {name.removesuffix("_forward") for name in ops.__all__ if name.endswith("_forward")}
    assert {case.op for case in CASES} >= offered
    assert {name + "_backward" for name in offered} <= set(ops.__all__)


@each_op
def test_gradients_agree_with_central_differences(case, rng):
    arguments, options, _, cache, dy = with_upstream(case, rng)
    gradients = gradients_of(case, dy, cache, needs_for(arguments, case.smooth))
    step = 1e-6
    for i in case.smooth:
        x, numeric = arguments[i], np.empty_like(arguments[i])
        for place in np.ndindex(x.shape):
            saved = x[place]
            x[place] = saved + step
            above = (case.forward(*arguments, **options)[0] * dy).sum()
            x[place] = saved - step
            below = (case.forward(*arguments, **options)[0] * dy).sum()
            x[place] = saved
            numeric[place] = (above - below) / (2 * step)
        # Truncation: step² times a third derivative. Rounding: about 1e-16 · |Σ y·dy| / step = 1e-9.
        np.testing.assert_allclose(gradients[i], numeric, rtol=1e-6, atol=2e-7, err_msg=f"argument {i}")


@each_op
def test_nothing_is_changed_and_nothing_shared(case, rng):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    before = copy.deepcopy([arguments, options, dy])
    needs = needs_for(arguments, case.smooth)
    y2, cache2 = case.forward(*arguments, **options)
    gradients = gradients_of(case, dy, cache2, needs)
    for now, then in zip(arrays_in([arguments, options, dy]), arrays_in(before), strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(y2, y)
    given = list(arrays_in([arguments, options]))
    if case.op not in VIEWS:
        assert not any(np.may_share_memory(y, a) for a in given if a.size)
    made = [g for g in gradients if g is not None]
    for i, g in enumerate(made):
        others = [*given, dy, y, y2, *arrays_in(cache), *arrays_in(cache2), *made[:i]]
        assert not any(np.shares_memory(g, a) for a in others if a.size)


@each_op
def test_backward_twice_gives_the_same(case, rng):
    arguments, _, y, cache, dy = with_upstream(case, rng)
    needs = needs_for(arguments, case.smooth)
    kept = y.copy()
    first = gradients_of(case, dy, cache, needs)
    second = gradients_of(case, dy, cache, needs)
    for a, b in zip(first, second, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y, kept)


@each_op
def test_without_needs_every_gradient_comes(case, rng):
    arguments, _, _, cache, dy = with_upstream(case, rng)
    full = gradients_of(case, dy, cache, needs_for(arguments, case.smooth))
    asked_nothing = case.backward(dy, cache)
    for i in case.smooth:
        assert asked_nothing[i] is not None
        np.testing.assert_array_equal(asked_nothing[i], full[i])


@each_op
def test_only_what_is_needed_is_computed(case, rng):
    arguments, _, _, cache, dy = with_upstream(case, rng)
    full = gradients_of(case, dy, cache, needs_for(arguments, case.smooth))
    if len(case.smooth) == 1:
        return  # the tape does not call a backward that nobody needs
    for i in case.smooth:
        some = gradients_of(case, dy, cache, needs_for(arguments, (i,)))
        for j, gradient in enumerate(some):
            if j == i and (case.op, i) == ("conv2d", 2):
                # Beside dweight, dbias comes of a row of ones: some hundred terms of float64 in another order.
                np.testing.assert_allclose(gradient, full[i], rtol=1e-12, atol=1e-12)
            elif j == i:
                np.testing.assert_array_equal(gradient, full[i])
            else:
                assert gradient is None, f"{case.op} computed a gradient for argument {j}, which nobody wanted"


@each_op
def test_float32_stays_float32(case, rng):
    _, _, exact, _, _ = with_upstream(case, np.random.default_rng(1))
    arguments, _, y, cache, dy = with_upstream(case, np.random.default_rng(1), np.float32)
    assert isinstance(y, np.ndarray)
    assert y.dtype == np.float32
    # Sums of a few dozen numbers of size about 1 in float32: some units of 1.2e-7 each.
    np.testing.assert_allclose(y, exact, rtol=2e-5, atol=2e-5)
    for g in gradients_of(case, dy, cache, needs_for(arguments, case.smooth)):
        assert g is None or (isinstance(g, np.ndarray) and g.dtype == np.float32)


@each_op
def test_the_same_on_another_kind_of_array(case, rng):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    expected = gradients_of(case, dy, cache, needs_for(arguments, case.smooth))
    y_there, cache_there = case.forward(*to_strict(arguments), **to_strict(options))
    assert isinstance(y_there, StrictArray)
    gradients = gradients_of(case, StrictArray(dy), cache_there, needs_for(arguments, case.smooth))
    # The device gets its work in one piece, the CPU in blocks, so sums may be added up in another order.
    np.testing.assert_allclose(from_strict(y_there), y, rtol=1e-13, atol=1e-13)
    for there, here in zip(from_strict(gradients), expected, strict=True):
        assert (there is None) == (here is None)
        if here is not None:
            assert there.dtype == here.dtype
            np.testing.assert_allclose(there, here, rtol=1e-13, atol=1e-13)


@each_op
def test_no_op_makes_the_device_wait(case, rng):
    arguments, options, _, _, dy = with_upstream(case, rng)
    arguments, options, dy = to_strict(arguments), to_strict(options), StrictArray(dy)
    StrictArray.syncs = 0
    _, cache = case.forward(*arguments, **options)
    gradients_of(case, dy, cache, needs_for(arguments, case.smooth))
    # The labels and the numbers of an index must be looked at, or a wrong one would pass silently.
    # So must the count of other processes' rows, in an exchange that waits for them in any case.
    places = dict.fromkeys(("gather", "scatter", "scatter_add", "sync_batchnorm", "arcface"), 1)
    allowed = {"cross_entropy": 2, "nll_loss": 2, "index": 2, "write": 2, "bce": 1, **places}.get(case.op, 0)
    assert StrictArray.syncs <= allowed


@each_op
def test_memory_order_does_not_matter(case, rng):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    needs = needs_for(arguments, case.smooth)
    expected = gradients_of(case, dy, cache, needs)
    for reorder in (channels_last, reversed_axes, strided):
        other = [reorder(a) for a in arguments]
        z, cache = case.forward(*other, **options)
        # Another order in memory may add up in another order.
        np.testing.assert_allclose(z, y, rtol=1e-12, atol=1e-12)
        for got, want in zip(gradients_of(case, reorder(dy), cache, needs), expected, strict=True):
            if want is not None:
                np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def channels_last(a):
    """The same numbers, with axis 1 the last in memory."""
    if a.ndim < 3:
        return a
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)


def reversed_axes(a):
    """The same numbers in Fortran's order."""
    return np.asfortranarray(a)


def strided(a):
    """The same numbers with gaps between them, read backwards."""
    if not a.ndim:
        return a
    wide = np.zeros([2 * n + 1 for n in a.shape], a.dtype)
    view = wide[tuple(slice(-2, 0, -2) for _ in a.shape)]
    view[...] = a
    return view


def read_only(a):
    """The same numbers, which nobody may change."""
    a = a.copy()
    a.setflags(write=False)
    return a


def big_endian(a):
    """The same numbers, with the first byte the largest."""
    return a.astype(a.dtype.newbyteorder(">"))


@each_op
@pytest.mark.parametrize("changed", [read_only, big_endian])
def test_read_only_and_big_endian_arrays_give_the_same(case, changed, rng):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    needs = needs_for(arguments, case.smooth)
    expected = gradients_of(case, dy, cache, needs)
    options = {name: changed(v) if isinstance(v, np.ndarray) else v for name, v in options.items()}
    z, cache = case.forward(*[changed(a) for a in arguments], **options)
    np.testing.assert_allclose(z, y, rtol=1e-12, atol=1e-12)
    for got, want in zip(gradients_of(case, changed(dy), cache, needs), expected, strict=True):
        if want is not None:
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@each_op
def test_half_precision_is_near_or_refused(case, rng):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    needs = needs_for(arguments, case.smooth)
    expected = gradients_of(case, dy, cache, needs)
    half = [a.astype(np.float16) if a.dtype.kind == "f" else a for a in arguments]
    options = {n: v.astype(np.float16) if getattr(v, "dtype", None) == np.float64 else v for n, v in options.items()}
    if case.op in ("batchnorm_train", "batchnorm_relu", "sync_batchnorm", "box_agreement"):
        with pytest.raises(errors.DtypeError, match="float16"):  # their sums and squares overflow
            case.forward(*half, **options)
        return
    z, cache = case.forward(*half, **options)
    # A float16 has 11 bits; in a few sums of ten numbers or so, 5 of them may be lost.
    np.testing.assert_allclose(z, y, rtol=0.05, atol=0.05)
    for got, want in zip(gradients_of(case, dy.astype(z.dtype), cache, needs), expected, strict=True):
        if want is not None:
            np.testing.assert_allclose(got, want, rtol=0.05, atol=0.05)


@each_op
def test_no_images_at_all_are_an_empty_result_or_are_refused(case, rng):
    arguments, options, _, _, _ = with_upstream(case, rng)
    N = arguments[0].shape[:1]
    alike = [i for i, a in enumerate(arguments) if i == 0 or (i == 1 and a.shape[:1] == N and a.ndim < 3)]
    for emptied in ([0], alike):  # the others may be weights, or belong to the images
        few = [a[:0] if i in emptied and a.ndim else a for i, a in enumerate(arguments)]
        try:
            y, cache = case.forward(*few, **options)
        except errors.TinyVisionError:
            continue
        gradients = gradients_of(case, np.zeros_like(y), cache, needs_for(few, case.smooth))
        for i in case.smooth:
            assert gradients[i].shape == few[i].shape
            assert not gradients[i].any()  # no image, no wish


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.op not in ("cross_entropy", "nll_loss", "index", "where", "dropout")], ids=str
)
def test_arrays_on_two_devices_are_refused(case, rng):
    arguments = case.make(rng)
    if len(arguments) < 2:
        return
    mixed = [StrictArray(arguments[0]), *arguments[1:]]
    with pytest.raises(errors.DeviceError, match=r"is on StrictArray but .* is on cpu"):
        case.forward(*mixed, **case.options)


MOVERS = ["sum", "reshape", "flatten", "transpose", "concatenate", "index", "pad", "where"]
MOVERS += ["gather", "scatter", "scatter_add", "flip", "roll", "repeat"]
MOVERS += ["expand", "diagonal", "slide", "write"]
FLOAT_ONLY = [c for c in CASES if c.op not in MOVERS]


@pytest.mark.parametrize("case", FLOAT_ONLY, ids=str)
def test_integers_are_refused_with_a_remedy(case, rng):
    arguments = case.make(rng)
    arguments[0] = (arguments[0] * 10).astype(np.uint8)
    with pytest.raises(errors.DtypeError, match=rf"{case.op}: \w+ holds uint8 numbers.*x.float\(\) / 255"):
        case.forward(*arguments, **case.options)


@pytest.mark.parametrize("case", [c for c in FLOAT_ONLY if len(c.smooth) > 1], ids=str)
def test_two_precisions_are_refused(case, rng):
    arguments = case.make(rng)
    arguments[1] = arguments[1].astype(np.float32)
    with pytest.raises(errors.DtypeError, match=r"is float64 but \w+ is float32"):
        case.forward(*arguments, **case.options)


@pytest.mark.parametrize("case", FLOAT_ONLY, ids=str)
def test_lists_are_refused(case, rng):
    arguments = case.make(rng)
    arguments[0] = [[1.0]]
    with pytest.raises(errors.DtypeError, match="must be an array, got list"):
        case.forward(*arguments, **case.options)


class Foreign:
    """An array of a library that the engine has never heard of."""

    def __init__(self, array):
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype


@each_op
def test_arrays_of_another_library_are_refused_by_name(case, rng):
    for i in range(len(case.make(rng))):
        arguments = case.make(rng)
        arguments[i] = Foreign(arguments[i])
        with pytest.raises(errors.DtypeError, match=rf"^{case.op}: .*{__name__}.Foreign, an array of another library"):
            case.forward(*arguments, **case.options)


@each_op
def test_none_stands_for_an_array_only_where_an_op_can_do_without(case, rng):
    names = list(inspect.signature(case.forward).parameters)
    for i, name in enumerate(names[: len(case.make(rng))]):
        arguments = case.make(rng)
        arguments[i] = None
        if (case.op, name) in door.OPTIONAL:
            case.forward(*arguments, **case.options)
        else:
            with pytest.raises(errors.DtypeError, match=rf"^{case.op}: \w+(\[{i}\])? must be an array, got NoneType"):
                case.forward(*arguments, **case.options)


@pytest.mark.parametrize("count", [1, 2, 3])
@each_op
def test_blocks_and_threads_change_nothing_but_the_last_bits(case, count, rng, monkeypatch):
    arguments, options, y, cache, dy = with_upstream(case, rng)
    needs = needs_for(arguments, case.smooth)
    expected = gradients_of(case, dy, cache, needs)
    monkeypatch.setattr(blocks, "SMALL_BYTES", 0)  # so that even these small arrays are cut up
    monkeypatch.setattr(blocks.slices, "__defaults__", (128,))
    monkeypatch.setattr(sliding, "COLUMN_BYTES", 512)
    threads.set_num_threads(count)
    z, cache = case.forward(*arguments, **options)
    np.testing.assert_allclose(z, y, rtol=1e-12, atol=1e-12)
    for got, want in zip(gradients_of(case, dy, cache, needs), expected, strict=True):
        if want is not None:
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
