"""Exceptions as functions: what they cover, when they are in force, what they lift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.api.v1alpha1.verification_exception import VerificationException
from sealgate.errors import PolicyError
from sealgate.policies.decisions import ImageVerdict, UnmatchedImages, Verdict, decide, require_digest
from sealgate.policies.exceptions import CompiledException, ExceptionIndex, compile_exception
from sealgate.policies.lifting import lift
from sealgate.references import Digest, parse_reference
from tests.support.builders.objects import exception
from tests.support.clocks import NOW, FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = timedelta(days=3)
DIGEST = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0b" * 32
APP = "registry.example.org/shop/app"


def compiled(*images: str | Mapping[str, Any], clock: FakeClock | None = None, **fields: Any) -> CompiledException:
    found = VerificationException.model_validate(exception("urgent", *images, **fields))
    return compile_exception(found, NOW, DAY, clock or FakeClock())


def denied(image: str, *exceptions: CompiledException, subject: str | None = None) -> ImageVerdict:
    reference = parse_reference(image)
    verdict = decide(image, reference, None if subject is None else Digest(subject), [], UnmatchedImages.DENY)
    index = ExceptionIndex(exceptions)
    tag = reference.effective_tag if reference.digest is None else None
    return ImageVerdict(
        **{name: getattr(verdict, name) for name in ImageVerdict.__slots__}
        | {"exceptions": index.match(reference, tag, "default")}
    )


@pytest.mark.parametrize(
    ("entry", "image", "tag", "covered"),
    [
        ({"repository": f"{APP}"}, f"{APP}:1", "1", True),
        ({"repository": f"{APP}"}, f"{APP}:1@{DIGEST}", None, True),
        ({"repository": "registry.example.org/*/app"}, f"{APP}:1", "1", True),
        ({"repository": "registry.example.org/*"}, f"{APP}:1", "1", False),
        ({"repository": "docker.io/library/nginx"}, "nginx", "latest", True),
        ({"repository": f"{APP}", "tags": ["1.*"]}, f"{APP}:1.2", "1.2", True),
        ({"repository": f"{APP}", "tags": ["1.*"]}, f"{APP}:2.1", "2.1", False),
        # Only a confirmed tag counts beside a digest.
        ({"repository": f"{APP}", "tags": ["*"]}, f"{APP}:1.2@{DIGEST}", None, False),
        ({"repository": f"{APP}", "tags": ["1.*"]}, f"{APP}:1.2@{DIGEST}", "1.2", True),
        ({"digest": DIGEST}, f"{APP}@{DIGEST}", None, True),
        ({"digest": DIGEST}, f"elsewhere.example.org/x:9@{DIGEST}", None, True),
        ({"digest": DIGEST}, f"{APP}@{OTHER}", None, False),
        # What the tag names when it is pulled may be another image.
        ({"digest": DIGEST}, f"{APP}:1", "1", False),
    ],
)
def test_coverage(entry: Mapping[str, Any], image: str, tag: str | None, covered: bool) -> None:  # noqa: FBT001 - expected
    assert compiled(entry).covers(parse_reference(image), tag) is covered


def test_it_holds_in_its_namespaces_only() -> None:
    index = ExceptionIndex([compiled(namespaces=["shop", "team-a"])])
    reference = parse_reference(f"{APP}:1")
    assert [len(index.match(reference, "1", name)) for name in ("shop", "team-a", "shop-2", "default", "")] == [
        1,
        1,
        0,
        0,
        0,
    ]


@given(st.text(max_size=80))
def test_it_holds_in_no_namespace_of_another_name(name: str) -> None:
    index = ExceptionIndex([compiled(namespaces=["shop"])])
    assert bool(index.match(parse_reference(f"{APP}:1"), "1", name)) == (name == "shop")


def test_a_denial_becomes_a_warning_that_says_who_until_when_and_what_is_lifted() -> None:
    verdict = lift(denied(f"{APP}:1", compiled(APP)), FakeClock())
    assert verdict.verdict is Verdict.WARN
    assert verdict.exception is not None
    assert verdict.message == (
        f"{APP}:1: admitted by exception urgent of alice until 2026-11-22T12:00:00Z (outage of the signer); "
        "without it: denied: no verification policy covers it in this namespace; write one that does, or one with "
        "action: Exempt"
    )


def test_a_tag_that_counts_as_written_is_said() -> None:
    entry = {"repository": APP, "tags": ["1"]}
    assert "the tag counts as written" in lift(denied(f"{APP}:1", compiled(entry)), FakeClock()).message
    known = lift(denied(f"{APP}:1", compiled(entry), subject=DIGEST), FakeClock())
    assert "as written" not in known.message


def test_an_admitted_image_uses_no_exception() -> None:
    reference = parse_reference(f"{APP}:1")
    admitted = decide(f"{APP}:1", reference, None, [], UnmatchedImages.ADMIT)
    assert lift(admitted, FakeClock()) is admitted


def test_the_demand_for_a_digest_is_lifted() -> None:
    assert require_digest(denied(f"{APP}:1", compiled(APP))).verdict is Verdict.DENY
    assert lift(require_digest(denied(f"{APP}:1", compiled(APP))), FakeClock()).verdict is Verdict.WARN


def test_it_ends_by_time() -> None:
    clock = FakeClock()
    found = compiled(clock=clock)
    clock.advance(86399)
    assert found.in_force(clock)
    clock.advance(1)
    assert not found.in_force(clock)
    assert lift(denied(f"{APP}:1", found), clock).verdict is Verdict.DENY


def test_the_next_exception_in_force_counts() -> None:
    clock = FakeClock()
    short = compiled(clock=clock, expires_at="2026-11-21T12:00:30Z")
    long = VerificationException.model_validate(exception("zlong"))
    verdict = denied(f"{APP}:1", short, compile_exception(long, NOW, DAY, clock))
    clock.advance(60)
    lifted = lift(verdict, clock)
    assert lifted.exception is not None
    assert lifted.exception.name == "zlong"


def test_offsets_of_time_zones_count() -> None:
    assert compiled(expires_at="2026-11-22T14:00:00+02:00").ends_at == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_an_exception_without_its_requester_is_refused() -> None:
    with pytest.raises(PolicyError, match="who made it"):
        compiled(requested_by=None)


@pytest.mark.parametrize("value", ["2026-13-01T00:00:00Z", "2026-11-22", "2026-11-22T12:00:00", "", "NaN"])
def test_what_is_not_a_time_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="expiresAt"):
        VerificationException.model_validate(exception(expires_at=value))
