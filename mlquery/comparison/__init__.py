"""Compares runs and models, and answers the questions of the page about them."""
