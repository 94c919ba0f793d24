"""Layers that only call a function: what they are is said by a function and the options that it takes.

    class ELU(Declared, function=functional.elu):
        alpha: float = 1.0
        inplace: bool = False

is the whole layer: the constructor takes the options, forward hands them to the function, print shows them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..module import Module

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform() -> Callable[[type], type]:
        """Tells type checkers that the annotations of a class below are the arguments of its constructor."""
        return lambda kind: kind


@dataclass_transform()
class Declared(Module):
    """A layer whose options are its annotations. `function` takes the inputs, and the options by their names."""

    function: ClassVar[Callable[..., Any]]
    names: ClassVar[tuple[str, ...]]  # of the options
    hidden: ClassVar[tuple[str, ...]] = ()  # options that print(model) leaves out
    bare: ClassVar[tuple[str, ...]] = ()  # options that it shows without their names

    def __init_subclass__(cls, function: Callable[..., Any] | None = None) -> None:
        super().__init_subclass__()
        if function is not None:
            cls.function = staticmethod(function)
            dataclass(eq=False, repr=False)(cls)
            cls.names = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]

    def options(self) -> dict[str, Any]:
        """The options by name, as the function takes them."""
        return {name: getattr(self, name) for name in self.names}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The function of the inputs."""
        return type(self).function(*inputs, **named, **self.options())

    def extra_repr(self) -> str:
        """The options as PyTorch shows them: inplace only where it is True."""
        shown = {name: value for name, value in self.options().items() if name not in self.hidden}
        if shown.get("inplace") is False:
            del shown["inplace"]
        return ", ".join(f"{value}" if name in self.bare else f"{name}={value}" for name, value in shown.items())
