"""How many examples a property test generates: all in CI, fewer where tests run after every change.

The profile of Hypothesis decides (`tests/conftest.py`): `make test` uses the quick one, `make coverage` the full one.
"""

from __future__ import annotations

from typing import Final

from hypothesis import settings

#: Examples of a test that does not say how many, in the full profile: Hypothesis' own default.
FULL: Final = 100
#: The same, in the quick profile.
QUICK: Final = 20


def examples(count: int) -> int:
    """Return how many examples to generate where the full profile generates a number of them.

    Args:
        count: examples of the full profile, at least 1.
    """
    profile = settings.default
    assert profile is not None, "Hypothesis always has a profile"
    return max(1, count * profile.max_examples // FULL)
