"""Baselines as sets, and what they depend on; progress of runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.api.v1alpha1.signing_baseline import MAX_ENTRIES, baseline_entry
from sealgate.api.v1alpha1.signing_status import RunStatus
from sealgate.references import Repository
from sealgate.signing.discovery import CoveredTag
from sealgate_operator.worker.baselines import Baseline, baseline_key, catalog_entry
from sealgate_operator.worker.run_progress import RunProgress, after_checkpoint
from tests.support.environments.signing_policies import spec_model

ENTRIES = st.binary(min_size=16, max_size=16)


@given(st.lists(ENTRIES), ENTRIES)
def test_baseline_is_the_set_of_its_entries(entries: list[bytes], other: bytes) -> None:
    baseline = Baseline.of(entries)
    assert len(baseline) == len(set(entries))
    assert all(entry in baseline for entry in entries)
    assert (other in baseline) == (other in entries)
    assert b"".join(baseline.parts) == baseline.data
    assert baseline.checksum == Baseline.of(reversed(entries)).checksum


def test_large_baseline_is_split_over_objects() -> None:
    baseline = Baseline.of(number.to_bytes(16, "big") for number in range(MAX_ENTRIES + 1))
    assert [len(part) for part in baseline.parts] == [MAX_ENTRIES * 16, 16]


def test_catalog_is_noted_as_no_tag_is() -> None:
    assert catalog_entry("r.example.org") != baseline_entry("r.example.org", "", "catalog")
    assert Baseline.of([catalog_entry("r.example.org")]).has_catalog("r.example.org")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"description": "another"}, True),
        ({"tagsPerMinute": 10}, True),
        ({"trigger": "Manual"}, True),
        ({"images": [{"repository": "registry.example.org/other"}]}, False),
        ({"excludeImages": [{"repository": "registry.example.org/shop/dev"}]}, False),
        ({"cosign": {"storage": "Bundle"}}, False),
        ({"key": {"secretRef": {"name": "other", "key": "key.pem"}}}, False),
        ({"algorithm": "ECDSA_SHA_256"}, False),
    ],
)
def test_baseline_depends_on_images_key_and_format(change: dict[str, Any], *, same: bool) -> None:
    fields = dict(change)
    key = fields.pop("key", None)
    assert (baseline_key(spec_model(key, **fields)) == baseline_key(spec_model())) is same


def tag(name: str) -> CoveredTag:
    return CoveredTag("r.example.org/app", name, Repository("r.example.org", "app"))


def progress() -> RunProgress:
    return RunProgress(RunStatus(id="a", state="Running", started_at="2026-01-01T00:00:00Z"), window=3)


def test_checkpoint_stays_before_the_first_tag_under_way() -> None:
    run = progress()
    first, second, third = (run.begin(tag(name), 1) for name in ("v1", "v2", "v3"))
    assert first is not None
    assert second is not None
    assert third is not None
    assert run.begin(tag("v4"), 0) is None
    run.end(second, "signed")
    assert run.status.checkpoint == ""
    run.end(first, "failed")
    assert run.status.checkpoint == "r.example.org/app:v2"
    assert after_checkpoint(run.status) == ("r.example.org/app", "v2")
    assert not run.wait(0)
    run.end(third, "already_signed")
    assert run.wait(0)
    counts = run.status.counts
    assert (counts.signed, counts.failed, counts.already_signed) == (1, 1, 1)
