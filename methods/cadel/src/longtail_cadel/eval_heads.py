"""How command lines and configurations say which heads predict."""

from __future__ import annotations

import argparse


def canonical_heads(said: str) -> str:
    """`last`, `all`, or numbers of heads with commas between them, ascending; 1 is the shallowest.

    Raises:
        ValueError: it is nothing of that.
    """
    if said in ("last", "all"):
        return said
    numbers = [each.strip() for each in said.split(",")]
    if not set(numbers) <= {"1", "2", "3"} or len(set(numbers)) < len(numbers):
        raise ValueError(f"must be last, all, or some of 1,2,3, each once, got {said}")
    return ",".join(sorted(numbers))


def heads(text: str) -> str:
    """The type of an argument that names heads, as `canonical_heads` has them."""
    try:
        return canonical_heads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
