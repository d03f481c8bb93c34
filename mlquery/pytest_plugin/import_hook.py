"""Turns what a session does with MLflow first into a call of a function: the import of it, or a child process.

A child may import MLflow where this process never does. Nothing is imported here; a module that is there already has
been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

# The functions with which Python starts processes, by the module in which they are looked up.
_STARTERS: Final = (
    ("_posixsubprocess", "fork_exec"),
    ("subprocess", "_fork_exec"),
    *(("os", name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system")),
)


class AfterImport:
    """A finder of modules, in front of all others, that leaves everything to them.

    Args:
        name: Of the module.
        call: What is called when the module has been executed; its errors are those of the import.
    """

    def __init__(self, name: str, call: Callable[[], object]) -> None:
        self._name, self._call = name, call
        self._is_asking = False

    def install(self) -> None:
        """Wait for the import, or call at once if it is over."""
        sys.meta_path.insert(0, self)
        if sys.modules.get(self._name) is not None:
            self._call()

    def remove(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return what the other finders find, with a loader that calls afterwards."""
        if name != self._name or self._is_asking:
            return None
        self._is_asking = True
        try:
            others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
            found = (finder.find_spec(name, path, target) for finder in others or [PathFinder])
            spec = next((spec for spec in found if spec is not None), None)
        finally:
            self._is_asking = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Calling(spec.loader, self._call)  # type: ignore[assignment]
        return spec


class _Calling:
    """A loader that does what another one does, and then calls; the module never sees it."""

    def __init__(self, loader: Any, call: Callable[[], object]) -> None:
        self._loader, self._call = loader, call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module and call."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._call()


class BeforeChild:
    """Wraps the functions with which Python starts processes, until the first of them is called or this is removed.

    Args:
        call: What is called before the first child of this process starts; what it raises stops the child.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._originals: list[tuple[ModuleType, str, Callable[..., Any]]] = []

    def install(self) -> None:
        """Wait for the first child."""
        for module_name, name in _STARTERS:
            module = sys.modules.get(module_name)
            original = getattr(module, name, None)
            if module is not None and original is not None:
                self._originals.append((module, name, original))
                setattr(module, name, self._wrapped(module, name))

    def remove(self) -> None:
        """Stop waiting."""
        for module, name, original in self._originals:
            setattr(module, name, original)
        self._originals.clear()

    def _wrapped(self, module: ModuleType, name: str) -> Callable[..., Any]:
        def start(*arguments: Any, **keywords: Any) -> Any:
            if self._originals:
                self.remove()
                self._call()
            return getattr(module, name)(*arguments, **keywords)

        return start
