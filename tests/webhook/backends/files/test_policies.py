"""Policies from files: loading, refusal and reload."""

from __future__ import annotations

import os
import resource
import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import PolicyError
from sealgate.http.settings import HostSettings
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.policies.decisions import UnmatchedImages
from sealgate_webhook.backends.files.policies import RETRY_SECONDS, PolicyFilesSource
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key
from tests.webhook.environment import namespace, write_objects
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment


def names_of(source: PolicyFilesSource) -> list[str]:
    policies = source.current()
    assert policies is not None
    return [policy.name for policy in policies.index.policies]


def source_of(environment: WebhookEnvironment, *paths: Path) -> PolicyFilesSource:
    return PolicyFilesSource(
        paths,
        UnmatchedImages.ADMIT,
        environment.clock,
        environment.metrics,
        environment.logger,
        KMSKeyCache(HostSettings(), environment.clock),
    )


def test_before_the_first_load_the_source_is_not_ready(environment: WebhookEnvironment) -> None:
    source = source_of(environment, environment.folder)
    assert source.current() is None
    assert source.problem()
    assert source.literal_hosts() == frozenset()
    assert source.get("shop").labels == {"kubernetes.io/metadata.name": "shop"}


def test_invalid_first_set_is_refused_with_every_problem(environment: WebhookEnvironment) -> None:
    environment.write(policy("a", "[", authenticators=("absent",)))
    source = source_of(environment, environment.folder)
    with pytest.raises(PolicyError) as caught:
        source.load()
    assert len(caught.value.problems) >= 2
    assert source.current() is None


def test_change_takes_effect_at_the_next_poll(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    assert not environment.validate(review(pod(image))).allowed
    environment.write(policy("some", f"{environment.registry.host}/other/*"))
    environment.source.poll()
    assert environment.validate(review(pod(image))).allowed
    assert names_of(environment.source) == ["some"]


def test_changed_key_takes_effect_despite_cached_findings(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(image))).allowed
    other = new_key("ECDSA P-256", "other")
    write_objects(environment.folder, authenticator("release", other), policy("all", f"{environment.registry.host}/**"))
    environment.source.poll()
    assert not environment.validate(review(pod(image))).allowed


def test_namespace_labels_are_read_from_the_files(environment: WebhookEnvironment) -> None:
    environment.write(policy("all", f"{environment.registry.host}/**"), namespace("shop", env="production"))
    assert environment.source.get("shop").labels["env"] == "production"
    environment.write(policy("all", f"{environment.registry.host}/**"), namespace("shop", env="test"))
    environment.source.poll()
    assert environment.source.get("shop").labels["env"] == "test"


def test_invalid_set_leaves_the_last_good_one_and_is_logged(environment: WebhookEnvironment) -> None:
    image = environment.push("team/app", "v1")
    assert not environment.validate(review(pod(image))).allowed
    environment.write(policy("broken", "{a", authenticators=("absent",)))
    environment.source.poll()
    assert not environment.validate(review(pod(image))).allowed
    assert environment.get("/readyz").status_code == 200
    (line,) = environment.lines("policies invalid; keeping the last valid ones")
    assert line["level"] == "error"
    assert any("absent" in problem for problem in line["problems"])
    assert environment.metric("sealgate_policy_reload_failures_total") == 1
    assert environment.metric("sealgate_policy_last_reload_successful") == 0


def test_invalid_set_is_logged_once(environment: WebhookEnvironment) -> None:
    assert environment.source.current()
    environment.write(policy("broken", "{a"))
    for _ in range(3):
        environment.source.poll()
    assert environment.metric("sealgate_policy_reload_failures_total") == 1


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again(environment: WebhookEnvironment) -> None:
    environment.clock = clock = FakeClock()
    file = environment.folder / "policies.json"
    source = source_of(environment, file)
    source.load()
    environment.write(policy("newer", "registry.example.com/**"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        source.poll()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert names_of(source) == ["all"]
    clock.advance(RETRY_SECONDS)
    source.poll()
    assert names_of(source) == ["newer"]


def test_invalid_set_is_retried_without_another_log_line(environment: WebhookEnvironment) -> None:
    environment.clock = clock = FakeClock()
    assert environment.source.current()
    environment.write(policy("broken", "{a"))
    for _ in range(3):
        environment.source.poll()
        clock.advance(RETRY_SECONDS)
    assert environment.metric("sealgate_policy_reload_failures_total") == 1


def test_corrected_set_is_loaded(environment: WebhookEnvironment) -> None:
    assert environment.source.current()
    environment.write(policy("broken", "{a"))
    environment.source.poll()
    environment.write(policy("mended", "registry.example.com/**"))
    environment.source.poll()
    assert names_of(environment.source) == ["mended"]
    assert environment.metric("sealgate_policy_last_reload_successful") == 1
    assert environment.metric("sealgate_policy_last_reload_success_timestamp_seconds") > 0


def test_deleted_files_leave_the_policies_in_force(environment: WebhookEnvironment) -> None:
    assert names_of(environment.source) == ["all"]
    (environment.folder / "policies.json").unlink()
    environment.folder.rmdir()
    environment.source.poll()
    assert names_of(environment.source) == ["all"]
    environment.write(policy("back", "registry.example.com/**"))
    environment.source.poll()
    assert names_of(environment.source) == ["back"]


def test_last_good_set_survives_any_reading_error(environment: WebhookEnvironment) -> None:
    """Even an unexpected exception does not end the watching."""

    class Breaking(FakeClock):
        broken = False

        def now(self) -> datetime:
            if self.broken:
                raise RuntimeError("an unforeseen fault")
            return super().now()

    clock = Breaking()
    environment.clock = clock
    assert names_of(environment.source) == ["all"]
    clock.broken = True
    environment.write(policy("newer", "registry.example.com/**"))
    environment.source.poll()
    assert names_of(environment.source) == ["all"]
    (line,) = environment.lines("policies unreadable; keeping the last valid ones")
    assert "an unforeseen fault" in line["exception"]


def test_unchanged_files_are_not_read_again(environment: WebhookEnvironment) -> None:
    assert environment.source.current()
    before = environment.source.current()
    environment.source.poll()
    assert environment.source.current() is before


def test_a_new_file_and_one_in_a_subfolder_are_seen(environment: WebhookEnvironment) -> None:
    assert environment.source.current()
    write_objects(environment.folder, policy("second", "registry.example.com/**"), file="second.json")
    environment.source.poll()
    assert names_of(environment.source) == ["all", "second"]
    write_objects(environment.folder / "more", policy("third", "registry.example.com/**"))
    environment.source.poll()
    assert names_of(environment.source) == ["all", "second", "third"]


def test_a_config_map_that_is_swapped_by_its_link_is_seen(environment: WebhookEnvironment, tmp_path: Path) -> None:
    """Replace a mounted ConfigMap like a kubelet: new directory, new link, rename over the old link."""
    mount = tmp_path / "mount"
    release = authenticator("release", environment.key)
    write_objects(tmp_path / "mount", file="unused")
    (mount / "unused").unlink()
    write_objects(mount / "..2026_1", release, policy("first", "registry.example.com/**"), file="p.json")
    (mount / "..data").symlink_to("..2026_1")
    (mount / "p.json").symlink_to("..data/p.json")
    source = source_of(environment, mount)
    source.load()
    assert names_of(source) == ["first"]
    write_objects(mount / "..2026_2", release, policy("newer", "registry.example.com/**"), file="p.json")
    os.utime(mount / "..2026_2" / "p.json", ns=(1, (mount / "..2026_1" / "p.json").stat().st_mtime_ns))
    (mount / "..data_tmp").symlink_to("..2026_2")
    (mount / "..data_tmp").rename(mount / "..data")
    source.poll()
    assert names_of(source) == ["newer"]


def test_folders_that_are_linked_in_a_circle_end(environment: WebhookEnvironment) -> None:
    (environment.folder / "again").symlink_to(environment.folder)
    assert names_of(environment.source) == ["all"]
    environment.source.poll()
    assert environment.metric("sealgate_policy_reload_failures_total") == 0


def test_watching_ends_on_request(environment: WebhookEnvironment) -> None:
    stop = threading.Event()
    watching = threading.Thread(target=environment.source.watch, args=(stop,))
    watching.start()
    stop.set()
    watching.join(100)
    assert not watching.is_alive()
