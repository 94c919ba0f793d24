"""Building a network with or without pretrained weights, the same way for every network.

    @pretrainable(head="fc")
    def resnet18(**options): ...        # builds ResNet-18 with random weights

makes `resnet18(weights="IMAGENET1K_V1", num_classes=10)` of it, and enters it where `get_model` looks.
"""

from __future__ import annotations

import fnmatch
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast

from ..errors import OptionError, WeightsError
from ..nn.layers import BatchNorm2d
from ..nn.module import Module
from ..ops.checks import is_integer
from ..weights import load_arrays
from ..weights.hub import find_weights
from ..weights.published import published
from . import timm_layout
from . import weights as enumerations
from .weights import WeightsEnum

__all__ = ["get_model", "get_model_builder", "get_model_weights", "list_models"]

Model = TypeVar("Model", bound=Module)
Model_co = TypeVar("Model_co", bound=Module, covariant=True)

_ARGUMENTS = """

    weights      None for random ones; "DEFAULT", "IMAGENET1K_V1" or a member of the network's enumeration for published
                 ones, from the cache, a named file, or the network; or the path of a weight file, with torchvision's
                 names or timm's
    progress     show a bar while fetching
    num_classes  the size of the last layer (1000, or as in the file); where it is not the file's, everything but the
                 last layer is loaded
    pretrained   the old spelling: True means "IMAGENET1K_V1"
    options      what the network's class takes besides

    Raises WeightsError, DownloadError, OptionError."""


class Builder(Protocol[Model_co]):
    """What builds a network by name.

    head       the dotted name of its last layer
    top        the dotted name of what comes after the features: that layer, or more
    smallest   the side of the smallest images that it takes
    auxiliary  the last layers of heads that help in training only; the option aux_logits=False leaves them out"""

    __name__: str
    head: str
    top: str
    smallest: int
    auxiliary: tuple[str, ...]

    def __call__(
        self,
        weights: Any = None,
        progress: bool = True,
        *,
        num_classes: int | None = None,
        pretrained: bool | None = None,
        **options: Any,
    ) -> Model_co:
        """The network."""
        ...


_BUILDERS: dict[str, Builder[Any]] = {}


def pretrainable(
    head: str,
    *,
    top: str | None = None,
    smallest: int = 1,
    auxiliary: tuple[str, ...] = (),
    with_weights: Mapping[str, Any] = MappingProxyType({}),
    rename: Callable[[str], str] | None = None,
) -> Callable[[Callable[..., Model]], Builder[Model]]:
    """A decorator: it turns a function that builds a network of random weights into a `Builder` of the same name.

    head, top, smallest, auxiliary   see `Builder`
    with_weights  options that differ from the class's own where weights are loaded
    rename        maps the file's names to the model's"""

    def decorate(build: Callable[..., Model]) -> Builder[Model]:
        name = build.__name__

        def make(
            weights: Any = None,
            progress: bool = True,
            *,
            num_classes: int | None = None,
            pretrained: bool | None = None,
            **options: Any,
        ) -> Model:
            if num_classes is not None:
                if not is_integer(num_classes) or num_classes < 1:
                    raise OptionError(f"{name}: num_classes must be a positive integer, got {num_classes!r}")
                options["num_classes"] = num_classes
            weights = _chosen(name, weights, pretrained)
            if weights is None:
                return build(**options)
            path = Path(find_weights(name, weights, progress=progress))
            state = load_arrays(path)
            if rename is not None:
                state = {rename(key): value for key, value in state.items()}
            try:
                state, eps = timm_layout.translated(name, state, path)
            except WeightsError as error:
                raise WeightsError(f"{path.name}: {error}") from None
            last = state.get(f"{head}.weight")
            if last is None or last.ndim not in (2, 4):
                raise WeightsError(
                    f"{path.name}: no {head}.weight in this file, so it is no whole {name}; if it has all but the last "
                    f"layer: model = {name}(); model.load_state_dict(tinyvision.load(path), strict=False)"
                )
            model = build(**{"num_classes": len(last), **with_weights, **options})
            replaced = () if num_classes in (None, len(last)) else (head, *auxiliary)
            try:
                model.load_state_dict(_fitted(state, model.state_dict(), auxiliary, replaced))
            except WeightsError as error:
                raise WeightsError(f"{path.name}: {error}") from None
            if eps is not None:
                for norm in model.modules():
                    if isinstance(norm, BatchNorm2d):
                        norm.eps = eps
            return model

        builder = cast(Builder[Model], update_wrapper(make, build))
        del vars(builder)["__wrapped__"]  # signatures would be the inner function's
        builder.__doc__, builder.head, builder.top = f"{build.__doc__}{_ARGUMENTS}", head, top or head
        builder.smallest, builder.auxiliary = smallest, auxiliary
        _BUILDERS[name] = builder
        weights = enumerations.enumeration(name)  # torchvision's files of networks have them, too
        setattr(sys.modules[build.__module__], weights.__name__, weights)
        return builder

    return decorate


def _fitted(state: Any, own: Any, auxiliary: tuple[str, ...], replaced: tuple[str, ...]) -> dict[str, Any]:
    """A file's arrays without the auxiliary heads that the model lacks, and with the model's `replaced` layers."""
    parts = tuple(layer.partition(".")[0] + "." for layer in auxiliary)
    fitted = {key: value for key, value in state.items() if key in own or not key.startswith(parts)}
    names = [f"{layer}.{part}" for layer in replaced for part in ("weight", "bias")]
    return fitted | {key: own[key] for key in names if key in own}


def _chosen(name: str, weights: Any, pretrained: Any) -> Any:
    """The name or file that `weights` and `pretrained`, its old spelling, mean together; None for random weights."""
    if pretrained is not None:
        if not isinstance(pretrained, bool):
            raise OptionError(
                f"{name}: pretrained must be True or False, got {pretrained!r}; a file goes into weights="
            )
        if weights is not None:
            raise OptionError(f"{name}: give weights or pretrained, not both")
        weights = pretrained
    if isinstance(weights, bool):  # resnet18(True), an older spelling still
        new = '"IMAGENET1K_V1"' if weights else "None"
        newest = ' ("DEFAULT" are newer ones)' if weights and len(published(name)) > 1 else ""
        warnings.warn(f"{name}: pretrained is the old spelling of weights={new}{newest}", UserWarning, stacklevel=3)
        return "IMAGENET1K_V1" if weights else None
    if isinstance(weights, WeightsEnum):
        if weights.model != name:
            raise OptionError(f"{name}: {weights} are weights of {weights.model}")
        return weights.name
    if isinstance(weights, str) and "_Weights." in weights:
        return _chosen(name, enumerations.get_weight(weights), None)
    return weights


def get_model_builder(name: str) -> Builder[Any]:
    """What builds the network of that name. Raises OptionError for an unknown one."""
    found = _BUILDERS.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise OptionError(f"there is no model {name!r}; there are {', '.join(list_models())}")
    return found


def get_model(name: str, **options: Any) -> Module:
    """A network by name: get_model("resnet18", weights="DEFAULT"). Raises OptionError, WeightsError, DownloadError."""
    return get_model_builder(name)(**options)


def get_model_weights(name: str | Builder[Any]) -> type[WeightsEnum]:
    """The enumeration of a network's published weights, by its name or its function. Raises OptionError."""
    name = name if isinstance(name, str) else getattr(name, "__name__", repr(name))
    return enumerations.enumeration(get_model_builder(name).__name__)


def list_models(
    module: Any = None, include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[str]:
    """The names of all networks, in alphabetical order.

    module            only those of this module, for instance tinyvision.models.vgg
    include, exclude  patterns such as "resnet*", one or several"""

    def patterns(given):
        return [given] if isinstance(given, str) else list(given or ())

    names = [
        n for n, b in _BUILDERS.items() if module is None or module.__name__ in ("tinyvision.models", b.__module__)
    ]
    wanted, unwanted = patterns(include), patterns(exclude)
    return sorted(
        name
        for name in names
        if (not wanted or any(fnmatch.fnmatch(name, pattern) for pattern in wanted))
        and not any(fnmatch.fnmatch(name, pattern) for pattern in unwanted)
    )
