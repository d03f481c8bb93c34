"""The emulated service: a store and a registry that answer every call in one dialect, through whichever door."""

from mlquery.backend.backend import Backend

__all__ = ["Backend"]
