"""Random small programs of tensors, run by this engine and by PyTorch: equal, or refused by an error of ours.

A program is a list of steps over a few named tensors; every step is drawn with its arguments, so both engines do
exactly the same. `compare(seed)` says what came of it:

    equal      every number, dtype, shape, gradient and requires_grad agreed, and so did the step at which both refused
    refused    an error of ours where PyTorch has an answer
    missing    a name that is not there
    lenient    an answer where PyTorch refuses
    different  anything else: a bug

By hand: `python tests/programs.py 20000`.
"""

import collections
import random
import sys
import warnings

import numpy as np
import torch
from calls_of_tensors import CALLS

import tinyvision
from tinyvision.errors import TinyVisionError

SHAPES = [(), (3,), (4,), (2, 3), (3, 4), (2, 3, 4), (1, 3), (3, 1), (2, 1, 4), (4, 4)]
FLOATS = ["float32", "float64", "float64", "float64"]
INTEGERS = ["int64", "int32", "uint8", "bool"]


class Drawn:
    """What both engines are told: the steps drawn from a seed, with the shapes that PyTorch found on the way."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)


def start(torch_like, seed):
    """Two or three tensors to begin with, from the same numbers."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    values = []
    for i in range(rng.choice([2, 3])):
        shape = rng.choice(SHAPES)
        dtype = rng.choice(FLOATS) if i == 0 or rng.random() < 0.75 else rng.choice(INTEGERS)
        array = (numbers.standard_normal(shape) * 2).round(1)
        array = np.abs(array).astype(dtype) if dtype in INTEGERS else array.astype(dtype)
        value = torch_like.tensor(array.tolist(), dtype=getattr(torch_like, dtype))
        if dtype in FLOATS and rng.random() < 0.6:
            value.requires_grad_()
        values.append(value)
    return values


UNARY = [
    "exp", "tanh", "sigmoid", "relu", "abs", "neg", "sin", "cos", "square", "clone", "detach", "sqrt", "log", "floor",
    "round", "sign", "reciprocal", "log1p", "float", "double", "long", "int", "bool", "contiguous", "isnan",
]  # fmt: skip
IN_PLACE = ["exp_", "tanh_", "sigmoid_", "relu_", "abs_", "neg_", "sin_", "square_", "zero_", "floor_", "sqrt_", "cos_"]
REDUCTIONS = ["sum", "mean", "max", "min", "prod", "std", "var", "norm", "argmax", "all", "any", "cumsum", "softmax"]
BINARY = ["+", "-", "*", "/", "//", "%", "<", ">=", "==", "maximum", "minimum", "where", "@"]
CHANGES = ["+=", "-=", "*=", "/=", "add_", "mul_", "sub_", "div_", "copy_"]
NUMBERS = [0, 1, 2, -1, 3, 0.5, -1.5, 2.0, True]


def an_index(rng, shape):
    """An index that mostly fits: slices with steps, integers, None, Ellipsis, masks, arrays of integers."""
    parts, ellipsis = [], False
    for n in shape[: rng.randint(0, len(shape))]:
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.randrange(-n, n) if n else 0)
        elif kind < 0.75:
            parts.append(slice(rng.choice([None, 0, 1, -2]), rng.choice([None, n, -1, 2]), rng.choice([None, 1, 2])))
        elif kind < 0.85 and n:
            parts.append([rng.randrange(n) for _ in range(2)])
        elif kind < 0.92:
            parts.append(None)
        elif not ellipsis:
            ellipsis = True
            parts.append(...)
    if rng.random() < 0.05:
        return rng.choice([True, False, None, ...])
    return tuple(parts) if len(parts) != 1 or rng.random() < 0.5 else parts[0]


def views(rng, shape):
    """A call that looks at a tensor of this shape in another way."""
    rank, size = len(shape), int(np.prod(shape))
    a, b = (rng.randrange(-rank, rank) if rank else 0 for _ in range(2))
    factor = rng.choice([1, 2, 3])
    order = list(range(rank))
    rng.shuffle(order)
    return rng.choice([
        ("view", (-1,)), ("reshape", (-1,)), ("flatten", ()), ("view", (factor, size // factor)),
        ("reshape", (size // factor, -1)), ("transpose", (a, b)), ("permute", tuple(order)), ("squeeze", ()),
        ("squeeze", (a,)), ("unsqueeze", (a,)), ("expand", (2, *shape)), ("t", ()), ("T", None), ("mT", None),
        ("unbind", (a,)), ("chunk", (2, a)), ("split", (1, a)), ("narrow", (a, 0, 1)), ("select", (a, 0)),
        ("diagonal", ()), ("data", None), ("detach", ()), ("view_as", ()), ("movedim", (a, b)),
        ("expand", (-1,) * rank),
        ("swapaxes", (a, b)), ("ravel", ()), ("flip", (a,)), ("repeat", (2,) * max(rank, 1)), ("unfold", (a, 1, 1)),
    ])  # fmt: skip


def a_step(rng, shapes):
    """One step as plain data: what is done, to which tensors, with what."""
    i, j = rng.randrange(len(shapes)), rng.randrange(len(shapes))
    kind = rng.choices(
        ["unary", "in place", "reduce", "binary", "number", "change", "change by number", "view", "read", "write",
         "fill", "mask", "backward", "toggle", "no_grad", "hook", "other", "call"],
        [6, 5, 5, 9, 5, 9, 5, 13, 7, 8, 3, 3, 6, 1, 3, 1, 2, 22],
    )[0]  # fmt: skip
    shape = shapes[i]
    if kind in ("unary", "in place"):
        return kind, i, rng.choice(UNARY if kind == "unary" else IN_PLACE)
    if kind == "reduce":
        dim = rng.randrange(-len(shape), len(shape)) if shape and rng.random() < 0.6 else None
        return kind, i, rng.choice(REDUCTIONS), dim, rng.random() < 0.3
    if kind in ("binary", "change"):
        return kind, i, rng.choice(BINARY if kind == "binary" else CHANGES), j
    if kind in ("number", "change by number"):
        return (
            kind,
            i,
            rng.choice([*BINARY[:9], "**", "r-", "r/"] if kind == "number" else CHANGES[:8]),
            rng.choice(NUMBERS),
        )
    if kind == "view":
        return kind, i, views(rng, shape), j
    if kind == "read":
        return kind, i, an_index(rng, shape)
    if kind == "write":
        return kind, i, an_index(rng, shape), j if rng.random() < 0.6 else None, rng.choice(NUMBERS)
    if kind == "backward":
        return kind, i, rng.random() < 0.4, rng.random() < 0.6
    if kind == "no_grad":
        return kind, a_step(rng, shapes)
    if kind == "call":
        axis = rng.randrange(-len(shape), len(shape)) if shape else 0
        return kind, i, j, rng.choice(list(CALLS)), axis, rng.choice(NUMBERS)
    if kind == "other":
        return (
            kind,
            i,
            j,
            rng.choice(["cat", "stack", "clamp", "masked_fill", "index_select", "item", "addcmul", "norm1"]),
        )
    return kind, i, rng.choice(NUMBERS)


def _binary(t, sign, a, b):
    return {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b, "//": lambda: a // b,
        "%": lambda: a % b, "<": lambda: a < b, ">=": lambda: a >= b, "==": lambda: a == b, "**": lambda: a**b,
        "r-": lambda: b - a, "r/": lambda: b / a, "@": lambda: a @ b, "maximum": lambda: t.maximum(a, b),
        "minimum": lambda: t.minimum(a, b), "where": lambda: t.where(a > 0, a, b),
    }[sign]()  # fmt: skip


def _changed(sign, a, b):
    if sign == "+=":
        a += b
    elif sign == "-=":
        a -= b
    elif sign == "*=":
        a *= b
    elif sign == "/=":
        a /= b
    else:
        a = getattr(a, sign)(b)
    return a


def take(t, step, values):
    """One step in one engine, on its list of tensors. Returns what there is to compare beyond the tensors."""
    kind, i, *rest = step
    if kind == "no_grad":
        with t.no_grad():
            return take(t, i, values)
    x = values[i]
    if kind == "unary" or kind == "in place":
        values.append(getattr(x, rest[0])())
    elif kind == "reduce":
        name, dim, keepdim = rest
        if name in ("cumsum", "softmax"):
            y = getattr(x, name)(dim if dim is not None else 0)
        elif name == "norm" and dim is not None:
            y = x.norm(2, dim)
        else:
            y = getattr(x, name)() if dim is None else getattr(x, name)(dim, keepdim=keepdim)
        values.extend(y if isinstance(y, tuple) else [y])
    elif kind in ("binary", "number"):
        values.append(_binary(t, rest[0], x, values[rest[1]] if kind == "binary" else rest[1]))
    elif kind in ("change", "change by number"):
        values[i] = _changed(rest[0], x, values[rest[1]] if kind == "change" else rest[1])
    elif kind == "view":
        (name, arguments), j = rest
        arguments = (values[j],) if name == "view_as" else arguments
        y = getattr(x, name) if arguments is None else getattr(x, name)(*arguments)
        values.extend(y if isinstance(y, (tuple, list)) else [y])
    elif kind == "read":
        values.append(x[rest[0]])
    elif kind == "write":
        index, j, number = rest
        x[index] = number if j is None else values[j]
    elif kind == "fill":
        x.fill_(rest[0])
    elif kind == "mask":
        x[x > 0] = rest[0]
    elif kind == "backward":
        retain, squared = rest
        (x * x if squared else x).sum().backward(retain_graph=retain)
    elif kind == "toggle":
        x.requires_grad_(bool(rest[0]))
    elif kind == "hook":
        x.register_hook(lambda gradient: gradient * 2)
    elif kind == "call":
        j, name, *arguments = rest
        y = CALLS[name](t, x, values[j], *arguments)
        values.extend([] if y is None else y if isinstance(y, list) else [y])
    elif kind == "other":
        j, what = rest
        y = values[j]
        if what == "item":
            return x.sum().item()
        values.append({
            "cat": lambda: t.cat([x, y]), "stack": lambda: t.stack([x, y]), "clamp": lambda: x.clamp(-1, 1),
            "masked_fill": lambda: x.masked_fill(y > 0, 2), "norm1": lambda: x.norm(1),
            "index_select": lambda: x.index_select(0, t.tensor([0, 0])), "addcmul": lambda: x.addcmul(y, y),
        }[what]())  # fmt: skip
    return None


def seen(values):
    """All there is to see of some tensors, as plain data."""
    result = []
    for v in values:
        grad = None
        if v.is_leaf and v.grad is not None:
            grad = np.array(v.grad.detach().tolist())
        dtype = str(v.dtype).removeprefix("torch.")
        result.append((dtype, tuple(v.shape), v.requires_grad, np.array(v.detach().tolist()), grad))
    return result


def difference(ours, theirs, single):
    """The first thing that differs, in words, or None. Half of the digits are noise where there was float32."""
    if len(ours) != len(theirs):
        return f"{len(ours)} values, not {len(theirs)}"
    for n, ((d, s, r, a, g), (dt, st, rt, at, gt)) in enumerate(zip(ours, theirs, strict=True)):
        for what, one, other in (("dtype", d, dt), ("shape", s, st), ("requires_grad", r, rt)):
            if one != other and not (what == "requires_grad" and "float" not in d):  # PyTorch hands on to integers, too
                return f"value {n}: {what} {one}, not {other}"
        near = (
            {"rtol": 1e-3, "atol": 2e-4, "equal_nan": True}
            if single
            else {"rtol": 1e-8, "atol": 1e-7, "equal_nan": True}
        )
        # Divided by a sum that cancels to 0, whose sign is rounding, a number is infinite with either sign.
        a, at = (np.where(np.isinf(v), np.inf, v) if v.dtype.kind == "f" else v for v in (a, at))
        if not np.allclose(a, at, **near):
            return f"value {n}: {a.tolist()}, not {at.tolist()}"
        if (g is None) != (gt is None) or (g is not None and not np.allclose(g, gt, **{**near, "rtol": 1e-3})):
            return f"value {n}: gradient {g}, not {gt}"
    return None


def is_the_sum(ours, theirs, x):
    """Whether both are the sum of x: each is rounded as its numbers are, however much of them cancels."""
    x = x.detach()
    rounding = x.numel() * torch.finfo(x.dtype).eps * float(x.abs().double().sum()) if x.is_floating_point() else 0
    return np.allclose(ours, theirs, rtol=1e-4, atol=max(1e-8, rounding), equal_nan=True)


def is_too_large_or_rounding(value):
    """Whether the next floor, logarithm or comparison may turn a difference in the last digit into a large one."""
    if not value.is_floating_point():
        return False
    from_whole = (value - value.round()).abs()
    noise = 1e-9 if value.dtype == torch.float64 else 1e-6
    return not bool((value.abs() < 1e6).all()) or bool(((from_whole > 0) & (from_whole < noise)).any())


def recorded_or_not(step):
    """What a step does, wherever it does it."""
    while step[0] == "no_grad":
        step = step[1]
    return step


def is_on_a_step(step, values):
    """Whether a step divides x by y, almost a multiple of it: rounding decides to which side `//` and `%` jump."""
    kind, i, *rest = recorded_or_not(step)
    if kind not in ("binary", "number") or rest[0] not in ("//", "%"):
        return False
    x, y = values[i], values[rest[1]] if kind == "binary" else rest[1]
    try:
        quotient = x.detach().double() / (y.detach().double() if isinstance(y, torch.Tensor) else y)
    except (RuntimeError, ZeroDivisionError):
        return False  # what PyTorch refuses, and so should we
    whole = all(bool((v == v.round()).all()) for v in (x.detach().double(), torch.as_tensor(y).detach().double()))
    return not whole and bool(((quotient - quotient.round()).abs() < 1e-6).any())


COMPARED = ("<", ">=", "==", "maximum", "minimum", "where", "equal", "le_", "clamp t")  # number by number
ORDERED = (
    "max", "min", "argmax", "argmin", "sort", "sorted", "median", "amax", "gather", "argsort", "max pair", "unique",
    "scatter_", "scatter_add",
)  # fmt: skip


def as_torch(values):
    """Our tensors as PyTorch's, copied."""
    return [torch.tensor(np.array(v.detach().numpy())) for v in values]


def is_a_tie_but_for_rounding(step, values):
    """Whether a step finds out which of two numbers is greater, or whether they are one, where that hangs on their last
    bits: engines round them differently, and PyTorch itself does from one machine to the next."""
    kind, i, *rest = recorded_or_not(step)
    name = rest[1] if kind == "call" else rest[0] if kind in ("binary", "reduce") else None
    x = values[i].detach()
    if name in COMPARED:
        try:
            gaps = x.double() - values[rest[0] if kind == "call" else rest[1]].detach().double()
        except RuntimeError:
            return False  # shapes that do not fit, which both refuse
    elif name in ORDERED:
        gaps = x.double().flatten().sort().values.diff()
    else:
        return False
    gaps, noise = gaps.abs(), 1e-6 if any(v.dtype == torch.float32 for v in values) else 1e-9
    return bool(((gaps > 0) & (gaps <= noise * x.double().abs().max())).any()) if x.numel() else False


def is_half_done(step):
    """Whether a step that was refused may have been done in part, by each engine in an order of its own: half a
    backward, half a write, or the quotients before the first whole division by 0."""
    step = recorded_or_not(step)
    return step[0] in ("backward", "write") or (step[0] == "call" and step[3].startswith("//="))


def is_behind_the_tape(step, values):
    """Whether a step writes into memory through NumPy, which neither engine counts, while there is something recorded:
    its backward reckons with what was kept, and that may be the input in one engine and the result in the other."""
    step = recorded_or_not(step)
    return step[0] == "call" and step[3] == "numpy" and any(v.grad_fn is not None for v in values)


def shows_the_sign_of_nan(steps, values):
    """Whether numbers may be read as bytes where one is nan, whose sign nothing defines."""
    read = any(kind == "call" and rest[1] == "view dtype" for kind, _, *rest in map(recorded_or_not, steps))
    return read and any(bool(v.isnan().any()) for v in values)


def is_an_expanded_median(step, values):
    """Whether a step takes the median of what is one number in memory several times, of which PyTorch reads too far:
    torch.arange(3.0).expand(2, 3).median(0) is another row than its .contiguous().median(0)."""
    kind, i, *rest = recorded_or_not(step)
    x = values[i]
    return (
        kind == "call"
        and rest[1] == "median"
        and any(n > 1 and not s for n, s in zip(x.shape, x.stride(), strict=True))
    )


def shows_last_bits(steps, ours, theirs):
    """Whether numbers were read as bytes that are the same but for rounding: as counts they differ from then on."""
    read = any(kind == "call" and rest[1] == "view dtype" for kind, _, *rest in map(recorded_or_not, steps))
    counts = [pair for pair in zip(ours, theirs, strict=True) if not pair[1].is_floating_point()]
    return read and any(one.tolist() != other.tolist() for one, other in counts)


MOST = 7  # tensors at a time, so that steps meet again


def compare(seed, length=12):
    """(what came of it, in words) for the program of one seed."""
    rng = random.Random(seed + 1)
    ours, theirs = start(tinyvision, seed), start(torch, seed)
    single = any(v.dtype == torch.float32 for v in theirs)
    steps = []
    refused_together = 0
    for _ in range(length):
        step = a_step(rng, [tuple(v.shape) for v in theirs])
        kind, i, *_ = recorded_or_not(step)
        if kind == "hook" and theirs[i]._is_view():
            continue  # PyTorch itself dies of, or forgets, hooks on views that were written to
        if is_on_a_step(step, theirs) or is_behind_the_tape(step, theirs):
            continue
        if any(is_a_tie_but_for_rounding(step, values) for values in (theirs, as_torch(ours))):
            continue
        if is_an_expanded_median(step, theirs):
            continue
        steps.append(step)
        errors = []
        for t, values in ((torch, theirs), (tinyvision, ours)):
            try:
                errors.append((None, take(t, step, values)))
            except Exception as error:
                errors.append((error, None))
        (their_error, their_answer), (our_error, our_answer) = errors
        told = f"seed {seed}: step {len(steps)}: {step}"
        if our_error is not None and not isinstance(our_error, TinyVisionError):
            if isinstance(our_error, AttributeError) and "no attribute" in str(our_error):
                return ("equal", "") if their_error is not None else ("missing", f"{told}: {our_error}")
            if their_error is None or not isinstance(our_error, (TypeError, RuntimeError, ValueError)):
                return "different", f"{told}: a foreign {type(our_error).__name__}: {our_error}"
        if their_error is not None and our_error is not None:
            refused_together += 1
            if is_half_done(step) or refused_together > 3:
                return "equal", ""
        elif our_error is not None:
            return "refused", f"{told}: {our_error}"
        elif their_error is not None:
            return "lenient", f"{told}: {str(their_error)[:120]}"
        elif their_answer is not None and not is_the_sum(our_answer, their_answer, theirs[recorded_or_not(step)[1]]):
            return "different", f"{told}: {our_answer}, not {their_answer}"
        if shows_the_sign_of_nan(steps, theirs):
            return "equal", ""
        try:
            single = single or any(v.dtype == torch.float32 for v in theirs)
            what = difference(seen(ours), seen(theirs), single)
        except RuntimeError as error:  # PyTorch refuses to look at a view that it can no longer follow
            return "lenient", f"{told}: {str(error)[:120]}"
        if what:
            return "different", f"{told}: {what}"
        if shows_last_bits(steps, ours, theirs):
            return "equal", ""
        if any(v.numel() > 200 for v in theirs) or any(map(is_too_large_or_rounding, theirs)):
            return "equal", ""
        while len(theirs) > MOST:
            gone = rng.randrange(len(theirs))
            del theirs[gone], ours[gone]
    return "equal", ""


def tell(compare, count, first=0):
    """Run so many programs and print how many came out how, with examples."""
    found = collections.defaultdict(list)
    for seed in range(first, first + count):
        outcome, words = compare(seed)
        found[outcome].append(words)
    for outcome, examples in sorted(found.items()):
        print(f"{outcome:10} {len(examples):6}  {100 * len(examples) / count:.1f} %")
    for outcome in ("different", "refused", "missing", "lenient"):
        for words in found[outcome][:: max(1, len(found[outcome]) // 12)][:14]:
            print(outcome, words[:330])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    tell(compare, *map(int, sys.argv[1:]))
