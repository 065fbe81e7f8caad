"""The status of an exception: in force, ended, or lifting nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import timestamp
from sealgate.policies.exceptions import MAX_IN_NAMESPACE
from sealgate_operator.status.exceptions import counting_exceptions, exception_status
from tests.support.builders.objects import exception
from tests.support.clocks import NOW
from tests.support.kstatus import kstatus

if TYPE_CHECKING:
    from datetime import datetime

LONGEST = timedelta(hours=72)


def ready(obj: dict[str, Any], now: Any = NOW) -> tuple[str, str]:
    status = exception_status(obj, now, LONGEST)
    condition = status.conditions[0]
    assert condition.type == "Ready"
    return condition.status, condition.reason


def stored(**fields: Any) -> dict[str, Any]:
    obj = exception(**fields)
    return obj | {"metadata": {"name": "urgent", "generation": 1, "creationTimestamp": timestamp(NOW)}}


LATE = {"everywhere": ["shop", "web"], "here": ["shop"]}


def named(name: str, namespaces: list[str], created: datetime) -> dict[str, Any]:
    obj = stored(namespaces=namespaces)
    return obj | {"metadata": {**obj["metadata"], "name": name, "creationTimestamp": timestamp(created)}}


def test_it_is_in_force_until_it_ends() -> None:
    obj = stored()
    assert ready(obj) == ("True", "InForce")
    assert ready(obj, NOW + timedelta(days=1)) == ("False", "Ended")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"requested_by": None}, "RequesterUnknown"), ({"namespaces": []}, "InvalidSpec"), ({"future": 1}, "InvalidSpec")],
)
def test_one_that_lifts_nothing_says_why(fields: dict[str, Any], reason: str) -> None:
    obj = stored(**fields)
    assert ready(obj) == ("False", reason)
    assert "lifts nothing" in exception_status(obj, NOW, LONGEST).conditions[0].message


def test_it_ends_when_the_webhook_ends_it() -> None:
    obj = stored(expires_at="9999-12-31T23:59:59Z")
    assert ready(obj, NOW + LONGEST - timedelta(seconds=1)) == ("True", "InForce")
    assert "exceptions.maxHours" in exception_status(obj, NOW, LONGEST).conditions[0].message
    assert ready(obj, NOW + LONGEST) == ("False", "Ended")


def test_one_beyond_the_bound_of_its_namespaces_says_so() -> None:
    """Those that were applied together were all admitted, and look as if they were in force."""
    first = [named(f"first-{number}", ["shop"], NOW) for number in range(MAX_IN_NAMESPACE)]
    everywhere, here = (named(name, where, NOW + timedelta(seconds=1)) for name, where in LATE.items())
    ended = named("a-ended", ["shop"], NOW - timedelta(hours=80))
    for objects, expected in (
        ([*first, everywhere, here, ended], [("True", "InForce"), ("False", "TooMany")]),
        ([*first[2:], everywhere, here, ended], [("True", "InForce"), ("True", "InForce")]),
    ):
        counting = counting_exceptions([*objects, {"metadata": {"name": "broken"}, "spec": 7}], NOW, LONGEST)
        found = [exception_status(obj, NOW, LONGEST, counting).conditions[0] for obj in (everywhere, here)]
        assert [(one.status, one.reason) for one in found] == expected
        assert ("not in shop, which has 50 exceptions" in found[0].message) is (objects[0] is first[0])


def test_one_that_was_deleted_and_has_finalizers_lifts_nothing() -> None:
    obj = stored()
    obj["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    assert ready(obj) == ("False", "Deleted")


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_an_end_beyond_the_calendar_is_an_invalid_spec(end: str) -> None:
    assert ready(stored(expires_at=end)) == ("False", "InvalidSpec")


def test_tools_that_wait_see_it_as_current_and_then_as_failed() -> None:
    obj = stored()
    for now, expected in ((NOW, "Current"), (NOW + timedelta(days=1), "Failed")):
        status = exception_status(obj, now, LONGEST).model_dump(mode="json", by_alias=True)
        assert kstatus(obj | {"status": status}) == expected
