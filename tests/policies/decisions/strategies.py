"""Any policies with any findings, for what must hold for all of them."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from sealgate.findings import Finding
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Match
from tests.policies.decisions.cases import IMAGE, REFERENCE, SUBJECT, policy, refused, unavailable, verified

SEVERITY = [Verdict.ADMIT, Verdict.WARN, Verdict.UNAVAILABLE, Verdict.DENY]
NAMES = ["a", "b", "c", "d"]
Result = tuple[Match, list[Finding]]


def _findings(name: str) -> st.SearchStrategy[Finding | None]:
    keys = st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=3, unique=True)
    return st.one_of(
        st.none(), st.just(refused(name)), st.just(unavailable(name)), keys.map(lambda found: verified(name, *found))
    )


# Strategies are made once: Hypothesis validates each new one, which takes longer than to draw from it.
_CHOSEN = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)
_COUNTS = {most: st.one_of(st.none(), st.integers(1, most)) for most in range(1, len(NAMES) + 1)}
_ACTIONS = st.sampled_from(["Enforce", "Warn", "Audit"])
_FINDINGS = {name: _findings(name) for name in NAMES}


@st.composite
def results_of(draw: st.DrawFn, name: str, action: str | None = None) -> Result:
    names = draw(_CHOSEN)
    count = draw(_COUNTS[len(names)])
    chosen = policy(name, *names, action=action or draw(_ACTIONS), count=count)
    return chosen, [finding for finding in (draw(_FINDINGS[each]) for each in names) if finding is not None]


_RESULTS = [results_of(f"policy-{i}") for i in range(4)]
SEVERAL = st.one_of([st.tuples(*_RESULTS[:count]) for count in range(1, 5)]).map(list)
UNMATCHED = st.sampled_from(list(UnmatchedImages))


def verdict_of(results: list[Result], unmatched: UnmatchedImages = UnmatchedImages.ADMIT) -> int:
    return SEVERITY.index(decide(IMAGE, REFERENCE, SUBJECT, results, unmatched).verdict)


def by_hand(keys: dict[str, list[str]]) -> int:
    """The largest number of authenticators, by trying every way of giving each one key or none."""
    ways = itertools.product(*([None, *found] for found in keys.values()))
    used = ([key for key in way if key is not None] for way in ways)
    return max(len(given) for given in used if len(given) == len(set(given)))
