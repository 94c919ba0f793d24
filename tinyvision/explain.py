"""What in a picture a network's answer rests on: Grad-CAM, saliency, occlusion.

Each takes a model and pictures (N, C, H, W) and gives one map (N, H, W) for a class, by default the class with the
highest score. The model is used in evaluation mode and left exactly as it was: modes, gradients, running statistics.

A map is a hint, not a proof: `control` makes the same map with randomised weights, because a method that draws the
same edges for a network that knows nothing explains nothing (Adebayo et al., "Sanity checks for saliency maps", 2018),
and `agreement` says how alike the two are.
"""

from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from . import random
from .device import to_numpy
from .errors import OptionError, ShapeError
from .grad_mode import enable_grad, no_grad
from .nn import Conv2d
from .nn.module import Module
from .ops.checks import pair
from .tape import Variable
from .tensors.tensor import Tensor
from .types import IntOrPair


def grad_cam(
    model: Module, x: Any, layer: Module | str | None = None, target: Any = None, upsample: bool = True
) -> Tensor:
    """relu(Σ_c a_c · A_c), where A (N, C, h, w) is what `layer` puts out and a_c the mean of d(score)/dA_c.

    x (N, C, H, W)  ->  Tensor (N, H, W), enlarged bilinearly, or (N, h, w) with upsample=False; numbers from 0.
    `layer` is a module of the model or its dotted name, usually the last one before the pooling: "layer4" of a ResNet;
    None takes `last_convolution`.
    `target` is a class, one class for each picture, or None for the highest score. Raises OptionError for a layer that
    is not in the model or does not run exactly once, ShapeError, DtypeError. (Selvaraju et al., "Grad-CAM", 2017.)"""
    chosen = model.get_submodule(last_convolution(model, x)) if layer is None else _find(model, layer)
    seen = []

    def begin_here(module, inputs, output):
        """Let the record begin at this layer's output: nothing below it is needed."""
        seen.append(Tensor.of(output.array, requires_grad=True))
        return seen[-1].clone()  # what comes next may work in place, as VGG's ReLUs do

    with _at_rest(model), enable_grad():
        hook = chosen.register_forward_hook(begin_here)
        try:
            scores = _scores(model, _pictures(x))
        finally:
            hook.remove()
        if len(seen) != 1:
            raise OptionError(
                f"grad_cam: the layer ran {len(seen)} times in one forward pass, but exactly one output is needed; "
                f"choose another layer, or the module around it"
            )
        A = seen[0]
        if A.ndim != 4:
            raise ShapeError(f"grad_cam: the layer puts out {A.shape}, not (N, C, h, w); choose one before the flatten")
        _chosen(scores, target).sum().backward()
    share = A.grad.array.mean(axis=(2, 3), keepdims=True)  # (N, C, 1, 1)
    cam = np.maximum((share * A.array).sum(axis=1), 0)
    return Tensor.of(_enlarged(cam, x.shape[2:]) if upsample else cam)


def last_convolution(model: Module, x: Any) -> str:
    """The dotted name of the last convolution that puts out more than one pixel, or of the largest module around it
    whose output is of that size: "layer4" of a ResNet, "features.28" of VGG-16, whose `features` end with a pooling.

    x (N, C, H, W) are pictures that the model takes; it runs once. Raises OptionError if there is no convolution."""
    finished: list[tuple[Module, tuple[int, ...]]] = []  # in the order in which the modules put something out

    def note(module, inputs, output):
        if isinstance(output, Variable):
            finished.append((module, tuple(output.shape)))

    with _at_rest(model), no_grad():
        modules = {module: name for name, module in model.named_modules()}
        hooks = [module.register_forward_hook(note) for module in modules]
        try:
            _scores(model, _pictures(x))
        finally:
            for hook in hooks:
                hook.remove()
    runs = [module for module, _ in finished]
    once = [(module, shape) for module, shape in finished if len(shape) == 4 and runs.count(module) == 1]
    convolutions = [(m, shape) for m, shape in once if is_convolution(m) and shape[2] * shape[3] > 1]
    if not convolutions:
        raise OptionError(
            "grad_cam: no convolution puts out more than one pixel; name the layer, or use larger pictures"
        )
    last, shape = convolutions[-1]
    around = [m for m, other in once if other[2:] == shape[2:] and any(last is part for part in m.modules())]
    return modules[around[-1]]


def is_convolution(module: Module) -> bool:
    """Whether a layer is a convolution: a Conv2d, or a node of another engine's graph that computes one."""
    return isinstance(module, Conv2d) or getattr(module, "convolves", False) is True


def saliency(model: Module, x: Any, target: Any = None) -> Tensor:
    """max over channels of |d(score)/dx|: how much the score moves when this pixel is nudged.

    x (N, C, H, W)  ->  Tensor (N, H, W); `target` as in `grad_cam`. Raises ShapeError, DtypeError, OptionError.
    (Simonyan et al., "Deep inside convolutional networks", 2014.)"""
    pictures = Tensor.of(_pictures(x).array, requires_grad=True)
    with _at_rest(model), enable_grad():
        _chosen(_scores(model, pictures.clone()), target).sum().backward()  # the first layer may work in place
    return Tensor.of(np.abs(pictures.grad.array).max(axis=1))


def occlusion(
    model: Module, x: Any, target: Any = None, size: IntOrPair = 8, stride: IntOrPair | None = None, value: float = 0.0
) -> Tensor:
    """How much the score falls when a patch is covered, averaged for each pixel over the patches that cover it.

    x (N, C, H, W)  ->  Tensor (N, H, W), positive where the picture speaks for the class. Patches of `size` (one number
    or (height, width)) every `stride` pixels (half a patch by default) are set to `value`; the last ones are moved back
    so that the whole picture is covered. One forward pass for each patch. Raises OptionError, ShapeError.
    (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.)"""
    pictures = _pictures(x).array
    size = pair("occlusion", "size", size, 1)
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    stride = half if stride is None else pair("occlusion", "stride", stride, 1)
    H, W = pictures.shape[2:]
    if size[0] > H or size[1] > W:
        raise OptionError(f"occlusion: a patch of {size[0]}x{size[1]} does not fit into a picture of {H}x{W}")
    if any(step > side for step, side in zip(stride, size, strict=True)):
        raise OptionError(f"occlusion: with stride {stride} patches of {size} leave gaps; use a smaller stride")
    total, count = np.zeros_like(pictures[:, 0]), np.zeros_like(pictures[0, 0])
    with _at_rest(model), no_grad():
        scores = _scores(model, Tensor.of(pictures))
        target = scores.array.argmax(axis=1) if target is None else target
        before = _chosen(scores, target).array
        for top in _starts(H, size[0], stride[0]):
            for left in _starts(W, size[1], stride[1]):
                patch = (..., slice(top, top + size[0]), slice(left, left + size[1]))
                covered = pictures.copy()
                covered[patch] = value
                fall = before - _chosen(_scores(model, Tensor.of(covered)), target).array  # (N,)
                total[patch] += fall[:, None, None]
                count[patch] += 1
    return Tensor.of(total / count)


def control(
    method: Callable[..., Tensor], model: Module, x: Any, *, target: Any = None, seed: int = 0, **options: Any
) -> Tensor:
    """The map that `method` draws for a network of the same layers that knows nothing: `randomized(model, seed)`.

    method, x, options   as for the map itself: control(grad_cam, model, x, layer="layer4")
    target               by default the classes that `model` itself answers, so that both maps are of the same

    x (N, C, H, W)  ->  Tensor (N, H, W). What it shows, nothing that was learned has put there."""
    if target is None:
        with _at_rest(model), no_grad():
            target = _scores(model, _pictures(x)).array.argmax(axis=1)
    if isinstance(layer := options.get("layer"), Module):
        names = {module: name for name, module in model.named_modules()}
        options["layer"] = names.get(layer, layer)
    if method is grad_cam and options.get("layer") is None:
        options["layer"] = last_convolution(model, x)
    return method(randomized(model, seed), x, target=target, **options)


def randomized(model: Module, seed: int = 0) -> Module:
    """A copy of a model in which the numbers of every weight of two and more axes have changed places.

    Each layer keeps the numbers that it has, so its outputs stay of their size; what they had learned to say together
    is gone. Biases and the numbers of batch-norm, one for each channel, are left."""
    other = deepcopy(model)
    for name, parameter in other.named_parameters():
        if parameter.ndim >= 2:
            order = random.stream(seed, "randomized", name).permutation(parameter.array.size)
            flat = parameter.array.reshape(-1)
            parameter.array = flat[np.asarray(order, like=flat)].reshape(parameter.array.shape)
    return other


def agreement(maps: Any, others: Any) -> np.ndarray:
    """Spearman's rank correlation of maps (N, H, W) with others (N, H, W)  ->  float64 (N,), -1 to 1.

    1: the same places in the same order; about 0: nothing in common; NaN where a map is the same everywhere. Between a
    map and its control, much above 0 means that the map is drawn by the picture and the layers more than by what was
    learned. Raises ShapeError."""
    a, b = (to_numpy(m.array if isinstance(m, Variable) else np.asarray(m)) for m in (maps, others))
    if a.ndim != 3 or a.shape != b.shape:
        raise ShapeError(f"agreement: two arrays of maps (N, H, W) are compared, got {a.shape} and {b.shape}")
    return np.array([_correlation(_ranks(one.ravel()), _ranks(other.ravel())) for one, other in zip(a, b, strict=True)])


def _ranks(numbers):
    """The place of each number among all, equal ones sharing their mean place."""
    _, group, count = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[group]


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return (a * b).sum() / size if size > 0 else np.nan


@contextmanager
def _at_rest(model):
    """Evaluation mode and no gradients for parameters; afterwards everything is as before."""
    if not isinstance(model, Module):
        raise OptionError(f"expected a model, a Module, got {type(model).__name__}")
    modes = [(module, module.training) for module in model.modules()]
    wishes = [(p, p.requires_grad) for p in model.parameters()]
    try:
        for module, _ in modes:
            module.training = False
        for p, _ in wishes:
            p.requires_grad = False
        yield
    finally:
        for module, training in modes:
            module.training = training
        for p, wish in wishes:
            p.requires_grad = wish


def _find(model, layer):
    modules = dict(model.named_modules()) if isinstance(model, Module) else {}
    if isinstance(layer, str) and layer in modules:
        return modules[layer]
    if any(layer is module for module in modules.values()):
        return layer
    named = repr(layer) if isinstance(layer, str) else f"a {type(layer).__name__}"
    known = ", ".join(name for name in modules if name)
    raise OptionError(f"grad_cam: {named} is no layer of the model; its layers are {known[:300]}")


def _pictures(x):
    """x (N, C, H, W) as a Tensor outside of any recording."""
    x = x.detach() if isinstance(x, Tensor) else Tensor.of(x.array if isinstance(x, Variable) else x)
    if x.ndim != 4:
        hint = "; a single picture needs a batch axis: x[None]" if x.ndim == 3 else ""
        raise ShapeError(f"x must be pictures (N, C, H, W), got {x.shape}{hint}")
    return x


def _scores(model, x):
    scores = model(x)
    if scores.ndim != 2 or scores.shape[0] != x.shape[0]:
        raise ShapeError(f"the model must give scores (N, K) for pictures {x.shape}, it gave {scores.shape}")
    return scores


def _chosen(scores, target):
    """The score (N,) of the target class of every picture."""
    N, K = scores.shape
    if target is None:
        classes = scores.array.argmax(axis=1)
    else:
        classes = np.asarray(target.array if isinstance(target, Variable) else target, like=scores.array)
        if classes.dtype.kind not in "iu" or classes.shape not in ((), (N,)):
            raise OptionError(f"target: expected a class number, or one for each of {N} pictures, got {target!r}")
        if bool(((classes < 0) | (classes >= K)).any()):
            raise OptionError(f"target: the classes are 0 to {K - 1}, got {target!r}")
        classes = np.broadcast_to(classes, (N,))
    return scores[np.arange(N, like=scores.array), classes]


def _starts(length, size, stride):
    """Where patches begin: every `stride` pixels, and once where the last one just fits."""
    starts = list(range(0, length - size + 1, stride))
    return starts if starts[-1] == length - size else [*starts, length - size]


def _enlarged(maps, size):
    """Maps (N, h, w) at another size, bilinear, pixel centres as in PyTorch's align_corners=False."""
    for axis, n in ((1, size[0]), (2, size[1])):
        m = maps.shape[axis]
        place = np.clip((np.arange(n, dtype=maps.dtype, like=maps) + 0.5) * (m / n) - 0.5, 0, m - 1)
        low = np.floor(place).astype(int)
        part = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        maps = maps.take(low, axis) * (1 - part) + maps.take(np.minimum(low + 1, m - 1), axis) * part
    return maps
