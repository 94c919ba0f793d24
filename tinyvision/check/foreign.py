"""A function of another library that knows its own derivative, as a pair (forward, backward) on NumPy arrays.

`torch.autograd.Function` and `jax.custom_vjp` hold what people write by hand, and are called by the engine they were
written for: the pair hands arrays over, and asks that engine for the gradients. Neither library is imported here; who
has such a function has imported it.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def pair_of(function: Any) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """(forward, backward) for a `torch.autograd.Function` or a `jax.custom_vjp`; None for anything else."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(function, type) and issubclass(function, torch.autograd.Function):
        return _of_torch(function, torch)
    if jax is not None and isinstance(function, jax.custom_vjp):
        return _of_jax(function, jax)
    return None


def _of_torch(function, torch):
    def forward(*arguments):
        given = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
        leaves = [t for t in given if torch.is_tensor(t)]
        for leaf in leaves:
            leaf.requires_grad_(leaf.is_floating_point())
        y = function.apply(*given)
        return y.detach().numpy(), (y, leaves)

    def backward(dy, cache):
        y, leaves = cache
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        upstream = torch.as_tensor(np.array(dy), dtype=y.dtype)
        given = iter(torch.autograd.grad(y, wanted, upstream, retain_graph=True, allow_unused=True))
        grads = [next(given) if leaf.requires_grad else None for leaf in leaves]
        return tuple(None if g is None else g.numpy() for g in grads)

    parameters = list(inspect.signature(function.forward).parameters.values())
    return _told(forward, function.forward, parameters[1:]), _told(backward, function.backward)


def _of_jax(function, jax):
    def forward(*arguments):
        places = [k for k, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]

        def of_floats(*floats):
            whole = list(arguments)
            for place, value in zip(places, floats, strict=True):
                whole[place] = value
            return function(*whole)

        with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
            y, pull = jax.vjp(of_floats, *[jax.numpy.asarray(arguments[k]) for k in places])
        arrays = [k for k, a in enumerate(arguments) if isinstance(a, np.ndarray)]
        return np.array(y), (pull, y.dtype, [k in places for k in arrays])

    def backward(dy, cache):
        pull, dtype, floating = cache
        with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
            given = iter(pull(jax.numpy.asarray(dy, dtype=dtype)))
        return tuple(np.array(next(given)) if is_float else None for is_float in floating)

    written = getattr(function, "fun", function)
    return _told(forward, written, list(inspect.signature(written).parameters.values())), _told(backward, written)


def _told(call, written, parameters=None):
    """`call` under the name and place of what was `written`, and with its parameters: findings point there.

    Options may come by name; the engines want all of them by place."""
    if parameters is None:
        functools.update_wrapper(call, written)
        call.__signature__ = inspect.Signature(
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("dy", "cache")]
        )
        return call
    signature = inspect.Signature(parameters)

    @functools.wraps(written)
    def bound(*arguments, **options):
        whole = signature.bind(*arguments, **options)
        whole.apply_defaults()
        return call(*whole.args)

    bound.__signature__ = signature  # type: ignore[attr-defined]
    return bound
