"""`tinyvision gradcheck FILE.py:FUNCTION --op NAME`: the checker on anybody's own file, outside of the course."""

import ast
import difflib
import inspect
import re
from pathlib import Path
from typing import Any

from .. import check
from ..check import Finding, Report
from ..check.check_op import KEEPS_OUTPUT
from ..check.ops import SPECS
from ..check.reading import words
from ..errors import DataError, OptionError
from .loading import LOAD_LIMIT, load, read
from .parts import left_out


def split(target: str) -> Any:
    """("file.py", "function" or None) from "file.py:function"."""
    path, colon, name = target.rpartition(":")
    if not colon or (len(path) == 1 and path.isalpha()):  # no colon, or a Windows drive's
        return target, None
    return path, name


def examine(request: dict[str, Any]) -> Any:
    """The report for {"file", "function", "forward", "op", "limit", "device"} and what else the command line says.

    Raises DataError, OptionError."""
    path = Path(request["file"])
    read(path, "gradcheck")
    if path.suffix != ".py":
        raise OptionError(f"gradcheck: {path} is no Python file; give FILE.py:FUNCTION or FILE.py:CLASS")
    limit = max(LOAD_LIMIT, request["limit"])
    module, report = load(path, path.stem, limit, whole=False)
    named = (request["function"] or request["forward"]).partition(".")[0]
    if report is None and left_out(module) and not hasattr(module, named):
        _, report = load(
            path, path.stem, limit
        )  # what is asked for would have come from what did not run: that is told
    if report is not None:
        report.subject = request["op"]
        return report
    if request.get("guessed") and request["op"] == "softmax" and _takes_labels(_owner(module, request["function"])):
        request["op"] = "cross_entropy"
    report = _checked(module, path, request)
    if request.get("guessed"):
        report.notes.insert(0, f"Taken for {request['op']} by its name; --op says it otherwise.")
    report.notes += left_out(module)
    return report


def _checked(module, path, request):
    how = {"time_limit": request["limit"], "supports": request.get("supports"), "strict": request.get("strict", False)}
    named = _find(module, path, request["function"]) if request["function"] else None
    owner = _owner(module, request["function"])
    if owner is not None or request.get("make"):
        layer = owner or named
        return check.layer(layer, request["op"], make=_maker(module, request.get("make")), **how)
    backward, forward = named, _find_forward(module, path, request["forward"]) if request["forward"] else None
    if forward is None and named is not None and _goes_forward(request["op"], named):
        forward, backward = named, _twin(module, request["function"], FORWARD_TO_BACKWARD)
    report = check.op(request["op"], forward, backward, device=request["device"], **how)
    if forward is not named and not request["forward"]:
        report = _with_its_own_forward(module, report, backward, request, how)
    elif forward is named and backward is not None:
        report.notes.append(f"Checked together with {backward.__name__}.")
    return report


# An op by the name of its class or function, in small letters and without underscores; the first that fits.
NAMED = (
    (r"softmax.*(loss|cross|ce$)|(loss|cross|ce).*softmax|crossentropy|celoss|nll", "cross_entropy"),
    (r"leaky|lrelu", "leaky_relu"), (r"gelu", "gelu"), (r"silu|swish", "silu"), (r"relu", "relu"), (r"elu", "elu"),
    (r"softplus", "softplus"), (r"softmax", "softmax"), (r"sigmoid|logistic", "sigmoid"),
    (r"tanh", "tanh"), (r"batchn|bnlayer|^bn|bn\dd", "batchnorm_train"), (r"dropout", "dropout"),
    (r"im2col", "im2col"), (r"col2im", "col2im"), (r"(avg|average|mean)pool|pool.*(avg|average|mean)", "avgpool2d"),
    (r"pool", "maxpool2d"), (r"conv", "conv2d"), (r"linear|dense|affine|fullyconnected|^fc|fclayer", "linear"),
    (r"sgd", "sgd"),
)  # fmt: skip
# Names of what is none of these ops, though one of their names is in it.
OTHERS = re.compile(r"binary|1d|3d|transpos|deconv|depthwise|rnn|lstm|gru\b|layern|groupn|instancen|unpool|global"
                    r"|adaptive|selu|celu|prelu|relu6|hard|log(softmax|sigmoid)")  # fmt: skip


def op_named(name: str) -> str:
    """The op that a class or a function is by its name. Raises OptionError if the name does not tell."""
    plain = name.partition(".")[0].lower().replace("_", "")
    found = next((op for pattern, op in NAMED if re.search(pattern, plain)), None)
    if found is None or (OTHERS.search(plain) and not re.search(r"batchn.*1d", plain)):
        raise OptionError(f"gradcheck: which op is {name}? Its name does not tell; --op is one of {', '.join(SPECS)}")
    return found


# How people name the two functions of a pair: "backward" in the one is "forward" in the other.
BACKWARD_TO_FORWARD = (
    ("backward", "forward"), ("Backward", "Forward"), ("backprop", "forward"), ("bprop", "fprop"), ("bwd", "fwd"),
    ("back", "forward"), ("back", "for"), ("_backward", ""), ("_grad", ""),
)  # fmt: skip
FORWARD_TO_BACKWARD = (
    ("forward", "backward"), ("Forward", "Backward"), ("forward", "backprop"), ("fprop", "bprop"), ("fwd", "bwd"),
    ("forward", "back"), ("_for", "_back"),
)  # fmt: skip


def _goes_forward(op, function):
    """True for a function that is named forward, for an update rule, and for a loss that asks for no upstream."""
    name = function.__name__.lower() if hasattr(function, "__name__") else ""
    if op == "sgd" or any(word in name for word in ("forward", "fwd", "fprop")):
        return True
    first = next(iter(inspect.signature(function).parameters), "")
    backward = any(word in name for word in ("back", "grad", "bwd", "bprop", "deriv"))
    return op == "cross_entropy" and not backward and not words.is_role(first, "dy")


def _twin(module, name, endings):
    """The function that goes the other way: of conv_backward, conv_forward; None if there is none."""
    for old, new in endings:
        other = name.replace(old, new)
        while old in name and other:
            found = getattr(module, other, None)
            if inspect.isfunction(found):
                return found
            other = other.rpartition("_")[0] if new and new in other.rpartition("_")[0] else ""
    return None


def _with_its_own_forward(module, report, backward, request, how):
    """A backward that does not fit tinyvision's cache is checked again with the forward of its name in the same file.

    conv_backward goes with conv_forward."""
    forward = _twin(module, request["function"], BACKWARD_TO_FORWARD)
    foreign = any(f.kind in ("exception", "signature", "unread") and f.argument == "backward" for f in report.findings)
    if foreign and forward is None:
        report.notes.append("The cache came from tinyvision's own forward. To use yours, add --forward NAME.")
    if forward is None or (report.passed and request["op"] not in KEEPS_OUTPUT):
        return report
    together = check.op(request["op"], forward, backward, device=request["device"], **how)
    stub = any("NotImplementedError" in f.message for f in together.findings)
    broken = any(f.kind in ("exception", "unread") and f.argument == "forward" for f in together.findings) and not stub
    told_more = together.passed or together.read_as or broken or request["op"] in KEEPS_OUTPUT
    if (broken and report.passed) or not (foreign or told_more):
        return report
    twin = forward.__name__
    together.notes.append(f"Checked together with {twin}, as with --forward {twin}: the cache is its own.")
    return together


def _owner(module, name):
    """The class that is meant by CLASS or by CLASS.backward; None for a function."""
    found = module
    for part in (name or "").split("."):
        found = getattr(found, part, None)
        if inspect.isclass(found):
            return found
    return None


def _takes_labels(owner):
    """True for a class whose forward is handed labels: one that is called softmax is a loss then."""
    front = getattr(owner, words.method(dir(owner), [n for n in words.FORWARDS if n != "__call__"]) or "", None)
    return front is not None and any(words.is_role(n, "labels") for n in list(inspect.signature(front).parameters)[2:])


def _maker(module, code):
    """A function of sizes, such as in_channels, out of words like "Conv(in_channels, out_channels, kernel=3)"."""
    if code is None:
        return None
    wanted = "a call of your class with names of sizes, and numbers: 'Conv(in_channels, out_channels, 3)'"
    try:
        call = ast.parse(code, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise OptionError(f"gradcheck: --make is {wanted}; got {code!r}")
        given = [(None, a) for a in call.args] + [(k.arg, k.value) for k in call.keywords]
        parts = [(k, v.id if isinstance(v, ast.Name) else None, v) for k, v in given]
        fixed = [None if name else ast.literal_eval(v) for _, name, v in parts]
    except (SyntaxError, ValueError):
        raise OptionError(f"gradcheck: --make is {wanted}; got {code!r}") from None
    layer = getattr(module, call.func.id, None)
    if layer is None:
        raise OptionError(f"gradcheck: --make calls {call.func.id}, which the file does not define")

    def make(**sizes):
        values = [(k, sizes[name] if name else f) for (k, name, _), f in zip(parts, fixed, strict=True)]
        return layer(*[v for k, v in values if k is None], **{k: v for k, v in values if k is not None})

    free = dict.fromkeys(name for _, name, _ in parts if name)
    signature = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in free])
    make.__signature__ = signature  # type: ignore[attr-defined]
    return make


def _find_forward(module, path, name):
    other, function = split(name)
    if function is None:
        return _find(module, path, name)
    read(other, "gradcheck")
    module, report = load(other, Path(other).stem + "_forward")
    if report is not None:
        raise DataError(f"gradcheck: {other}: {report.findings[0].message}")
    return _find(module, other, function)


def _find(module, path, name):
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        own = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        close = difflib.get_close_matches(name, own, n=1, cutoff=0.4)
        near = f"; did you mean {close[0]}?" if close else f" (it has: {', '.join(own) or 'none'})"
        raise OptionError(f"gradcheck: {path} has no function {name}{near}")
    return found


def ended(op: str, words: str) -> Any:
    """A report for code that did not come back."""
    return Report(op, [Finding("process", words, "ended", None, "exact")], status={"process": "wrong"})
