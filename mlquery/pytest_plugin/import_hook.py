"""Turns the import of a module, whoever makes it, into a call of a function right after it.

Nothing is imported here; a module that is there already has been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


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
