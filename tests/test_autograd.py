"""torch.autograd's names: gradients by name, functions with a backward of one's own, anomalies; against PyTorch."""

import importlib
import warnings

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import autograd
from tinyvision.errors import GraphError, OptionError, ShapeError

torch = pytest.importorskip("torch")
ENGINES = ("tinyvision", "torch")
X = np.array([[0.5, -1.5, 2.0], [1.0, 3.0, -0.25]])


def both(run):
    """run(torch) with either engine; equal results."""
    ours, theirs = (run(importlib.import_module(name)) for name in ENGINES)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(one.detach()), other.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_gradients_by_name_like_torch():
    def run(torch):
        x = torch.tensor(X, requires_grad=True)
        w = torch.tensor(X + 1, requires_grad=True)
        y = (x * w).exp()
        z = y.sum(0)
        start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        first = torch.autograd.grad(z, [x, w, y], start, retain_graph=True)
        second = torch.autograd.grad([z, (x * x).sum()], x, [start, None], retain_graph=True)
        assert x.grad is None
        torch.autograd.backward([z, w.sum()], [start, None], retain_graph=True)
        torch.autograd.backward(z, start, inputs=[x])
        return [*first, *second, x.grad, w.grad]

    both(run)


def test_gradients_by_name_hear_of_the_hooks_that_torch_s_do():
    """Of those on the ways to what is asked for, once each."""

    def run(torch):
        told = []
        x = torch.tensor(X, requires_grad=True)
        w = torch.tensor(X + 1, requires_grad=True)
        x.register_hook(lambda gradient: told.append(1) or gradient * 3)
        w.register_hook(lambda gradient: told.append(2))
        found = []
        for wanted in ("h", "hx", "x", "k", "kh"):
            h = x * w
            k = h.exp()
            h.register_hook(lambda gradient: told.append(3) or gradient * 10)
            k.register_hook(lambda gradient: told.append(4) or gradient * 7)
            values = {"h": h, "x": x, "k": k}
            found += torch.autograd.grad((k * k).sum(), [values[name] for name in wanted])
            told.append(0)
        return [*found, torch.tensor(sorted(told))]

    both(run)


def test_what_is_not_on_the_way_is_left_whole():
    x, w = tv.ones(2, requires_grad=True), tv.ones(2, requires_grad=True)
    h, k = x * x, w * w
    autograd.grad((h * k).sum(), x)
    k.sum().backward()  # its record has not been used
    assert w.grad.tolist() == [2, 2]


def test_inputs_may_be_any_collection():
    """`model.parameters()` is a generator."""
    found = []
    for engine in map(importlib.import_module, ENGINES):
        model = engine.nn.Linear(2, 2)
        x, ours = engine.ones(1, 2), [*model.parameters()]
        for inputs in (model.parameters(), dict(model.named_parameters()).values(), iter(ours), ours):
            found.append([g.shape for g in engine.autograd.grad(model(x).sum(), inputs)])
        engine.autograd.backward(model(x).sum(), inputs=model.parameters())
        found.append([p.grad.shape for p in ours])
    assert found[:5] == found[5:]
    with pytest.raises(GraphError, match=r"grad: inputs must be tensors, got .*str"):
        autograd.grad(tv.ones(1, requires_grad=True).sum(), {"weight": 1})


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_backward_for_some_inputs(create_graph):
    """Leaves or not, kept already or not, named twice, not on the way."""

    def run(torch):
        w, v = (torch.tensor(X + i, requires_grad=True) for i in (0, 1))
        h, k = w * v, w * 3
        h.retain_grad()
        y, seen = (h * h * k).sum(), []
        options = {"retain_graph": True, "create_graph": create_graph}
        for inputs in (w, [w], (h, v), [k, k], [torch.tensor(X, requires_grad=True)], None):
            y.backward(inputs=inputs, **options)
            seen += [x.grad.detach().clone() if x.grad is not None else torch.zeros(1) for x in (w, v, h, k)]
        h.backward(torch.tensor(X * 2), inputs=[v], **options)
        return [*seen, v.grad.detach()]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the circle that create_graph makes
        both(run)
    with pytest.raises(GraphError, match="inputs is empty"):
        tv.ones(1, requires_grad=True).sum().backward(inputs=[])
    with pytest.raises(GraphError, match="does not require a gradient"):
        tv.ones(1, requires_grad=True).sum().backward(inputs=[tv.ones(1)])


def test_a_gradient_is_added_to_the_one_that_is_there():
    x = tv.ones(2, requires_grad=True)
    first = x.grad = tv.tensor([1.0, 2.0])
    autograd.backward((x * 3).sum(), inputs=x)
    assert x.grad is first
    assert first.tolist() == [4, 5]


def test_grads_that_were_there_stay():
    x, other = tv.ones(2, requires_grad=True), tv.ones(2, requires_grad=True)
    (x * other).sum().backward()
    before = x.grad, other.grad
    (found,) = autograd.grad((x * other * 3).sum(), x)
    assert (x.grad, other.grad) == before
    assert found.tolist() == [3, 3]


@pytest.mark.parametrize(("error", "message", "call"), [
    (GraphError, "do not depend on one of the inputs",
     lambda x: autograd.grad(x.sum(), tv.ones(1, requires_grad=True))),
    (GraphError, "does not require a gradient", lambda x: autograd.grad(x.sum(), tv.ones(1))),
    (GraphError, "only a single number can start", lambda x: autograd.grad(x * 2, x)),
    (ShapeError, "the gradient is", lambda x: autograd.grad(x * 2, x, tv.ones(1))),
    (ShapeError, "2 gradients are given for 1", lambda x: autograd.backward([x], [x, x])),
    (OptionError, "is_grads_batched", lambda x: autograd.grad(x.sum(), x, is_grads_batched=True)),
])  # fmt: skip
def test_doors(error, message, call):
    with pytest.raises(error, match=message):
        call(tv.ones(3, requires_grad=True))


def test_volatile_is_said_to_have_no_effect():
    with pytest.warns(UserWarning, match="volatile=True has no effect"):
        x = autograd.Variable(tv.ones(3), volatile=True)
    assert tv.is_grad_enabled()
    assert not x.requires_grad


def functions(torch):
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * x * factor

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return 2 * x * dy * ctx.factor, None

    class Split(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            sign = (x > 0).long()
            ctx.mark_non_differentiable(sign)
            return x * w, x + w, sign

        @staticmethod
        def backward(ctx, dproduct, dsum, dsign):
            x, w = ctx.saved_tensors
            return dproduct * w + dsum, dproduct * x + dsum

    return Scale, Split


def test_functions_with_a_backward_of_one_s_own_like_torch():
    def run(torch):
        scale, split = functions(torch)
        x = torch.tensor(X, requires_grad=True)
        w = torch.tensor(X[:, ::-1].copy(), requires_grad=True)
        product, total, sign = split.apply(scale.apply(x, 3.0), w)
        assert not sign.requires_grad
        (product.sin() + total.exp() * 0.1).sum().backward()
        one = [x.grad.clone(), w.grad.clone()]
        product, _, _ = split.apply(x, w)  # an output that nobody uses
        product.sum().backward()
        return [*one, x.grad, w.grad, sign]

    both(run)
    with tv.no_grad():
        assert not functions(tv)[0].apply(tv.ones(2, requires_grad=True), 2.0).requires_grad


@pytest.mark.parametrize("change", [
    lambda h, w, scale: h.add_(1), lambda h, w, scale: w.mul_(5), lambda h, w, scale: h[0].zero_(),
    lambda h, w, scale: scale.fill_(2),
])  # fmt: skip
def test_what_a_function_saved_may_not_be_changed_before_its_backward(change):
    def run(torch):
        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, h, w):
                ctx.save_for_backward(h, w, scale)
                return h * w * scale

            @staticmethod
            def backward(ctx, dy):
                h, w, scale = ctx.saved_tensors
                return dy * w * scale, dy * h * scale

        x, w, scale = torch.tensor(X, requires_grad=True), torch.tensor(X + 1), torch.tensor(X * 0 + 3)
        h = x * 1
        y = Product.apply(h, w)
        change(h, w, scale)
        y.sum().backward()

    for name, error, says in (("torch", RuntimeError, "inplace"), ("tinyvision", GraphError, "was changed in place")):
        with pytest.raises(error, match=says):
            run(importlib.import_module(name))


def test_a_function_may_give_no_gradient_and_hand_on_what_is_no_tensor():
    def run(torch):
        class First(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, w):
                return x * w, 3, None

            @staticmethod
            def backward(ctx, dy, of_a_number, of_none):
                assert of_a_number is None
                assert of_none is None
                return dy, None

        x, w, v = (torch.tensor(X + i, requires_grad=True) for i in range(3))
        y, number, nothing = First.apply(x, w * v)
        assert (number, nothing) == (3, None)
        (y * 2).sum().backward()
        assert w.grad is None
        assert v.grad is None
        return [x.grad]

    both(run)


@pytest.mark.parametrize("given", [None, 3, (None,), (2.5, "x")])
def test_what_is_no_tensor_is_handed_on(given):
    def run(t):
        class Other(t.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return given

        assert Other.apply(t.ones(2, requires_grad=True)) == given
        return []

    both(run)


def test_a_function_that_is_not_whole_says_so():
    class Nothing(autograd.Function):
        pass

    class Few(autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            return x * w

        @staticmethod
        def backward(ctx, dy):
            return dy

    class Many(Few):
        backward = staticmethod(lambda ctx, dy: (dy, dy, dy))

    class Floats(Few):
        backward = staticmethod(lambda ctx, dy: (1.0, dy))

    x = tv.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="Many: backward gave 3 gradients for 2 arguments"):
        Many.apply(x, x).sum().backward()
    with pytest.raises(GraphError, match="Floats: backward must give tensors or None, got a float"):
        Floats.apply(x, x).sum().backward()
    with pytest.raises(GraphError, match=r"static method forward"):
        Nothing.apply(x)
    with pytest.raises(GraphError, match="Few: backward gave 1 gradients for 2 arguments"):
        Few.apply(x, x).sum().backward()


def test_gradcheck_finds_a_wrong_backward():
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return ctx.saved_tensors[0] * dy

    x = tv.tensor(X, requires_grad=True)
    assert autograd.gradcheck(lambda a: (a * a).sin(), (x,))
    assert not autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(GraphError, match="do not agree with central differences"):
        autograd.gradcheck(Wrong.apply, (x,))


def test_what_was_saved_by_its_old_name():
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_variables
            return dy * x

    x = tv.tensor(X, requires_grad=True)
    y = Double.apply(x).sum()
    with pytest.warns(DeprecationWarning, match="use 'saved_tensors'"):
        y.backward()
    np.testing.assert_array_equal(x.grad, X)


def test_an_anomaly_is_named_only_where_it_was_asked_for():
    class Spoilt(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * float("nan")

    def run():
        Spoilt.apply(tv.zeros(2, requires_grad=True)).sum().backward()

    run()
    with autograd.detect_anomaly(), pytest.raises(GraphError, match="the backward of Spoilt gave nan"):
        run()
    with autograd.set_detect_anomaly(True), pytest.raises(GraphError, match="gave nan"):
        run()
    run()


@pytest.mark.parametrize("write", [
    lambda h, x: h.copy_(x * 3), lambda h, x: h.fill_(2.0), lambda h, x: h.zero_(),
    lambda h, x: h.__setitem__(..., x * 3),
])  # fmt: skip
def test_a_single_number_is_written_over_like_torch(write):
    def run(torch):
        x = torch.tensor(1.5, requires_grad=True)
        h = x * 1
        write(h, x)
        (h * h + x).backward()
        return [x.grad, h]

    both(run)


def test_a_hook_after_accumulation_steps_while_the_backward_goes_on():
    trails = []
    for engine in (tv, torch):
        numbers = np.random.default_rng(0)
        weights = [engine.tensor(numbers.standard_normal((3, 3))).requires_grad_() for _ in range(3)]
        heard, handles = [], []
        for n, w in enumerate(weights):
            optimizer = engine.optim.SGD([w], lr=0.1)

            def step(w, n=n, optimizer=optimizer, heard=heard):
                heard.append((n, w.grad.tolist()))
                optimizer.step()
                optimizer.zero_grad()

            handles.append(w.register_post_accumulate_grad_hook(step))
        x = engine.tensor(numbers.standard_normal((2, 3)))
        for _ in range(2):
            y = x
            for w in (*weights, weights[0]):  # the first is used twice, and heard of once
                y = (y @ w).tanh()
            (y * y).sum().backward()
            engine.autograd.grad((x @ weights[0]).sum(), weights[0])  # adds to no .grad
            engine.autograd.backward((x @ weights[1]).sum(), inputs=[weights[1]])
        assert all(w.grad is None for w in weights)
        handles[0].remove()
        (x @ weights[0]).sum().backward()
        trails.append([number for n, gradient in heard for number in (n, *np.ravel(gradient))])
        trails[-1] += np.ravel([w.tolist() for w in weights] + [weights[0].grad.tolist()]).tolist()
    np.testing.assert_allclose(*trails, rtol=1e-12)


def test_a_hook_after_accumulation_is_for_leaves_and_returns_nothing():
    w = tv.ones(2, requires_grad=True)
    for x in (tv.ones(2), w * 2):
        with pytest.raises(GraphError, match="only a leaf that requires a gradient"):
            x.register_post_accumulate_grad_hook(lambda w: None)
    w.register_post_accumulate_grad_hook(lambda w: w)
    with pytest.raises(GraphError, match="the hook returned something"):
        w.sum().backward()


def test_a_gradient_where_a_used_graph_begins_asks_nothing_of_what_lies_behind():
    for engine in (tv, torch):
        x = engine.ones(2, requires_grad=True)
        y = x * x
        (y * y).sum().backward()
        (found,) = engine.autograd.grad((y * 3).sum(), y)
        assert found.tolist() == [3.0, 3.0]
        assert engine.autograd.grad((found + x * x).sum(), [x, y], allow_unused=True)[1] is None
        for unused in (False, True):
            with pytest.raises((GraphError, RuntimeError), match=r"freed|second time"):
                engine.autograd.grad((y * 3).sum(), x, allow_unused=unused)
