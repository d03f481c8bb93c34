"""Searches of a store in a dialect: runs, experiments, models, counts, DataFrames, histories, pages, explanations."""
