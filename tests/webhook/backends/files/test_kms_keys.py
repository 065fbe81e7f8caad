"""KMS keys in standalone mode: fetched in the background, used from the next reload, dropped when they expire."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import SealgateError, UnavailableError
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.kms.resolve import REFRESH_SECONDS
from sealgate.policies.decisions import UnmatchedImages
from sealgate_webhook.backends.files.policies import PolicyFilesSource
from tests.support.builders.objects import authenticator, policy
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.environments.registry_clients import settings_for
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.webhook.environment import write_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment


@pytest.fixture
def kms_environment() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(DEWSimulator) as kms_environment:
        kms_environment.add_key()
        yield kms_environment


@pytest.fixture
def keeper(kms_environment: KMSEnvironment) -> KMSKeyCache:
    return KMSKeyCache(settings_for(kms_environment.kms), kms_environment.clock)


@pytest.fixture
def source(
    environment: WebhookEnvironment, kms_environment: KMSEnvironment, keeper: KMSKeyCache, tmp_path: Path
) -> PolicyFilesSource:
    data = {name: value.decode() for name, value in kms_environment.secrets[SECRET].items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": data}
    release = authenticator("release", {"kms": {"huawei": kms_environment.source()}})
    write_objects(tmp_path / "kms", release, policy("all", "registry.example.org/**"), secret)
    source = PolicyFilesSource(
        [tmp_path / "kms"],
        UnmatchedImages.ADMIT,
        kms_environment.clock,
        environment.metrics,
        environment.logger,
        keeper,
    )
    source.load()
    return source


def problem_of(source: PolicyFilesSource) -> str:
    """Return why the authenticator is not ready; empty if it is."""
    policies = source.current()
    assert policies is not None
    check = policies.checks["release"]
    return check.message if isinstance(check, SealgateError) else ""


class OneLook(threading.Event):
    """Ends a thread's loop after its first round."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self.set()
        return True


def test_an_authenticator_gets_ready_once_its_key_was_read(source: PolicyFilesSource) -> None:
    policies = source.current()
    assert policies is not None
    assert isinstance(policies.checks["release"], UnavailableError)
    assert "not been asked for yet" in problem_of(source)
    source.keep_keys(OneLook())
    source.poll()
    assert problem_of(source) == ""


def test_disabled_key_is_dropped_at_the_next_reload(source: PolicyFilesSource, kms_environment: KMSEnvironment) -> None:
    source.keep_keys(OneLook())
    source.poll()
    assert isinstance(kms_environment.kms, DEWSimulator)
    kms_environment.kms.keys[kms_environment.key_id].state = "3"
    kms_environment.clock.advance(REFRESH_SECONDS)
    source.keep_keys(OneLook())
    source.poll()
    assert "the key is disabled" in problem_of(source)


def test_expired_key_is_dropped_without_other_changes(
    source: PolicyFilesSource, kms_environment: KMSEnvironment
) -> None:
    source.keep_keys(OneLook())
    source.poll()
    kms_environment.clock.advance(3 * REFRESH_SECONDS)
    source.poll()
    assert "has to be read again" in problem_of(source)


def test_unchanged_keys_cause_no_recompilation(source: PolicyFilesSource, kms_environment: KMSEnvironment) -> None:
    source.keep_keys(OneLook())
    source.poll()
    before = source.current()
    kms_environment.clock.advance(REFRESH_SECONDS)
    source.keep_keys(OneLook())
    source.poll()
    assert source.current() is before


def test_key_refresh_continues_after_any_error(
    source: PolicyFilesSource, keeper: KMSKeyCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "refresh", lambda _: 1 / 0)
    source.keep_keys(OneLook())
    monkeypatch.undo()
    source.keep_keys(OneLook())
    source.poll()
    assert problem_of(source) == ""
