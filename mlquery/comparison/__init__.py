"""Comparing runs and models: what differs, groups and tests, importance, curves; pandas DataFrames come out."""

from mlquery.comparison.comparing import compare
from mlquery.comparison.reported import Comparison

__all__ = ["Comparison", "compare"]
