"""Experiments, runs, histories and artifacts in memory, by column. Never sees query text."""
