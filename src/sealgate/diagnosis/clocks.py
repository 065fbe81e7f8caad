"""Compares clocks by the `Date` of responses (RFC 9110, section 6.6.1), which has whole seconds. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.diagnosis.checks import Area, Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

#: Seconds of difference from which on it is a warning, and a problem: Oracle Cloud refuses requests beyond 5 minutes.
WARNING_SECONDS: Final = 30.0
PROBLEM_SECONDS: Final = 300.0
_REMEDY: Final = (
    "synchronise the clocks (NTP) of this machine and of the other side: certificates, tokens and requests to KMSs "
    "depend on the time"
)


class Dated(NamedTuple):
    """A response with a date.

    Attributes:
        name: who sent it, escaped.
        date: the value of its `Date`; empty if it has none.
        sent: time of this machine before the request.
        received: time of this machine after the response.
    """

    name: str
    date: str
    sent: datetime
    received: datetime


def check_clocks(responses: Iterable[Dated]) -> list[Check]:
    """Return a check of each clock that differs, and one for all others; empty if no response has a valid date."""
    found: list[Check] = []
    right = 0
    for response in responses:
        seconds = _difference(response)
        if seconds is None:
            continue
        if abs(seconds) < WARNING_SECONDS:
            right += 1
            continue
        outcome = Outcome.WARNING if abs(seconds) < PROBLEM_SECONDS else Outcome.PROBLEM
        where = "ahead of" if seconds > 0 else "behind"
        message = f"its clock is {abs(seconds):.0f} s {where} that of this machine"
        found.append(Check(Area.CLOCK, response.name, outcome, message, _REMEDY))
    if right:
        clocks = f"{right} clock{'' if right == 1 else 's'}"
        message = f"{clocks} within {WARNING_SECONDS:.0f} s of that of this machine"
        found.append(Check(Area.CLOCK, "clocks", Outcome.OK, message))
    return found


def _difference(response: Dated) -> float | None:
    """Return by how many seconds a clock is certainly ahead, or (negative) behind; None without a valid date."""
    try:
        date = parsedate_to_datetime(response.date)
        ahead = (date - response.received).total_seconds()
        behind = (date - response.sent).total_seconds() + 1
    except (ValueError, TypeError, OverflowError):  # TypeError: the date has no time zone
        return None
    return ahead if ahead > 0 else min(behind, 0.0)
