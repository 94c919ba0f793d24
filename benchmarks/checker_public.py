"""A benchmark of gradient checkers that anybody's checker can take part in: `python -m benchmarks checker --public`.

A case is a forward and a backward on small arrays: one with a known mistake in its backward, or a right one, written in
one of the ways in which people write it. A checker is a function that is given a case and says whether it complains. It
is judged by two numbers: the mistakes that it misses, and the right code that it calls wrong. To take part, write

    # mine.py
    from benchmarks.checker_public import checker

    @checker("mine")
    def mine(case, rng):
        dy = rng.standard_normal(case.output().shape)
        return any(looks_wrong(grad, case, k) for k, grad in zip(case.floats, case.gradients(dy)))   # True: complains

and run it with `--with mine.py`. `--write FILE` writes the cases and what each checker said of them as JSON: for every
case the op, the arrays and options, an upstream gradient, what the code gives and what is right, so that a checker in
another language can be judged on the same numbers. Every checker sees a case with five seeds; one complaint counts.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyvision import check
from tinyvision.check.ops import spec
from tinyvision.errors import DataError

from . import checker_policies as policies
from . import checker_variants as variants
from . import checker_variants_smooth  # noqa: F401  (it adds its own to those)

FORMAT = 1
CHECKERS = []


@dataclass(frozen=True)
class Case:
    """`pair` is forward(*inputs, **options) -> (y, cache) and backward(dy, cache) -> gradients, one for each input."""

    name: str
    op: str
    argument: str  # the gradient that is wrong; "" for right code
    says: str
    make: object  # () -> a fresh pair: some keep what they saw
    inputs: tuple
    options: dict

    @property
    def right(self):
        """True for code that is right."""
        return not self.argument

    @property
    def floats(self):
        """Which of the inputs have a gradient."""
        return [k for k, i in enumerate(self.inputs) if np.asarray(i).dtype.kind == "f"]

    def output(self, inputs=None):
        """y for the case's own inputs, or for others."""
        forward, _ = self.make()
        return np.asarray(_y_and_cache(forward, self.inputs if inputs is None else inputs, self.options)[0])

    def gradients(self, dy):
        """What backward claims, for dy, of each input in `floats`."""
        forward, backward = self.make()
        _, cache = _y_and_cache(forward, self.inputs, self.options)
        grads = backward(np.array(dy)[()], cache)
        grads = grads if isinstance(grads, (tuple, list)) and len(grads) >= len(self.floats) else (grads,)
        return [np.asarray(grads[k]) for k in self.floats]


def _y_and_cache(forward, inputs, options):
    value = forward(*[np.array(i) for i in inputs], **options)
    return value if isinstance(value, tuple) and len(value) == 2 else (value, None)


def cases(op=None):
    """Every wrong backward of the bank, and every right variant, each on one probe in the shapes of a course."""
    for mistake in check.mistakes(op):
        if mistake.argument != "y" and mistake.op != "sgd":
            inputs, options = policies.course_probe(mistake.op, np.random.default_rng(0))
            yield Case(mistake.id, mistake.op, mistake.argument, mistake.says, mistake.functions, inputs, options)
    for name, its_op, forward, backward, how in variants.VARIANTS:
        if its_op != "sgd" and backward is not None and op in (None, its_op):
            inputs, options = policies.course_probe(its_op, np.random.default_rng(0))
            if how.get("pairs") is False:
                options = {k: v[0] if k in ("stride", "padding", "kernel_size") else v for k, v in options.items()}
            pair = (forward, backward)
            yield Case(name, its_op, "", "", lambda pair=pair: pair, inputs, options)


def checker(name):
    """Decorator: `function(case, rng)` takes part under that name. It returns True if it complains."""

    def register(function):
        CHECKERS.append((name, function))
        return function

    return register


def slope(case, position, direction, dy, step=1e-5):
    """The central difference of sum(y·dy) in one direction of one input."""
    ends = []
    for sign in (1, -1):
        moved = [np.array(i, dtype=float) if k == position else i for k, i in enumerate(case.inputs)]
        moved[position] += sign * step * direction
        ends.append(float(np.sum(case.output(moved) * dy)))
    return (ends[0] - ends[1]) / (2 * step)


def numeric(case, position, dy, step=1e-5):
    """The central differences of sum(y·dy) in every element of one input."""
    out = np.zeros(np.shape(case.inputs[position]))
    for index in np.ndindex(out.shape):
        direction = np.zeros(out.shape)
        direction[index] = 1.0
        out[index] = slope(case, position, direction, dy, step)
    return out


@checker("CS231n: random upstream, every element, relative error 1e-4")
def cs231n(case, rng):
    """The largest |a - n| / max(1e-8, |a| + |n|), as the assignments print it; they accept about 1e-4."""
    dy = rng.standard_normal(case.output().shape)
    for position, grad in zip(case.floats, case.gradients(dy), strict=True):
        right = numeric(case, position, dy)
        if grad.shape != right.shape:
            return True
        off = np.abs(grad - right) / np.maximum(1e-8, np.abs(grad) + np.abs(right))
        if np.any(off[np.abs(grad - right) > 1e-7] > 1e-4):  # below that, differences are the numeric side's noise
            return True
    return False


@checker("DeZero: the sum of the outputs, allclose with 1e-4 and 1e-5")
def dezero(case, rng):
    """An upstream of ones, steps of 1e-4, np.allclose(rtol=1e-4, atol=1e-5)."""
    dy = np.ones(case.output().shape)
    grads = case.gradients(dy)
    return any(
        g.shape != np.shape(case.inputs[k]) or not np.allclose(g, numeric(case, k, dy, 1e-4), rtol=1e-4, atol=1e-5)
        for k, g in zip(case.floats, grads, strict=True)
    )


@checker("PyTorch: torch.autograd.gradcheck")
def pytorch(case, rng):
    """The function itself, with its defaults."""
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *arrays):
            inputs, supply = [np.array(i) for i in case.inputs], iter(arrays)
            for k in case.floats:
                inputs[k] = next(supply).detach().numpy().copy()
            forward, ctx.back = case.make()
            y, ctx.cache = _y_and_cache(forward, inputs, case.options)
            return torch.as_tensor(np.array(y))

        @staticmethod
        def backward(ctx, dy):
            grads = ctx.back(dy.numpy().copy()[()], ctx.cache)
            grads = grads if isinstance(grads, (tuple, list)) and len(grads) >= len(case.floats) else (grads,)
            return tuple(torch.as_tensor(np.array(grads[k], dtype=np.float64)) for k in case.floats)

    tensors = [torch.tensor(np.array(case.inputs[k], dtype=np.float64), requires_grad=True) for k in case.floats]
    return not torch.autograd.gradcheck(Function.apply, tensors, raise_exception=False)


@checker("JAX: jax.test_util.check_grads, reverse mode")
def jax(case, rng):
    """The function itself, first order, with its defaults; the pair is called from inside of JAX."""
    import jax
    from jax.test_util import check_grads

    places, shape = case.floats, case.output().shape
    sizes = [np.shape(case.inputs[k]) for k in places]

    def outside(*floats):
        inputs = list(case.inputs)
        for k, value in zip(places, floats, strict=True):
            inputs[k] = np.asarray(value)
        return case.output(inputs)

    def gradients(dy):
        found = case.gradients(np.asarray(dy))
        if [g.shape for g in found] != sizes:
            raise ValueError("a gradient of another shape than its input")
        return tuple(np.asarray(g, dtype=np.float64) for g in found)

    with jax.enable_x64(True):
        number = lambda size: jax.ShapeDtypeStruct(size, np.float64)  # noqa: E731

        @jax.custom_vjp
        def function(*floats):
            return jax.pure_callback(outside, number(shape), *floats)

        back = lambda _, dy: jax.pure_callback(gradients, tuple(map(number, sizes)), dy)  # noqa: E731
        function.defvjp(lambda *floats: (function(*floats), None), back)
        arguments = [jax.numpy.asarray(np.asarray(case.inputs[k], dtype=np.float64)) for k in places]
        try:
            check_grads(function, arguments, order=1, modes=["rev"])
        except AssertionError:
            return True
    return False


@checker("tinyvision.check.op")
def ours(case, rng):
    """This library's checker. It brings its own probes, and looks at the pair alone."""
    pairs = not any(isinstance(v, int) for k, v in case.options.items() if k in ("stride", "kernel_size"))
    return not check.op(case.op, *case.make(), pairs=pairs, strict=True).passed


ONCE = (ours,)  # what draws nothing need not be asked five times
LIBRARIES = {pytorch: "torch", jax: "jax"}


def complains(function, case):
    """True if a checker complains with any seed; code that raises is noticed by everyone."""
    for seed in range(1 if function in ONCE else policies.SEEDS):
        try:
            with np.errstate(all="ignore"):
                if function(case, np.random.default_rng(seed)):
                    return True
        except (ValueError, IndexError, TypeError, ZeroDivisionError, RuntimeError):
            return True
    return False


def bring(path):
    """Run somebody's file with checkers in it. Raises DataError if it is not there or adds none."""
    before, file = len(CHECKERS), Path(path)
    if not file.is_file():
        raise DataError(f"benchmarks checker: {path} is not there")
    found = importlib.util.spec_from_file_location(file.stem, file)
    found.loader.exec_module(importlib.util.module_from_spec(found))
    if len(CHECKERS) == before:
        raise DataError(
            f"benchmarks checker: {path} adds no checker; @checker(name) does, as benchmarks/checker_public"
        )


def table(op=None, file=None, more=()):
    """Print what each checker missed and called wrong, and write it to `file`; returns {checker: (missed, alarms)}."""
    for path in more:
        bring(path)
    pool = list(cases(op))
    wrong = sum(not c.right for c in pool)
    print(
        f"{wrong} wrong backwards, {len(pool) - wrong} right ones, on the shapes of a course, {policies.SEEDS} seeds\n"
    )
    print(f"{'':66}{'missed':>8}{'called wrong':>14}")
    said, out = {}, {}
    for name, function in CHECKERS:
        library = LIBRARIES.get(function)
        if library is not None and importlib.util.find_spec(library) is None:
            print(f"{name:66}{'-':>8}{'-':>14}   {library} is not installed")
            continue
        said[name] = [complains(function, case) for case in pool]
        missed = sum(not s for s, c in zip(said[name], pool, strict=True) if not c.right)
        alarms = sum(s for s, c in zip(said[name], pool, strict=True) if c.right)
        out[name] = missed, alarms
        print(f"{name:66}{missed:>8}{alarms:>14}", flush=True)
    if file is not None:
        Path(file).write_text(json.dumps({"format": FORMAT, "cases": list(map(_as_data, pool)), "complains": said}))
        print(f"\nwritten: {file}")
    return out


def _as_data(case):
    """A case as numbers."""
    known = spec(case.op)
    dy = np.random.default_rng(99).standard_normal(np.shape(known.forward(*case.inputs, **case.options)))
    truth = known.backward(case.inputs, case.options, dy)
    try:
        given = [np.asarray(g).tolist() for g in case.gradients(dy)]
    except (ValueError, IndexError, TypeError) as error:
        given = f"{type(error).__name__}: {error}"
    return {
        "name": case.name, "op": case.op, "right": case.right, "argument": case.argument, "says": case.says,
        "arguments": list(known.arguments), "inputs": [np.asarray(i).tolist() for i in case.inputs],
        "options": case.options, "dy": dy.tolist(), "gives": given,
        "should_give": [np.asarray(truth[k]).tolist() for k in case.floats],
    }  # fmt: skip
