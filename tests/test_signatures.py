"""Arguments have PyTorch's names, in PyTorch's order: what a script writes must not mean something else here."""

import ast
import importlib
import inspect
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import GraphError, OptionError
from tinyvision.nn.absent import is_absent
from tinyvision.nn.layers.declared import Declared

torch = pytest.importorskip("torch")

ROOMS = [
    "", "amp", "autograd", "hub", "nn.functional", "nn.init", "nn.utils", "nn.utils.parametrizations",
    "nn.utils.parametrize", "optim", "optim.lr_scheduler", "optim.swa_utils", "random", "testing",
    "utils.checkpoint", "utils.data",
]  # fmt: skip

# What is not taken: a Python TypeError names it.
NOT_TAKEN = {
    "normalize": {"out"},  # the functions of nn.functional write into no memory that is there
    "norm": {"input", "p", "dim", "keepdim", "out", "dtype"},  # a method's arguments, which are looked at there
    "split": {"tensor", "split_size_or_sections", "dim"},
    "tensordot": {"out"},
    "from_dlpack": {"ext_tensor"},
    "enable_grad": {"orig_func"},
    "hub.list": {"github", "force_reload", "skip_validation", "trust_repo", "verbose"},  # hub fetches nothing
    "hub.load": {"trust_repo", "force_reload", "verbose", "skip_validation"},
    "compile": {"isolate_recompiles", "name", "recompile_limit", "shapes_spec"},
    "save": {"_disable_byteorder_record"},
    "fork_rng": {"_caller", "_devices_kw", "device_type"},
    # All but the two of forward mode are taken, as the **options of gradcheck.
    "gradgradcheck": {
        *("atol", "check_batched_grad", "check_fwd_over_rev", "check_grad_dtypes", "check_rev_over_rev", "eps"),
        *("check_undefined_grad", "fast_mode", "masked", "nondet_tol", "raise_exception", "rtol"),
    },
}


def arguments(function):
    """(those that may be given by place, those only by name, whether any name is taken), without self; None where
    Python does not know."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    places = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "self"]
    return places, {p.name for p in found if p.kind == p.KEYWORD_ONLY}, any(p.kind == p.VAR_KEYWORD for p in found)


def differences(name, ours, theirs):
    ours, theirs = arguments(ours), arguments(theirs)
    if ours is None or theirs is None:
        return []
    (places, names, _), (their_places, their_names, _) = ours, theirs
    left_out = NOT_TAKEN.get(name.lstrip("."), NOT_TAKEN.get(name.rpartition(".")[2], set()))
    there = [p for p in their_places if p not in left_out]
    found = []
    if places[: len(there)] != there and not set(there) <= names:
        found.append(f"{name}: {there} by place in PyTorch, {places} here")
    lacking = their_names - {*places} - names - left_out
    if lacking:
        found.append(f"{name}: {sorted(lacking)} by name in PyTorch, not here")
    return found


def layers():
    for name in sorted(dir(torch.nn)):
        theirs, ours = getattr(torch.nn, name), getattr(tv.nn, name, None)
        both = inspect.isclass(theirs) and issubclass(theirs, torch.nn.Module) and inspect.isclass(ours)
        if both and not is_absent(ours):
            yield name, ours, theirs


def test_layers_are_made_and_called_by_the_same_names():
    found, count = [], 0
    for name, ours, theirs in layers():
        count += 1
        if name == "Module":
            continue
        found += differences(f"{name}()", ours.__init__, theirs.__init__)
        forward = ours.function if ours.forward is Declared.forward else ours.forward
        found += differences(f"{name}.forward", forward, theirs.forward)
    assert not found, "\n".join(found)
    assert count > 90


def test_methods_take_the_same_names():
    found = []
    for name, ours, theirs in layers():
        for method in dir(theirs):
            mine = getattr(ours, method, None)
            own = name == "Module" or not hasattr(torch.nn.Module, method)
            if own and not method.startswith("_") and inspect.isfunction(mine):
                if (name, method) == ("Module", "to"):  # which PyTorch too tells apart by what is given
                    continue
                found += differences(f"{name}.{method}", mine, getattr(theirs, method))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", ROOMS)
def test_functions_and_classes_take_the_same_names(room):
    dotted = f".{room}" if room else ""
    there, here, found, seen = importlib.import_module("torch" + dotted), tv, [], 0
    for part in room.split(".") if room else ():
        here = getattr(here, part)
    for name in sorted(dir(there)):
        theirs, ours = getattr(there, name), getattr(here, name, None)
        if name.startswith("_") or not callable(theirs) or not callable(ours):
            continue
        seen += 1
        if not inspect.isclass(theirs):
            found += differences(f"{room}.{name}", ours, theirs)
        elif inspect.isclass(ours) and not room.startswith("nn") and issubclass(theirs, OF_CLASSES):
            found += differences(f"{room}.{name}()", ours.__init__, theirs.__init__)
            for method in dir(theirs):
                mine = getattr(ours, method, None)
                if not method.startswith("_") and inspect.isfunction(mine):
                    found += differences(f"{room}.{name}.{method}", mine, getattr(theirs, method))
    assert not found, "\n".join(found)
    assert seen


OF_CLASSES = (
    torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.utils.data.Dataset,
    torch.utils.data.DataLoader, torch.utils.data.Sampler,
)  # fmt: skip


def test_modules_are_named_by_pytorch_s_order_of_arguments():
    for engine in (tv, torch):
        model = engine.nn.Sequential(engine.nn.ReLU(), engine.nn.ReLU())
        model.append(model[0])
        memo = {model[1]}
        assert [name for name, _ in model.named_modules(memo, "net")] == ["net", "net.0"]
        assert memo == {model, model[0], model[1]}
        assert [name for name, _ in model.named_modules(None, "net", False)] == ["net", "net.0", "net.1", "net.2"]
        assert len(list(model.modules(remove_duplicate=False))) == 4


@pytest.mark.filterwarnings("ignore:.*is the old name of")
@pytest.mark.filterwarnings("ignore:.*is deprecated")
def test_what_is_taken_by_name_does_what_pytorch_does(tmp_path):
    sides = []
    for t in (tv, torch):
        x = t.tensor([[[0.5, -2.0, 3.0], [1.0, 0.1, -0.4]]], requires_grad=True)
        norm = t.nn.BatchNorm1d(2, bias=False)
        y = [
            t.nn.Hardtanh(min_value=-1.5, max_value=0.7)(input=x),
            t.nn.PoissonNLLLoss()(log_input=x, target=x.detach().abs()),
            t.nn.L1Loss()(input=x, target=x.detach() * 2),
            t.nn.Sequential(norm, t.nn.Identity())(input=x),
            norm.eval()(input=x),
            t.cdist(x1=x, x2=x + 1, p=1.0, compute_mode="donot_use_mm_for_euclid_dist"),
            t.tensordot(a=x[0], b=x[0], dims=([1], [1])),
            t.nn.functional.mse_loss(x, x.detach() * 2, weight=x.detach().abs()),
        ]
        assert dict(norm.named_parameters()).keys() == {"weight"}
        assert not t.nn.Embedding(3, 2, _freeze=True).weight.requires_grad
        t.autograd.backward([p.sum() for p in y], grad_variables=[t.tensor(0.5)] * len(y))
        t.save(obj={"x": x.detach()}, f=tmp_path / "x.pt")
        loaded = t.load(f=tmp_path / "x.pt", map_location=None, pickle_module=None, weights_only=True)["x"]
        sides.append([p.detach().numpy() for p in [*y, x.grad, norm.weight.grad, loaded]])
    for found, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_a_norm_without_bias_is_folded_and_fused():
    conv, norm = tv.nn.Conv2d(3, 4, 3), tv.nn.BatchNorm2d(4, bias=False)
    norm.running_mean.array[...] = [1, 2, 3, 4]
    model, x = tv.nn.Sequential(conv, norm, tv.nn.ReLU()), tv.randn(2, 3, 6, 6)
    alone = tv.nn.functional.relu(norm(conv(x)))
    np.testing.assert_allclose(model(x).detach(), alone.detach(), rtol=1e-5, atol=1e-6)
    model.eval()
    expected = tv.nn.functional.relu(norm(conv(x)))
    np.testing.assert_allclose(model(x).detach(), expected.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.fuse()(x).detach(), expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [
    "uniform_", "normal_", "trunc_normal_", "orthogonal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_",
    "xavier_normal_", "sparse_",
])  # fmt: skip
def test_weights_are_drawn_from_the_generator_that_is_given(name):
    fill, options = getattr(tv.nn.init, name), {"sparsity": 0.5} if name == "sparse_" else {}
    before = tv.get_rng_state().tolist()
    one, two = (fill(tv.zeros(4, 3), generator=tv.Generator().manual_seed(3), **options) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert tv.get_rng_state().tolist() == before
    with pytest.raises(OptionError, match=r"expected a tinyvision.Generator"):
        fill(tv.zeros(4, 3), generator=3, **options)


def test_gradients_are_judged_by_the_bounds_that_are_given():
    def cut(engine):
        return lambda a: a * a.detach()

    for engine in (tv, torch):
        x = engine.tensor([0.5, -1.5, 2.0], dtype=engine.float64, requires_grad=True)
        check = engine.autograd.gradcheck
        assert check(lambda a: (a * a, a.sin()), (x,), eps=1e-6, atol=1e-4)
        assert not check(cut(engine), (x,), atol=1e-3, raise_exception=False)
        assert check(cut(engine), (x,), atol=100.0)
        assert check(cut(engine), (x,), rtol=0.6)
        assert x.grad is None
        with pytest.raises(TypeError, match="rasie_exception"):
            check(cut(engine), (x,), rasie_exception=False)
    with pytest.raises(GraphError, match="input 0, number 0: backward"):
        tv.autograd.gradcheck(cut(tv), (tv.ones(2, requires_grad=True),), eps=1e-3)
    with pytest.raises(OptionError, match="only the backward can be checked"):
        tv.autograd.gradcheck(cut(tv), (tv.ones(2, requires_grad=True),), check_forward_ad=True)


def test_ways_to_compile_and_to_compute_again():
    assert tv.compile(len, mode="max-autotune", fullgraph=True) is len
    with pytest.raises(OptionError, match="mode must be one of"):
        tv.compile(len, mode="nonsense")
    again = tv.utils.checkpoint.checkpoint
    assert again(lambda x, y: x - y, 3, y=1, use_reentrant=False, debug=True, determinism_check="none") == 2
    with pytest.raises(OptionError, match="context_fn is not supported"):
        again(len, [1], context_fn=lambda: None)


# What functions written in C++ take there and not here: dtypes of products, sparse and named tensors, requires_grad of
# what is drawn or counted, the names of operands that scripts give by their places.
NOT_TAKEN_IN_C = {
    "addmm": {"out_dtype"}, "baddbmm": {"out_dtype"}, "bmm": {"out_dtype"}, "mm": {"out_dtype"},
    "empty": {"memory_format"}, "full": {"names"}, "full_like": {"memory_format"},
    "isin": {"assume_unique", "element", "elements", "test_element"}, "nanmean": {"dtype"}, "nansum": {"dtype"},
    "normal": {"requires_grad"},
    "promote_types": {"type1", "type2"}, "randint_like": {"requires_grad", "device", "memory_format"},
    "randperm": {"requires_grad"}, "result_type": {"tensor", "scalar", "scalar1", "scalar2", "other"},
    "swapdims": {"dim0", "dim1"}, "tensor_split": {"indices", "sections", "tensor_indices_or_sections"},
    "tril_indices": {"requires_grad"}, "triu_indices": {"requires_grad"},
}  # fmt: skip


def test_functions_in_c_take_the_same_names():
    """Those of which Python does not know the arguments, by the file in which PyTorch tells type checkers."""
    stubs = ast.parse((Path(torch.__file__).parent / "_C" / "_VariableFunctions.pyi").read_text(encoding="utf-8"))
    theirs = defaultdict(list)
    for node in stubs.body:
        if isinstance(node, ast.FunctionDef):
            theirs[node.name].append([a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs])
    found, seen = [], 0
    for name, overloads in sorted(theirs.items()):
        ours = getattr(tv, name, None)
        if not inspect.isfunction(ours):
            continue
        closed = dict(zip(ours.__code__.co_freevars, ours.__closure__ or (), strict=True))
        ours = closed["method"].cell_contents if "method" in closed else ours  # which the function calls
        parameters = inspect.signature(ours).parameters.values()
        if any(p.kind == p.VAR_KEYWORD for p in parameters):
            continue
        seen += 1
        taken = {p.name for p in parameters} | {"out", "layout", "pin_memory", "input", "self"}
        taken |= NOT_TAKEN_IN_C.get(name, set())
        wanted = {argument for overload in overloads for argument in overload}
        if not wanted <= taken:
            found.append(f"{name}: {sorted(wanted - taken)} by name in PyTorch, {[p.name for p in parameters]} here")
    assert not found, "\n".join(found)
    assert seen > 200


def test_small_doors():
    for t in (tv, torch):
        x, row = t.arange(7.0), t.tensor([3.0, 1.0, 2.0])
        assert [p.tolist() for p in t.tensor_split(x, t.tensor([1, 3]))] == [[0], [1, 2], [3, 4, 5, 6]]
        assert t.equal(input=x, other=x)
        assert t.allclose(input=x, other=x + 1, atol=1.0)
        assert t.dot(row, tensor=row).item() == 14
        assert t.searchsorted(row, t.tensor([1.5, 3.0]), sorter=t.tensor([1, 2, 0]), out_int32=True).tolist() == [1, 2]
        assert t.bucketize(input=row, boundaries=x, out_int32=True).dtype == t.int32
        assert t.scalar_tensor(2, requires_grad=True).requires_grad
        assert t.gather(row, 0, t.tensor([2]), sparse_grad=False).item() == 2
        y = x.to("cpu", t.float32, True, True)
        assert y is not x
        assert x.to("cpu", t.float64, True).dtype == t.float64
        t.nn.Linear(2, 2).to("cpu", t.float64, True)
        place, source = (t.zeros((), dtype=t.float64, requires_grad=True) for _ in range(2))
        place.scatter(0, t.tensor(0), source).backward()
        assert (place.grad.item(), source.grad.item()) == (0, 1)
        with pytest.raises((ValueError, RuntimeError), match="side"):
            t.searchsorted(row, x, side="rihgt")
        with pytest.raises((ValueError, RuntimeError), match="side"):
            t.searchsorted(row, x, side="left", right=True)
