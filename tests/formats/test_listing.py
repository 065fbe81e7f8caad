"""Listings of record services, independent of the service."""

from __future__ import annotations

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, VerificationError
from sealgate.formats.listing import MAX_PAGES, Page, list_records
from sealgate.messages import name_record
from sealgate.reasons import Reason
from tests.support.clocks import FakeClock


def soon(clock: FakeClock | None = None) -> Deadline:
    return Deadline.after(clock or FakeClock(), 30)


def test_pages_without_records_and_without_end_are_refused() -> None:
    asked: list[str] = []

    def fetch(token: str) -> Page:
        asked.append(token)
        return Page((), f"{len(asked)}")

    with pytest.raises(VerificationError) as caught:
        list(list_records(fetch, soon()))
    assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE
    assert len(asked) == MAX_PAGES


def test_time_ends_a_listing_between_two_pages() -> None:
    clock = FakeClock()

    def fetch(token: str) -> Page:
        clock.advance(20)
        return Page((token,), f"{token}x")

    records = list_records(fetch, soon(clock))
    assert [next(records), next(records)] == ["", "x"]
    with pytest.raises(DeadlineError):
        next(records)


def test_no_page_is_fetched_before_it_is_needed() -> None:
    records = list_records(lambda token: Page((1, 2), f"{token}x"), soon())
    assert [next(records), next(records), next(records)] == [1, 2, 1]


@pytest.mark.parametrize("name", [None, "", 5, {}])
def test_record_without_a_name_is_called_by_its_index(name: object) -> None:
    assert name_record(name, "record 1") == "record 1"


def test_untrusted_name_is_quoted() -> None:
    assert name_record("a\nb", "record 1") == r"a\nb"
