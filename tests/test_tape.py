"""The tape: order, accumulation, memory, and everything it says when something is wrong."""

import gc
import itertools
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import StrictArray

import tinyvision as tv
from tinyvision import ops
from tinyvision.errors import DeviceError, DtypeError, GraphError, OptionError, ShapeError
from tinyvision.grad_mode import enable_grad, is_grad_enabled, no_grad
from tinyvision.tape import NOTHING, Variable, differentiable
from tinyvision.tensors import taped as F
from tinyvision.walks import is_to_come, when_ready


def leaf(*numbers):
    return Variable(np.array(numbers, float), requires_grad=True)


# -- the chain by hand, the list walked backwards, the tape


def network(rng):
    x, labels = rng.standard_normal((3, 2, 8, 7)), np.array([1, 0, 3])
    weights = [rng.standard_normal(s) * 0.3 for s in ((4, 2, 3, 3), (4,), (5, 4 * 4 * 3), (5,))]
    return x, labels, weights


def test_by_hand_as_a_list_and_on_the_tape_agree_bit_for_bit(rng):
    x, labels, (w1, b1, w2, b2) = network(rng)

    h1, cache1 = ops.conv2d_forward(x, w1, b1, padding=1)
    h2, cache2 = ops.relu_forward(h1)
    h3, cache3 = ops.max_pool2d_forward(h2, 2)
    h4, cache4 = ops.flatten_forward(h3)
    h5, cache5 = ops.linear_forward(h4, w2, b2)
    loss, cache6 = ops.cross_entropy_forward(h5, labels)
    d5, _ = ops.cross_entropy_backward(np.ones_like(loss), cache6)
    d4, dw2, db2 = ops.linear_backward(d5, cache5)
    (d3,) = ops.flatten_backward(d4, cache4)
    (d2,) = ops.max_pool2d_backward(d3, cache3)
    (d1,) = ops.relu_backward(d2, cache2)
    _, dw1, db1 = ops.conv2d_backward(d1, cache1)
    by_hand = [loss, dw1, db1, dw2, db2]

    steps = [
        (ops.conv2d_forward, ops.conv2d_backward, (w1, b1), {"padding": 1}),
        (ops.relu_forward, ops.relu_backward, (), {}),
        (ops.max_pool2d_forward, ops.max_pool2d_backward, (), {"kernel_size": 2}),
        (ops.flatten_forward, ops.flatten_backward, (), {}),
        (ops.linear_forward, ops.linear_backward, (w2, b2), {}),
        (ops.cross_entropy_forward, ops.cross_entropy_backward, (labels,), {}),
    ]
    remembered, value = [], x
    for forward, backward, more, options in steps:
        value, cache = forward(value, *more, **options)
        remembered.append((backward, cache))
    gradients, dy = [], np.ones_like(value)
    for backward, cache in reversed(remembered):
        dy, *rest = backward(dy, cache)
        gradients = rest + gradients
    as_a_list = [value, *[g for g in gradients if g is not None]]

    leaves = [Variable(w, requires_grad=True) for w in (w1, b1, w2, b2)]
    h = F.max_pool2d(F.relu(F.conv2d(Variable(x), leaves[0], leaves[1], padding=1)), kernel_size=2)
    output = F.cross_entropy(F.linear(F.flatten(h), leaves[2], leaves[3]), labels)
    output.backward()
    on_the_tape = [output.array, *[v.grad.array for v in leaves]]

    for hand, listed, taped in zip(by_hand, as_a_list, on_the_tape, strict=True):
        np.testing.assert_array_equal(hand, listed)
        np.testing.assert_array_equal(hand, taped)


# -- sums over paths


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "mul", "sub"]), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=12,
    )
)
def test_any_graph_like_torch(program):
    torch = pytest.importorskip("torch")
    ours = [leaf(0.5, -1.5), leaf(2.0, 0.25)]
    theirs = [torch.tensor(v.array, requires_grad=True) for v in ours]
    for name, i, j in program:
        ours.append(getattr(F, name)(ours[i % len(ours)], ours[j % len(ours)]))
        theirs.append(getattr(torch, name)(theirs[i % len(theirs)], theirs[j % len(theirs)]))
        if abs(theirs[-1].detach()).max() > 1e3:
            break
    gradient = np.array([0.7, -1.3])
    ours[-1].backward(gradient)
    theirs[-1].backward(torch.from_numpy(gradient))
    for mine, other in zip(ours[:2], theirs[:2], strict=True):
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            np.testing.assert_allclose(mine.grad.array, other.grad.numpy(), rtol=1e-12)


def test_gradients_add_up_over_several_calls():
    p = leaf(1.0, 2.0)
    for calls in (1, 2, 3):
        F.sum(F.mul(p, p)).backward()
        np.testing.assert_array_equal(p.grad.array, calls * 2 * p.array)


def test_a_diamond_and_the_same_value_twice():
    x = leaf(3.0)
    a = F.mul(x, x)
    F.add(F.mul(a, a), F.add(a, a)).backward()  # x⁴ + 2x²
    assert x.grad.array.item() == 4 * 27 + 4 * 3


def test_every_leaf_owns_its_gradient():
    p, q = leaf(1.0, 2.0), leaf(3.0, 4.0)
    upstream = np.array([1.0, -1.0])
    F.add(p, q).backward(upstream)
    assert not np.shares_memory(p.grad.array, q.grad.array)
    assert not np.shares_memory(p.grad.array, upstream)
    first, kept = p.grad, p.grad.array
    p.backward(upstream)
    assert p.grad is first
    assert first.array is kept, "who holds a gradient sees what is added to it"
    assert kept.tolist() == [2, -2]
    assert first.version == 1


def test_gradients_are_added_to_the_memory_that_is_there():
    """One buffer for the gradients of all parameters, as clipping and exchanges use it."""
    p, q = leaf(1.0, 2.0), leaf(3.0)
    buffer = np.zeros(3)
    p.grad, q.grad = Variable(buffer[:2]), Variable(buffer[2:])
    F.add(F.sum(F.mul(p, p)), F.sum(F.mul(q, q))).backward()
    assert buffer.tolist() == [2, 4, 6]
    p.grad = Variable(np.broadcast_to(1.0, (2,)))
    with pytest.raises(GraphError, match=r"the \.grad \(2,\) that there is cannot be added to"):
        F.sum(p).backward()


def test_a_gradient_that_does_not_fit_is_not_taken():
    p = leaf(1.0, 2.0)
    for wrong, error, says in (
        (np.ones(2), OptionError, "expected a tensor or None, got numpy.ndarray"),
        (Variable(np.ones(1)), ShapeError, r"shape \(1,\) was assigned to a value of shape \(2,\)"),
        (Variable(np.ones(2, np.float32)), DtypeError, "a gradient of float32 was assigned to a value of float64"),
    ):
        with pytest.raises(error, match=says):
            p.grad = wrong
        assert p.grad is None


def test_a_backward_may_leave_an_input_without_a_gradient():
    """The leaf behind it is not given zeros, with which a step would decay it, and who awaits it hears of the end."""
    x, w, told = leaf(1.0), leaf(2.0), []
    one_sided = differentiable(lambda x, w: (x * w, ()), lambda dy, cache, needs: (dy, NOTHING))
    end = when_ready(w, lambda one: told.append(one.grad))
    F.sum(one_sided(x, F.mul(w, w))).backward()
    assert x.grad.array.tolist() == [1]
    assert w.grad is None
    assert told == [None]
    end()


def doubled(backward):
    """2x with this backward, followed by a walk from ones; the gradient of x."""
    x = leaf(1.0, 2.0, 3.0)
    differentiable(lambda x: (x * 2, x), backward)(x).backward(np.ones(3))
    return x.grad.array


def test_a_gradient_that_nobody_else_has_is_adopted_and_not_copied():
    seen = []

    def fresh(dy, cache, needs):
        dx = dy * 2
        seen.append(dx.ctypes.data)
        return dx

    def turned(dy, cache, needs):
        memory = np.array([[2.0], [2.0], [2.0]])
        seen.append(memory.ctypes.data)
        return memory[:, 0]

    assert [doubled(backward).ctypes.data for backward in (fresh, turned)] == seen


def test_a_gradient_that_somebody_keeps_is_copied():
    kept = {}

    def in_a_dictionary(dy, cache, needs):
        kept["dx"] = dy * 2
        return kept["dx"]

    def as_a_view(dy, cache, needs):
        dx = dy * 2
        kept["dx"] = dx[:1]
        return dx

    def part_of_more(dy, cache, needs):
        more = np.ones((2, 3)) * 2
        kept["dx"] = more[1]
        return more[0]

    def as_memory(dy, cache, needs):
        dx = dy * 2
        kept["dx"] = memoryview(dx)
        return dx

    for backward in (in_a_dictionary, as_a_view, part_of_more, as_memory):
        gradient = doubled(backward)
        assert gradient.tolist() == [2, 2, 2]
        memory = np.asarray(kept["dx"])
        assert not np.shares_memory(gradient, memory if memory.base is None else memory.base), backward.__name__
    for gradient in (np.array([2.0, 2.0, 2.0]), np.broadcast_to(2.0, 3), np.full(3, 2, np.float32)):
        assert doubled(lambda dy, cache, needs, g=gradient: g) is not gradient
        assert doubled(lambda dy, cache, needs, g=gradient: g).flags.writeable


def test_inner_values_keep_no_gradient():
    x = leaf(1.0)
    y = F.exp(x)
    F.mul(y, y).backward()
    assert y.grad is None
    assert x.grad is not None


def test_only_what_needs_a_gradient_is_recorded_and_computed():
    asked = []

    def backward(dy, cache, needs):
        asked.append(needs)
        return ops.mul_backward(dy, cache, needs)

    multiply = differentiable(ops.mul_forward, backward)
    x, p = Variable(np.array([2.0])), leaf(3.0)
    assert multiply(x, x).record is None
    assert isinstance(multiply(x.array, x.array), np.ndarray), "plain arrays give a plain array"
    multiply(x, p).backward()
    assert asked == [(False, True)]
    assert x.grad is None


# -- what it says


def test_a_spent_graph_says_so():
    x = leaf(1.0)
    y = F.exp(x)
    y.backward()
    with pytest.raises(
        GraphError, match="the graph behind exp has already been used and freed; run the forward pass again"
    ):
        y.backward()
    z = F.mul(y, y)
    with pytest.raises(GraphError, match="behind exp"):
        z.backward()


def test_retain_graph_keeps_it():
    x = leaf(2.0)
    y = F.mul(x, x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.array.item() == 8
    with pytest.raises(GraphError, match="already been used"):
        y.backward()


def test_backward_needs_a_graph_a_number_and_a_gradient_that_fits():
    with pytest.raises(GraphError, match="does not depend on anything that requires a gradient"):
        Variable(np.ones(())).backward()
    y = F.mul(leaf(1.0, 2.0), leaf(3.0, 4.0))
    with pytest.raises(GraphError, match=r"only a single number can start on its own, this value is \(2,\)"):
        y.backward()
    with pytest.raises(ShapeError, match=r"the gradient is \(3,\) but the value is \(2,\)"):
        y.backward(np.ones(3))
    with pytest.raises(DeviceError, match="the gradient is on StrictArray but the value on cpu"):
        y.backward(StrictArray(np.ones(2)))
    y.backward([1, 2])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda dy, cache, needs: (dy[:1],), r"shape \(1,\)"),
        (lambda dy, cache, needs: (None,), "None"),
        (lambda dy, cache, needs: (), "None"),
        (lambda dy, cache, needs: (2.0,), "a float"),
        (lambda dy, cache, needs: None, "None"),
    ],
)
def test_a_backward_that_returns_the_wrong_shape_is_named(wrong, said):
    op = differentiable(ops.exp_forward, wrong)
    with pytest.raises(ShapeError, match=rf"the backward of exp returned {said} for input 0, whose shape is \(2,\)"):
        F.sum(op(leaf(1.0, 2.0))).backward()


def test_one_gradient_need_not_be_in_a_tuple():
    op = differentiable(ops.exp_forward, lambda dy, cache, needs: dy * cache)
    x = leaf(0.0)
    op(x).backward()
    assert x.grad.array.item() == 1


def test_a_students_own_backward_can_be_swapped_in():
    square = differentiable(lambda x: (x * x, x), lambda dy, x, needs: (2 * x * dy,))
    x = leaf(3.0)
    square(x).backward()
    assert x.grad.array.item() == 6
    square.backward = lambda dy, x, needs: (x * dy,)
    square(x).backward()
    assert x.grad.array.item() == 9
    assert square.forward(2.0)[0] == 4
    assert F.conv2d.forward is ops.conv2d_forward
    assert F.conv2d.backward is ops.conv2d_backward
    assert F.conv2d.__name__ == "conv2d"


def test_an_input_changed_in_place_is_noticed():
    x, p = leaf(1.0), leaf(2.0)
    y = F.mul(x, p)
    p.array += 1
    p.version += 1
    with pytest.raises(GraphError, match=r"mul: an input of shape \(1,\) was changed in place after the call"):
        y.backward()


def test_a_kept_result_changed_in_place_is_noticed():
    y = F.exp(leaf(1.0))
    z = F.sum(y)
    y.array *= 0
    y.version += 1
    with pytest.raises(GraphError, match="changed in place after the call"):
        z.backward()


# -- hooks


def test_a_hook_sees_the_gradient_and_may_replace_it():
    x, seen = leaf(2.0), []
    y = F.mul(x, x)
    y.record.hooks.append(seen.append)
    y.record.hooks.append(lambda dy: dy * 10)
    F.add(y, y).backward()
    assert [s.tolist() for s in seen] == [[2.0]], "once, when all paths have been added up"
    assert x.grad.array.item() == 2 * 10 * 4


# -- no_grad


def test_arrays_by_name_are_arrays():
    """A keyword is an option, and nothing is put on the tape for one: plain arrays go in, and one comes out."""
    x, weight = np.ones((2, 3)), np.ones((4, 3))
    np.testing.assert_array_equal(F.linear(x=x, weight=weight), x @ weight.T)


def test_no_grad_as_block_nested_and_as_decorator():
    x = leaf(1.0)
    assert is_grad_enabled()
    with no_grad():
        assert F.exp(x).record is None
        assert not F.exp(x).requires_grad
        with enable_grad():
            assert F.exp(x).record is not None
            with no_grad():
                assert not is_grad_enabled()
            assert is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()

    @no_grad()
    def called():
        return F.exp(x)

    @no_grad
    def bare():
        return F.exp(x)

    assert called().record is bare().record is None
    assert bare.__name__ == "bare"
    assert is_grad_enabled()


def test_no_grad_does_not_decorate_a_generator():
    with pytest.raises(OptionError, match="numbers is a generator"):

        @no_grad()
        def numbers():
            yield is_grad_enabled()


def test_no_grad_ends_with_an_exception_and_can_be_used_again():
    mode = no_grad()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), mode:
            raise ZeroDivisionError
        assert is_grad_enabled()


def test_no_grad_holds_for_its_own_thread_only():
    mode, seen = no_grad(), []

    def other():
        seen.append(is_grad_enabled())
        with mode:
            seen.append(is_grad_enabled())
        seen.append(is_grad_enabled())

    with mode:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert not is_grad_enabled()
    assert seen == [True, False, True]


def test_threads_build_and_walk_their_own_graphs():
    def work(results, i):
        p = leaf(float(i + 1))
        for _ in range(100):
            F.sum(F.mul(F.mul(p, p), p)).backward()
        results[i] = p.grad.array.item()

    results = [None] * 6
    threads = [threading.Thread(target=work, args=(results, i)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [100 * 3 * (i + 1) ** 2 for i in range(6)]


# -- depth and memory


def test_a_graph_of_twenty_thousand_ops():
    x = y = leaf(1.0)
    one = Variable(np.ones(1))
    for _ in range(20_000):
        y = F.add(y, one)
    y.backward()
    assert x.grad.array.item() == 1


def test_a_deep_graph_that_nobody_walks_goes_quietly():
    y = leaf(1.0)
    for _ in range(20_000):
        y = F.sub(y, y)
    assert y.record is not None
    del y


def test_a_wide_graph_costs_one_call_for_each_op():
    """Walking paths instead of ops would take 2⁶⁰ steps here."""
    x = y = leaf(1.0)
    for _ in range(60):
        y = F.add(y, y)
    y.backward()
    assert x.grad.array.item() == 2.0**60


class Watched(np.ndarray):
    """A NumPy array that can be watched by a weak reference under its own name."""


def test_memory_returns_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        for walk, keep in itertools.product((True, False), repeat=2):
            x = leaf(*range(10))
            h = F.mul(x, x)
            record, value = h.record, weakref.ref(h)
            loss = F.sum(F.exp(h))
            if walk:
                loss.backward(retain_graph=keep)
                assert (record.cache is None) == (not keep), "a walked graph holds no arrays any more"
            del h, record, loss
            assert value() is None
    finally:
        gc.enable()


def test_the_graph_is_freed_with_its_loss():
    gc.collect()
    gc.disable()
    try:
        big = np.zeros(10).view(Watched)
        alive = weakref.ref(big)
        x = Variable(big)
        del big
        loss = F.sum(F.mul(F.mul(x, leaf(*range(10))), x))
        del x
        assert alive() is not None, "the backward still needs it"
        loss.backward()
        assert alive() is None, "and then no more, although the loss is still there"
        assert loss.array == 0
    finally:
        gc.enable()


def test_a_backward_may_return_one_array_for_two_inputs():
    """What one of the inputs hears from elsewhere must not be added to the other one's."""
    both = differentiable(lambda a, b: (a + b, None), lambda dy, cache, needs: (dy, dy))
    x, z = leaf(1, 2), leaf(3, 4)
    a, b = F.mul(x, leaf(1, 1)), F.mul(z, leaf(1, 1))
    elsewhere = F.mul(a, leaf(5, 5))
    F.add(F.sum(both(a, b)), F.sum(elsewhere)).backward()
    np.testing.assert_array_equal(x.grad.array, [6, 6])
    np.testing.assert_array_equal(z.grad.array, [1, 1])


def test_backward_goes_on_in_the_values_own_precision():
    seen = []

    def backward(dy, cache, needs):
        seen.append(dy.dtype)
        return (dy,)

    identity = differentiable(lambda x: (x.copy(), None), backward)
    for gradient in (np.ones(2), [1, 2], np.ones(2, np.int64)):
        y = identity(Variable(np.ones(2, np.float32), requires_grad=True))
        y.backward(gradient)
    assert seen == [np.float32] * 3


def test_who_waits_for_a_gradient_hears_of_it_at_its_last_use_while_the_walk_goes_on():
    early, late, unused = (Variable(np.array([float(n)]), requires_grad=True) for n in (2, 3, 5))
    heard = []

    def note(leaf):
        others = [name for name, v in (("early", early), ("unused", unused)) if is_to_come(v)]
        heard.append((float(leaf.array[0]), float(leaf.grad.array[0]), others))

    ends = [when_ready(leaf, note) for leaf in (early, late, unused)]
    x = F.mul(F.mul(early, early), late)
    F.sum(F.add(F.mul(x, late), early)).backward()  # early² late² + early
    assert heard == [(3.0, 24.0, ["early"]), (2.0, 37.0, [])]
    ends[1]()
    F.sum(F.mul(late, early)).backward()  # what is there already is added to
    assert heard[2:] == [(2.0, 40.0, [])]
    early.backward(np.array([2.0]))
    assert heard[3:] == [(2.0, 42.0, [])]
    for end in ends:
        end()


def test_who_waits_sees_the_gradient_as_its_hooks_have_made_it():
    x, seen = Variable(np.array([2.0]), requires_grad=True), []
    x.hooks = [lambda gradient: 10 * gradient]
    end = when_ready(x, lambda leaf: seen.append(leaf.grad.array.tolist()))
    F.sum(F.add(F.mul(x, x), x)).backward()
    assert seen == [[50.0]]
    end()
    F.sum(x).backward()
    assert len(seen) == 1


def adding(handed):
    """An op 3·x whose backward adds a gradient that it is handed, and notes how often."""

    def forward(x):
        return 3 * x, ()

    def backward(dy, cache, needs, onto=None):
        handed.append(onto is not None)
        return 3 * dy if onto is None else 3 * dy + onto

    backward.adds = True
    return differentiable(forward, backward)


def test_a_backward_that_adds_is_handed_what_waits_for_its_input():
    """As at a residual block: of the paths that meet, the one that is walked last adds the other's gradient."""
    handed, x = [], leaf(1.0, 2.0)
    triple = adding(handed)
    joint = F.mul(x, np.array(5.0))
    F.add(F.add(triple(joint), triple(joint)), F.mul(joint, np.array(7.0))).backward(np.array([1.0, -2.0]))
    assert handed == [True, True]
    assert np.array_equal(x.grad.array, [(3 + 3 + 7) * 5.0, -2 * (3 + 3 + 7) * 5.0])


def test_a_backward_that_adds_is_handed_nothing_else():
    handed, x = [], leaf(1.0)
    triple = adding(handed)
    triple(x).backward()
    triple(x).backward()  # a leaf's gradient is added up by the tape
    assert x.grad.array == 6
    joint = F.mul(x, np.array(5.0))
    triple(joint).backward(retain_graph=True)  # nothing waits
    with tv.autograd.set_detect_anomaly(True):  # a nan is to be told where it arose
        F.add(triple(joint), joint).backward()
    assert handed == [False] * 4


def test_one_value_that_is_both_inputs_of_a_backward_that_adds():
    def forward(a, b):
        return a * b, (a, b)

    def backward(dy, cache, needs, onto=0):
        return dy * cache[1] + onto, dy * cache[0]

    backward.adds = True
    x = leaf(3.0)
    joint = F.mul(x, np.array(2.0))
    F.add(differentiable(forward, backward)(joint, joint), joint).backward()
    assert x.grad.array == (2 * 6 + 1) * 2


def seeing(seen):
    """An op that does nothing, and notes the arrays that its backward is handed."""

    def backward(dy, cache, needs):
        seen.append(dy)
        return dy.copy()

    return differentiable(lambda x: (x.copy(), None), backward)


def test_an_addition_hands_its_gradient_on_without_a_copy():
    upstream, one, other = np.array([2.0, -3.0]), [], []
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    F.add(seeing(one)(a), seeing(other)(b)).backward(upstream)
    assert one[0] is other[0]
    assert a.grad.array.tolist() == b.grad.array.tolist() == [2, -3]
    x = leaf(1.0, 2.0)
    F.add(F.add(x, x), x).backward(upstream)
    assert x.grad.array.tolist() == [6, -9]
    assert upstream.tolist() == [2, -3]
    for p in (a, b, x):
        assert not np.shares_memory(p.grad.array, upstream)


def test_an_addition_whose_gradients_may_differ_hands_on_copies():
    def gradients(x, y, watch=False):
        one, other = [], []
        x, y = seeing(one)(x), seeing(other)(y)
        if watch:
            x.record.hooks.append(lambda dy: dy.fill(7.0))  # as nobody should, but the other is not to hear of it
        F.add(x, y).backward(np.ones(2))
        return one[0], other[0]

    one, other = gradients(leaf(1.0, 2.0), leaf(3.0, 4.0), watch=True)
    assert (one.tolist(), other.tolist()) == ([7, 7], [1, 1])
    one, other = gradients(leaf(1.0, 2.0), leaf(3.0))
    assert (one.tolist(), other.tolist()) == ([1, 1], [2])
    with tv.autograd.set_detect_anomaly(True):
        one, other = gradients(leaf(1.0, 2.0), leaf(3.0, 4.0))
    assert one is not other
