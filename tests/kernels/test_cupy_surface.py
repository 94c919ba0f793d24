"""Every NumPy function that an op hands a GPU array to exists in CuPy, with the arguments that the op uses.

CuPy can be imported and its signatures read without a driver. The ops run on arrays that note what they are handed to.
"""

import functools
import inspect
from collections import defaultdict
from typing import ClassVar

import numpy as np
import pytest
from ops.op_cases import CASES

cupy = pytest.importorskip("cupy", reason="needs CuPy (no GPU): pip install cupy-cuda13x")

# What CuPy's ufuncs take besides their inputs (`where` is refused), and the methods that may come by: `reduce` does so
# for NumPy's own array methods sum, max and any, for which CuPy's arrays have methods of their own.
# So does subok, for mean.
UFUNC_OPTIONS, UFUNC_METHODS = {"out", "dtype", "casting", "subok"}, {"__call__", "at", "reduce"}


class Noting(np.ndarray):
    """An array that notes every function and ufunc it meets, then lets NumPy compute."""

    seen: ClassVar = defaultdict(list)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        Noting.seen[("ufunc", ufunc.__name__)].append((method, inputs, options))
        outputs = options.get("out")
        if outputs:
            options["out"] = tuple(plain(o) for o in outputs)
        result = getattr(ufunc, method)(*(plain(i) for i in inputs), **options)
        return outputs[0] if outputs else noting(result)

    def __array_function__(self, function, types, arguments, options):
        Noting.seen[("function", f"{function.__module__}.{function.__name__}")].append((function, arguments, options))
        return noting(function(*plain(arguments), **plain(options)))


def noting(value):
    return value.view(Noting) if isinstance(value, np.ndarray) else value


def plain(value):
    if isinstance(value, Noting):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(plain(v) for v in value)
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def seen():
    """What all ops, forward and backward, hand GPU arrays to."""
    Noting.seen.clear()
    rng = np.random.default_rng(0)
    for case in CASES:
        arrays = [noting(a) for a in case.make(rng)]
        y, cache = case.forward(*arrays, **{k: noting(v) for k, v in case.options.items()})
        needs = tuple(i in case.smooth for i in range(len(arrays)))
        case.backward(noting(rng.standard_normal(y.shape)), cache, needs)
    return dict(Noting.seen)


def test_functions_exist_and_take_the_arguments(seen):
    problems = []
    for (kind, name), calls in seen.items():
        if kind != "function":
            continue
        path = name.split(".")[1:]
        try:
            theirs = functools.reduce(getattr, path, cupy)
        except AttributeError:
            problems.append(f"cupy has no {'.'.join(path)}")
            continue
        for _, arguments, options in calls:
            # NumPy takes `like` away before it dispatches.
            given = {key: value for key, value in options.items() if key != "like"}
            try:
                inspect.signature(theirs).bind(*arguments, **given)
            except (TypeError, ValueError) as error:
                problems.append(f"cupy.{'.'.join(path)}({', '.join(given)}): {error}")
    assert sorted(set(problems)) == []
    assert any("empty_like" in name for _, name in seen)


def test_no_empty_shape_is_asked_of_empty_like(seen):
    """CuPy takes shape=() for "not given" and answers with the prototype's shape."""
    for (_, name), calls in seen.items():
        if name.endswith("_like"):
            assert all(options.get("shape", (1,)) != () for _, _, options in calls), name


def test_ufuncs_exist_and_take_the_options(seen):
    problems = []
    for (kind, name), calls in seen.items():
        if kind != "ufunc":
            continue
        if not hasattr(cupy, name):
            problems.append(f"cupy has no {name}")
        for method, _, options in calls:
            if method not in UFUNC_METHODS and not (method == "reduce" and not hasattr(cupy, name)):
                problems.append(f"{name}.{method}")
            problems += [f"{name}({key}=)" for key in set(options) - UFUNC_OPTIONS if method == "__call__"]
    assert sorted(set(problems)) == []
