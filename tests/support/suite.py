"""The conformance suite as every file of tests reads it, loaded once."""

from __future__ import annotations

from mlquery.conformance import load_suite

SUITE = load_suite()
