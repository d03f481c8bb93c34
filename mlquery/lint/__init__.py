"""Finds the searches in Python files and notebooks, and says which of them fail or silently match nothing."""
