"""A mistake planted in a loop makes its tests fail: each drop-in is tested well enough to notice what people do."""

import importlib
import inspect

import numpy as np
import pytest

from tinyvision.kernels.cpu import along, compiled, lines, winograd

from . import test_compiled_loops as tests
from .test_compiled_loss import test_like_the_op_both_ways as loss_is_like_the_op
from .test_compiled_loss import (
    test_scores_far_apart_and_far_out_neither_overflow_nor_lose_their_digits as loss_of_scores_far_apart,
)
from .test_compiled_steps import STEPS
from .test_compiled_steps import test_optimizers_step_over_all_parameters_at_once as step_is_like_the_optimizers
from .test_direct import planted

# module, function, a piece of its text, and the same with a mistake in it
MISTAKES = [
    ("activation", "clipped", "value <= 0", "value >= 0"),
    ("activation", "clipped", "value >= top", "value > 2 * top"),
    ("activation", "slope", "y[i] != 0 and y[i] != top", "y[i] != 0"),
    ("channels", "added_up", "range(whole, end)", "range(whole, end - 1)"),
    ("pool", "largest", "or value != value", ""),
    ("pool", "largest", "value > y[n, i, j, c]", "value >= y[n, i, j, c]"),
    ("pool", "to_the_largest", "+= dy", "= dy"),
    ("pool", "mean", "w < 0 or w >= W", "w >= W"),
    ("pool", "to_all", "* shares[i, j]", "* shares[0, 0]"),
    ("along", "mixed", "ends[o - 1] if o else 0", "0"),
    ("along", "mixed", "out[b] += weight", "out[b] = weight"),
    ("norm", "moments", "range(whole, end)", "range(whole, end - 1)"),
    ("norm", "gradient_sums", "if y[m, c] != 0 and y[m, c] != top else 0.0", ""),
    ("norm", "gradient_sums", " and y[m, c] != top", ""),
    ("norm", "applied", " or y[m, c] == top", ""),
    ("norm", "normalized", "value >= top", "value > 2 * top"),
    ("norm", "normalized", "y[m, c] += skip[m, c]", "y[m, c] += 0"),
    ("group_norm", "standardised", "square - mean * mean", "square"),
    ("group_norm", "gradients", "= -direct", "= direct"),
    ("group_norm", "gradients", "own[1, c] +=", "own[1, c] ="),
    ("layer_norm", "standardised", "square / L - (total / L) * (total / L)", "square / L"),
    ("layer_norm", "two_sums", "range(whole, a.size)", "range(whole, whole)"),
    ("layer_norm", "gradients", "- level", "+ level"),
    ("layer_norm", "gradients", "own[0, i] +=", "own[0, i] ="),
    ("activation_families", "normal_share", "ONE - beyond", "beyond"),
    ("activation_families", "expm1_of_less", "power - ONE", "power - TWO"),
    ("activation_families", "log1p_exp", "L3) * q + TWO", "L3) * q + ONE"),
    ("activation_families", "tanh_of_softplus", "TWO * e * e", "e * e"),
    ("activation_families", "bent", "x[i] if z > b else log1p_exp(z) / a", "log1p_exp(z) / a"),
    ("activation_families", "bent", "x[i] <= a", "x[i] < a"),
    ("activation_families", "bent", "least > b", "least < a"),
    ("activation_families", "slope_of_bent", "(a * c)", "a"),
    ("activation_families", "slope_of_bent", "(x[i] >= a) &", "(x[i] > a) &"),
    ("activation_families", "slope_of_bent", "(x[i] <= a) |", "(x[i] < a) |"),
    ("activation_families", "slope_of_bent", "np.float32(3) * CUBE", "CUBE"),
    ("prelu", "leaky", "x[m, c] * weight[c]", "x[m, c] * weight[0]"),
    ("prelu", "slopes", "np.float64(0) if x[m, c] > 0 else ", ""),
    ("prelu", "slopes", "dy[m, c] * weight[c]", "dy[m, c]"),
    ("loss_pointwise", "compared", "else d - HALF * near", "else d - HALF"),
    ("loss_pointwise", "compared", "near * (d - HALF * near)", "d - HALF * near"),
    ("loss_pointwise", "compared", "(ONE - target[i]) * x[i]", "target[i] * x[i]"),
    ("loss_pointwise", "slope_of_compared", " | (near == ZERO)", ""),
    ("loss_pointwise", "slope_of_compared", "-near if d < -near else d", "d"),
    (
        "loss_pointwise",
        "slope_of_compared",
        "p, q = (above, below) if x[i] > ZERO else (below, above)",
        "p, q = above, below",
    ),
    ("depthwise", "copied", "0 <= h < H", "h < H"),
    ("depthwise", "copied", "max(0, -left)", "0"),
    ("depthwise", "correlated", "max(0, min(r, OW - FOUR))", "r"),
    ("depthwise", "correlated", "SW * WIDTH, kernels", "WIDTH, kernels"),
    ("depthwise", "tap_sums", "channel + c] +=", "channel + c] ="),
    ("depthwise", "tap_sums", "block * WIDTH - channel, min", "0, min"),
    ("grouped", "_fill", "first : first + reads", ":reads"),
    ("grouped", "_packed", "= kernels[outputs]", "= kernels[:1]"),
    ("columns", "inside", "max(0, -left)", "0"),
    ("columns", "inside", "min(run, length - left)", "run"),
    ("columns", "filled", "h < 0 or h >= H", "h >= H"),
    ("columns", "filled", "j * SW - PW", "j - PW"),
    ("columns", "filled", "range(last, run)", "range(last, last)"),
    ("columns", "filled", "(line - start) * OW + j", "line * OW + j"),
    ("columns", "added_back", "+= columns[row", "= columns[row"),
    ("columns", "added_back", "i * SH + k - PH", "i * SH + k"),
    ("columns", "added_back", "range(first, last)", "range(run)"),
    ("winograd", "image_points", "even - odd", "even + odd"),
    ("winograd", "outputs", "HALF * odd", "TWO * odd"),
    ("winograd", "image_to_planes", "line % TH * 4 - PH", "line % TH * 4"),
    ("winograd", "multiplied", "if more else total", "if False else total"),
    ("winograd", "multiplied", "all_tiles + tiles, ROWS", "all_tiles + tiles - ROWS + 1, ROWS"),
    ("winograd", "multiplied", "half_put(total, products, r, s, O)", "half_put(total, products, r, r, O)"),
    ("winograd", "planes_to_image", "min(4, OH - h)", "min(3, OH - h)"),
    ("winograd", "planes_to_image", "e[w - 4 * t", "e[w - 4 * t - 1"),
    ("winograd", "gradient_to_planes", "half[i, w + 3, o]", "half[i, w + 2, o]"),
    ("winograd", "kernels_to_planes", "weight[block * WIDTH : (block + 1) * WIDTH]", "weight[:WIDTH]"),
    ("winograd", "planes_to_kernels", "dU[18 + j, o, c]", "dU[24 + j, o, c]"),
    ("winograd", "planes_to_kernels", "dU[j, o, c] +=", "dU[j, o, c] ="),
    ("winograd", "added_up", "if more else total", "if False else total"),
    ("winograd", "weights_of_lines", "first, first, last", "begin, first, last"),
    ("winograd", "weights_of_outputs", "dU[0], first, V", "dU[0], 0, V"),
    ("winograd", "finish_rows", "y[r, e] += skip[r, e]", "y[r, e] = skip[r, e]"),
    ("winograd", "finish_rows", "y[r, e] >= 6", "y[r, e] >= 7"),
    ("winograd", "correlated", "first, first, last", "begin, first, last"),
    ("winograd", "correlated_by_slices", "begin, 0, lines", "0, 0, lines"),
    ("loss", "likelihoods", "exp_of_less(row[k] - largest)", "exp_of_less(row[k])"),
    ("loss", "likelihoods", "labels[n] != ignored and smoothing < 1", "smoothing < 1"),
    ("loss", "added_up", "range(whole, values.size)", "range(whole, whole)"),
    ("loss", "likelihoods", "smoothing / K", "smoothing"),
    ("loss", "off_target", "n if dlosses.size > 1 else 0", "0"),
    ("loss", "off_target", "counts * (exp", "(exp"),
    ("loss", "off_target", "(even + (np.float32(1) - smoothing))", "even"),
    ("sgd", "stepped", "sign * gradient[i]", "gradient[i]"),
    ("sgd", "stepped", "decay * weight[i]", "decay * gradient[i]"),
    ("sgd", "stepped", "undamped * g", "g"),
    ("sgd", "stepped", "g if first else ", ""),
    ("sgd", "stepped", "g + momentum * v if nesterov else v", "v"),
    ("adam", "stepped", "sign * gradient[i]", "gradient[i]"),
    ("adam", "stepped", "rest2 * (g * g)", "rest2 * g"),
    ("adam", "stepped", "shrink * p", "p"),
    ("adam", "stepped", "g += decay * p", "g += 0"),
]


@pytest.mark.parametrize(("module", "name", "old", "new"), MISTAKES, ids=[f"{m[0]}: {m[3]}" for m in MISTAKES])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mistake_in_a_loop_is_noticed(module, name, old, new, monkeypatch):
    for _, one in compiled._loops():
        monkeypatch.setattr(one, "run", one.function)
    found = vars(importlib.import_module(f"tinyvision.kernels.cpu.{module}"))
    changed = planted(getattr(found[name], "function", found[name]), old, new)
    monkeypatch.setattr(winograd, "pays", lambda *sizes: True)
    monkeypatch.setattr(lines, "LEAST_PRODUCTS", 0)  # parts that several threads make are added up, too
    monkeypatch.setattr(lines, "LEAST_BYTES", 0)
    monkeypatch.setattr(along, "LEAST", 1)
    if isinstance(found[name], compiled.Loop):
        monkeypatch.setattr(found[name], "run", changed)
    else:
        monkeypatch.setitem(found, name, changed)
    with pytest.raises((AssertionError, IndexError, ValueError, ArithmeticError)):
        run(checks(module))


def run(checks):
    """Call tests with what pytest would give them."""
    for test, arguments in checks:
        with pytest.MonkeyPatch.context() as patch:
            given = {"rng": np.random.default_rng(20), "loops": None, "monkeypatch": patch, **arguments}
            wanted = inspect.signature(test).parameters
            test(**{word: value for word, value in given.items() if word in wanted})


def checks(module):
    """(test, arguments) of all that is computed by this module's loops, the smallest first."""
    if module in ("sgd", "adam"):
        for name, options in STEPS:
            if name.lower().startswith(module):
                yield step_is_like_the_optimizers, {"name": name, "options": options, "pieces": "whole"}
        return
    if module == "loss":
        for smoothing, reduction in ((0.0, "mean"), (0.3, "none")):
            sizes = {"shape": (3, 4, 2, 5), "dtype": np.int64}
            yield loss_is_like_the_op, {"smoothing": smoothing, "reduction": reduction, **sizes}
        yield loss_of_scores_far_apart, {}
        return
    own = importlib.import_module(f"tinyvision.kernels.cpu.{module}").DROP_INS
    for name, make, options in tests.CASES:
        arrays = [tests.small(a) for a in make(np.random.default_rng(20))]
        if module == "channels" or tests.stand_in(name + "_forward", *arrays, **options) in own:
            yield tests.test_like_the_op_both_ways, {"name": name, "make": make, "options": options, "layout": "last"}
    if module == "winograd":
        for given, activation in (("skip", None), ("", "relu6")):
            yield tests.test_inference_finishes_its_sums, {"given": given, "activation": activation, "way": module}
        for outweighed in (True, False):
            yield tests.test_winograd_in_pieces_of_any_size, {"outweighed": outweighed, "budget": 1}
    if module == "depthwise":
        for case in tests.DEPTHWISE:
            yield tests.test_depthwise_with_few_lines_in_use_at_a_time, {"case": case}
    if module == "columns":
        yield tests.test_columns_in_pieces_of_any_size, {"kernel": 3, "outweighed": False, "budget": 1}
