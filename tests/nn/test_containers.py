"""Containers: what they hold, in which order and under which names."""

from collections import OrderedDict

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")


def names(module):
    return [(name, type(child).__name__) for name, child in module.named_children()]


def chain(library):
    return library.Sequential(library.Linear(4, 3), library.ReLU(), library.Flatten(), library.Linear(3, 2))


@pytest.mark.parametrize("part", [slice(1, None), slice(None, -1), slice(None, None, 2), slice(9, None)], ids=str)
def test_slices_keep_names_and_parameters(part):
    ours, theirs = chain(nn), chain(torch.nn)
    assert isinstance(ours[part], nn.Sequential)
    assert names(ours[part]) == names(theirs[part])
    assert list(ours[part].state_dict()) == list(theirs[part].state_dict())
    assert all(any(p is q for q in ours.parameters()) for p in ours[part].parameters())


@pytest.mark.parametrize(
    "change",
    [
        lambda m, nn: m.append(nn.Tanh()),
        lambda m, nn: m.extend([nn.Tanh(), nn.ReLU()]),
        lambda m, nn: m.insert(1, nn.Tanh()),
        lambda m, nn: m.insert(0, nn.Tanh()),
        lambda m, nn: m.__setitem__(-1, nn.Linear(3, 10)),
        lambda m, nn: m.__setitem__(0, nn.Identity()),
        lambda m, nn: m.__delitem__(0),
        lambda m, nn: m.__delitem__(slice(1, 3)),
        lambda m, nn: m.add_module("last", nn.Tanh()),
    ],
)
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_changes_are_pytorchs(change, kind):
    made = [
        getattr(library, kind)(*([list(chain(library))] if kind == "ModuleList" else chain(library)))
        for library in (nn, torch.nn)
    ]
    for model, library in zip(made, (nn, torch.nn), strict=True):
        change(model, library)
    assert names(made[0]) == names(made[1])
    assert len(made[0]) == len(made[1])
    assert list(made[0].state_dict()) == list(made[1].state_dict())


def test_children_of_a_model_make_a_feature_extractor():
    model = chain(nn)
    features = nn.Sequential(*list(model.children())[:-1])
    assert features(tv.ones(2, 4)).shape == (2, 3)
    assert features[0] is model[0]
    assert model[-1] is model[3]
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Flatten", "Linear"]


def test_named_steps():
    model = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), second=nn.ReLU()))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    assert model.first is model[0]


def test_a_module_used_twice_runs_twice_and_is_learned_once():
    relu, linear = nn.ReLU(), nn.Linear(2, 2)
    model = nn.Sequential(linear, relu, linear, relu)
    theirs = torch.nn.Linear(2, 2)
    theirs = torch.nn.Sequential(theirs, torch.nn.ReLU(), theirs)
    assert len(model) == 4
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == list(theirs.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    model.load_state_dict(theirs.state_dict())
    expected = theirs(torch.ones(1, 2)).relu().tolist()[0]
    assert model(tv.ones(1, 2)).tolist()[0] == pytest.approx(expected, abs=1e-6)  # float32


def test_appending_never_overwrites():
    model = chain(nn)[2:]
    last = model[-1]
    model.append(nn.Tanh())
    assert names(model) == [("2", "Flatten"), ("3", "Linear"), ("4", "Tanh")]
    assert model[1] is last


def test_module_list_and_dict():
    items = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
    assert isinstance(items[:1], nn.ModuleList)
    assert len(items[:1]) == 1
    assert items[-1] is items[1]
    by_name = nn.ModuleDict({"a": nn.Linear(1, 1)})
    by_name["b"] = nn.ReLU()
    assert list(by_name) == list(by_name.keys()) == ["a", "b"]
    assert "a" in by_name
    assert [type(m).__name__ for m in by_name.values()] == ["Linear", "ReLU"]
    assert dict(by_name.items())["a"] is by_name["a"]
    del by_name["a"]
    assert len(by_name) == 1
    assert len(nn.ModuleDict([("x", nn.ReLU())])) == 1
    assert len(nn.ModuleList()) == len(nn.Sequential()) == 0
    x = tv.ones(1)
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: nn.Sequential(nn.ReLU(), nn.ReLU),
        lambda: nn.Sequential([nn.ReLU()]),
        lambda: nn.Sequential(OrderedDict(forward=nn.ReLU())),
        lambda: nn.Sequential({"a.b": nn.ReLU()}),
        lambda: nn.ModuleList([3]),
        lambda: nn.ModuleDict({"a": None}),
        lambda: nn.ModuleDict({"keys": nn.ReLU()}),
        lambda: nn.ModuleDict()["a"],
        lambda: nn.Sequential(nn.ReLU())[1],
        lambda: nn.Sequential(nn.ReLU())["0"],
        lambda: nn.Sequential(nn.ReLU()).append(None),
    ],
)
def test_mistakes(wrong):
    with pytest.raises(OptionError):
        wrong()


def test_a_parameter_list_is_part_of_its_owner():
    owner = nn.Module()
    owner.scales = nn.ParameterList([nn.Parameter(tv.ones(2)), tv.zeros(3)])
    assert [name for name, _ in owner.named_parameters()] == ["scales.0", "scales.1"]
    assert len(owner.scales) == 2
    assert owner.scales[-1].shape == (3,)
    owner.scales[0] = tv.zeros(4)
    assert [p.shape for p in owner.scales] == [(4,), (3,)]
    with pytest.raises(OptionError, match="no parameter 2"):
        owner.scales[2]


def test_parameters_as_a_vector_and_back():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (13,)
    nn.utils.vector_to_parameters(tv.arange(13).float(), model.parameters())
    assert nn.utils.parameters_to_vector(model.parameters()).tolist() == list(range(13))
    with pytest.raises(ShapeError, match="hold 13 numbers"):
        nn.utils.vector_to_parameters(tv.zeros(12), model.parameters())


def test_parts_by_their_dotted_names():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert model.get_parameter("0.weight") is model[0].weight
    assert model.get_buffer("1.running_var") is model[1].running_var
    assert next(iter(model.state_dict(prefix="net."))) == "net.0.weight"
    for wrong in (lambda: model.get_parameter("1.running_var"), lambda: model.get_buffer("0.weight")):
        with pytest.raises(OptionError, match="has no"):
            wrong()
    assert {p.dtype for p in model.half().parameters()} == {np.dtype(np.float16)}
    assert {p.dtype for p in model.type(np.float64).parameters()} == {np.dtype(np.float64)}


def test_modules_are_taken_out_as_pytorchs():
    for t in (torch, tv):
        nn = t.nn
        row = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
        assert isinstance(row.pop(1), nn.Tanh)
        assert isinstance(row.pop(-1), nn.Sigmoid)
        assert len(row) == 1
        several = nn.ModuleList([nn.ReLU(), nn.Tanh()])
        assert isinstance(several.pop(0), nn.ReLU)
        assert list(dict(several.named_children())) == ["0"]
        named = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
        named.update({"b": nn.Sigmoid(), "c": nn.Tanh()})
        assert isinstance(named.pop("b"), nn.Sigmoid)
        assert list(named.keys()) == ["a", "c"]
        named.clear()
        assert len(named) == 0


@pytest.mark.parametrize("kind", [lambda part: nn.ModuleList([part]), lambda part: nn.ModuleDict({"a": part})])
def test_what_is_no_module_is_refused_with_what_stands_for_nothing(kind):
    with pytest.raises(OptionError, match=r"expected modules, got NoneType.*nn\.Identity\(\)"):
        kind(None)


def test_without_one_module_the_others_are_numbered_anew():
    """Those with other names too."""
    named = []
    for library in (torch, tv):
        model = library.nn.Sequential(library.nn.ReLU(), library.nn.Tanh())
        model.add_module("last", library.nn.Linear(2, 2))
        del model[0]
        named.append([*model.state_dict()])
        model.add_module("last", library.nn.Linear(2, 2))
        model.pop(0)
        named[-1] += model.state_dict()
    assert named[0] == named[1] == ["1.weight", "1.bias", "0.weight", "0.bias", "1.weight", "1.bias"]
