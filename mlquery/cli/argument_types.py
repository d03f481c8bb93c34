"""Turns the strings of options into numbers, or into the error that argparse shows."""

from __future__ import annotations

import argparse


def port(argument: str) -> int:
    """Return a TCP port."""
    if not argument.isascii() or not argument.isdigit() or int(argument) > 65535:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a port")
    return int(argument)


def count(argument: str) -> int:
    """Return a positive integer."""
    if not argument.isascii() or not argument.isdigit() or int(argument) == 0:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a positive integer")
    return int(argument)
