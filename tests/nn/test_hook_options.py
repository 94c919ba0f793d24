"""Hooks that want the options of a call, or a place in front; lists and dicts of parameters as they print."""

import pytest
import torch

import tinyvision as tv
from tinyvision.errors import OptionError


class Scaled:
    """A module of either engine whose forward has an option."""

    def __new__(cls, engine):
        class Module(engine.nn.Module):
            def forward(self, x, scale=1.0):
                return x * scale

        return Module()


def called(engine):
    module, log, x = Scaled(engine), [], engine.ones(2)
    double = module.register_forward_pre_hook(lambda m, a, k: ((a[0] * 2,), {**k, "scale": 5.0}), with_kwargs=True)
    module.register_forward_pre_hook(lambda m, a: log.append(("first", a[0].tolist())), prepend=True)
    module.register_forward_hook(lambda m, a, y: log.append(("last", y.tolist())))
    module.register_forward_hook(lambda m, a, k, y: y + k["scale"], with_kwargs=True, prepend=True)
    answers = [module(x, scale=3.0).tolist()]
    double.remove()
    answers.append(module(x, scale=3.0).tolist())
    return answers, log


def test_hooks_see_options_and_stand_in_front():
    assert called(tv) == called(torch)


def test_what_a_hook_cannot_have_is_refused():
    module = tv.nn.ReLU()
    with pytest.raises(OptionError, match="always_call"):
        module.register_forward_hook(print, always_call=True)
    module.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True)
    with pytest.raises(OptionError, match="with_kwargs gives None or"):
        module(tv.ones(1))


@pytest.mark.parametrize("shapes", [[], [(3,)], [(2,), (3, 4)]])
def test_parameters_in_lists_and_dicts_are_printed(shapes):
    def printed(engine):
        own = [engine.nn.Parameter(engine.ones(shape)) for shape in shapes]
        named = engine.nn.ParameterDict({f"p{i}": p for i, p in enumerate(own)})
        return repr(engine.nn.ParameterList(own)), repr(named), repr(engine.nn.Sequential(engine.nn.ParameterList(own)))

    assert printed(tv) == printed(torch)
