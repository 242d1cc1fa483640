"""The two tiers of tests: those of every change, and with MASKRF_LONG=1 (`make test-long`) everything."""

import os

LONG = bool(os.environ.get("MASKRF_LONG"))
KILLS = 100 if LONG else 3
"""Of one training, at random moments."""


def draws(long: int) -> int:
    """Return how often something random is tried: at most three times in the short tier."""
    return long if LONG else min(long, 3)
