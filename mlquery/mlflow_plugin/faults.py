"""Faults on demand: they belong to the store, so that every client of it meets them."""

from mlquery.store.faults import Faults

__all__ = ["Faults"]
