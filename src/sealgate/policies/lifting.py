"""What exceptions lift. Pure.

An exception is applied after the verdict, so that everything is verified as without it: the message, the log and the
Event say what it lifted. It lifts a verdict that is *deny* or *unavailable*, from any cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealgate.clocks import timestamp
from sealgate.messages import quote, quote_image, shorten
from sealgate.policies.decisions import MAX_MESSAGE, Verdict

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict

#: The most characters of an exception's reason, and of the name of who made it, in a message.
_MAX_REASON: Final = 120


def lift(verdict: ImageVerdict, clock: Clock) -> ImageVerdict:
    """Return the verdict for an image under the exceptions that cover it: a warning instead of a denial.

    Args:
        verdict: the verdict under the policies.
        clock: the time, which says which exceptions are in force.
    """
    if verdict.verdict not in (Verdict.DENY, Verdict.UNAVAILABLE):
        return verdict
    used = next((exception for exception in verdict.exceptions if exception.in_force(clock)), None)
    if used is None:
        return verdict
    image = f"{quote_image(verdict.image)}: "
    reference = verdict.reference
    # Only patterns over tags need the tag, and only a registry can say what it names.
    as_written = verdict.subject is None and reference is not None and not used.covers(reference, None)
    note = "; the tag counts as written, since the registry has not said what it names" if as_written else ""
    message = (
        f"admitted by exception {used.name} of {quote(used.requested_by, _MAX_REASON)} until {timestamp(used.ends_at)} "
        f"({quote(used.reason, _MAX_REASON)}){note}; without it: {verdict.message.removeprefix(image)}"
    )
    return replace(
        verdict, verdict=Verdict.WARN, message=shorten(image + message, MAX_MESSAGE), cached=None, exception=used
    )
