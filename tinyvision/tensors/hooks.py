"""What registering a hook returns, for one on a gradient as for one around the passes of a module."""

from typing import Any


class RemovableHook:
    """A hook that was registered: `remove()` takes it away again."""

    def __init__(self, hooks: Any, key: Any) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        if isinstance(self._hooks, dict):
            self._hooks.pop(self._key, None)
        elif self._key in self._hooks:
            self._hooks.remove(self._key)
