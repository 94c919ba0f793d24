"""Modules that hold modules."""

from collections import OrderedDict

from ..errors import OptionError
from .module import Module


class Sequential(Module):
    """Calls its modules one after the other. Takes modules, or one OrderedDict of names and modules."""

    def __init__(self, *modules):
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], OrderedDict | dict) else enumerate(modules)
        for name, module in named:
            if not isinstance(module, Module):
                raise OptionError(f"Sequential: expected modules, got {type(module).__name__} at {name}")
            setattr(self, str(name), module)

    def forward(self, x):
        """x through all modules in order."""
        for module in self.children():
            x = module(x)
        return x

    def append(self, module):
        """Add a module at the end; returns self."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self):
        return len(self.named_children())

    def __iter__(self):
        return iter(self.children())

    def __getitem__(self, index):
        chosen = self.named_children()[index]
        return Sequential(OrderedDict(chosen)) if isinstance(index, slice) else chosen[1]


class ModuleList(Module):
    """A list of modules whose parameters count as the owner's (those in a plain Python list do not)."""

    def __init__(self, modules=()):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Add a module at the end; returns self."""
        if not isinstance(module, Module):
            raise OptionError(f"ModuleList: expected a module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self):
        return len(self.named_children())

    def __iter__(self):
        return iter(self.children())

    def __getitem__(self, index):
        return self.children()[index]
