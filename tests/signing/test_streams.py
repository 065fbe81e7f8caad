"""Many images signed as they come: within a rate, in order, and stopped between two of them."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from sealgate.references import Reference, Repository, parse_reference
from sealgate.signing import streams
from sealgate.signing.runs import SignedImage
from sealgate.signing.streams import SigningStream
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


def images(number: int) -> list[Reference]:
    return [Reference(Repository("registry.example.org", "shop/web"), f"v{each}", None) for each in range(number)]


class Bench:
    """Where images are signed; it records when each was begun."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.begun: list[float] = []

    def sign_one(self, reference: Reference, turn: AbstractContextManager[object]) -> SignedImage:
        with turn:
            return SignedImage(reference)

    def record(self, references: list[Reference]) -> None:
        stream = SigningStream(self.sign_one, self.clock, 300)

        def watched() -> Iterator[Reference]:
            for reference in references:
                yield reference
                self.begun.append(self.clock.monotonic())

        assert [each.reference for each in stream.sign(watched())] == references


def test_rate_holds_for_ten_minutes() -> None:
    bench = Bench()
    bench.record(images(3000))
    assert bench.clock.monotonic() == pytest.approx(2999 * 0.2)
    for start in range(0, 540, 30):
        assert sum(start <= moment < start + 60 for moment in bench.begun) <= 301


def test_results_come_in_the_order_of_the_images() -> None:
    first_may_end = threading.Event()
    order = images(3)

    def sign(reference: Reference, turn: AbstractContextManager[object]) -> SignedImage:
        del turn
        if reference == order[0]:
            first_may_end.wait(100)
        elif reference == order[2]:
            first_may_end.set()
        return SignedImage(reference)

    found = SigningStream(sign, FakeClock(), 300).sign(order)
    assert [each.reference for each in found] == order


def test_bounded_number_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONCURRENCY", 2)
    taken = count()
    bench = Bench()

    def endless() -> Iterator[Reference]:
        for number in taken:
            yield parse_reference(f"registry.example.org/shop/web:v{number}")

    found = SigningStream(bench.sign_one, bench.clock, 300).sign(endless())
    next(found)
    assert next(taken) <= 3


def test_no_image_is_begun_after_a_stop() -> None:
    bench = Bench()
    stream = SigningStream(bench.sign_one, bench.clock, 300)

    def stopped_before_the_third() -> Iterator[Reference]:
        for number, reference in enumerate(images(5)):
            if number == 2:
                stream.stop.set()
            yield reference

    assert [each.reference.tag for each in stream.sign(stopped_before_the_third())] == ["v0", "v1"]
    assert list(stream.sign(images(5))) == []


def test_images_of_one_repository_take_turns() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def sign(reference: Reference, turn: AbstractContextManager[object]) -> SignedImage:
        nonlocal inside, most
        with turn:
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
        return SignedImage(reference)

    assert len(list(SigningStream(sign, FakeClock(), 300).sign(images(50)))) == 50
    assert most == 1
