"""The trusted root that the operator fetches over TUF, from a repository that is really signed."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING

import pytest
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined] # its __all__ is computed

from sealgate.errors import ConfigError
from sealgate.sigstore.trusted_root import parse_trusted_root
from sealgate_operator.config import TUFConfig
from sealgate_operator.fetched_root.setup import root_keeper
from sealgate_operator.fetched_root.state import MAX_FILE_BYTES, Anchor
from tests.operator.controller.test_reconciler import put, says
from tests.operator.environment import AUTHENTICATORS, running
from tests.operator.fetched_root.environment import FETCHED, NAME, OTHER_ROOT, PATH
from tests.support.signers.keyless import ROOT
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate_operator.status.authenticators import Assessment
    from tests.operator.fetched_root.environment import FetchEnvironment
    from tests.support.simulators.kubernetes import KubernetesSimulator


def conditions(found: Assessment) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in found.status.conditions}


def test_fetched_root_is_in_the_status_of_authenticators(environment: FetchEnvironment) -> None:
    before = environment.assess()
    assert conditions(before)["Ready"] == ("False", "TrustedRootNotFetched")
    assert "TrustedRootCurrent" not in conditions(before)
    assert not before.stalled
    assert environment.keeper.round()
    found = environment.assess()
    assert conditions(found) == {"Ready": ("True", "KeysResolved"), "TrustedRootCurrent": ("True", "Fetched")}
    (key,) = found.status.keys
    assert key.source == "source Fetched"
    assert key.pem == parse_trusted_root(ROOT.encode()).document
    assert environment.changes == 1


def test_newer_root_replaces_the_last_one(environment: FetchEnvironment) -> None:
    environment.keeper.round()
    environment.repository.rotate("root", "timestamp")
    environment.repository.rotate("snapshot", "targets")
    environment.repository.publish(OTHER_ROOT.encode())
    assert environment.keeper.round()
    assert environment.known.trusted_root == OTHER_ROOT.encode()
    assert environment.changes == 2


def test_round_without_news_downloads_no_target_and_changes_nothing(environment: FetchEnvironment) -> None:
    environment.keeper.round()
    environment.repository.requests.clear()
    assert environment.keeper.round()
    assert environment.repository.paths == ["/2.root.json", "/timestamp.json"]
    assert environment.changes == 1


def test_last_good_root_goes_on_while_the_mirror_is_away_and_after_a_restart(environment: FetchEnvironment) -> None:
    environment.keeper.round()
    environment.restart()
    environment.repository.faults.status(".", 500)
    assert environment.known.trusted_root == ROOT.encode()
    assert not environment.keeper.round()
    found = environment.assess()
    assert conditions(found) == {"Ready": ("True", "KeysResolved"), "TrustedRootCurrent": ("False", "FetchFailed")}
    (current,) = (one for one in found.status.conditions if one.type == "TrustedRootCurrent")
    assert "goes on" in current.message
    assert "answers with status 500" in current.message
    assert environment.metric('sealgate_operator_reconcile_errors_total{kind="trusted-root"} 1.0')
    environment.repository.faults.clear()
    assert environment.keeper.round()
    assert conditions(environment.assess())["TrustedRootCurrent"] == ("True", "Fetched")


def test_metrics_say_when_it_was_fetched_and_when_the_metadata_expires(environment: FetchEnvironment) -> None:
    environment.repository.faults.status(".", 500)
    environment.keeper.round()
    name = "sealgate_operator_trusted_root_timestamp_seconds"
    assert environment.metric(f'{name}{{event="fetched"}} 0.0')
    environment.repository.faults.clear()
    environment.keeper.round()
    fetched = environment.known.fetched_at
    assert fetched is not None
    (timestamp,) = (
        Metadata.from_bytes(environment.stored[file].encode()).signed.expires for file in ("timestamp.json",)
    )
    sample = environment.metrics.registry.get_sample_value
    assert sample(name, {"event": "fetched"}) == fetched.timestamp()
    assert abs((sample(name, {"event": "expiry"}) or 0) - timestamp.timestamp()) <= 5


def test_root_is_not_used_before_it_is_stored(environment: FetchEnvironment) -> None:
    environment.cluster.faults.append(Fault("PUT", "configmaps", 500, times=1))
    assert not environment.keeper.round()
    assert environment.known.trusted_root is None
    assert environment.stored == {}
    assert environment.keeper.round()


@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_last_good_root_goes_on_while_the_config_map_cannot_be_used_after_a_restart(
    environment: FetchEnvironment, verb: str
) -> None:
    environment.keeper.round()
    before = environment.assess()
    environment.restart()
    environment.repository.publish(OTHER_ROOT.encode())
    environment.cluster.faults.append(Fault(verb, "configmaps", 500))
    assert not environment.keeper.round()
    found = environment.assess(before)
    assert conditions(found) == {"Ready": ("True", "KeysResolved"), "TrustedRootCurrent": ("False", "FetchFailed")}
    assert found.status.keys == before.status.keys
    environment.cluster.faults.clear()
    assert environment.keeper.round()
    assert environment.known.trusted_root == OTHER_ROOT.encode()
    assert environment.changes >= 2


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{}",
        "[]",
        '{"anchor": "x", "fetchedAt": "yesterday"}',
        '{"anchor": "x", "fetchedAt": "2026-11-30T00:00:00"}',
    ],
)
def test_damaged_state_is_not_begun_anew(environment: FetchEnvironment, state: str) -> None:
    environment.keeper.round()
    config_map = environment.cluster.get(PATH)
    environment.cluster.apply(PATH, {**config_map, "data": {**config_map["data"], "state.json": state}}, "test")
    before = environment.assess()
    environment.restart()
    assert not environment.keeper.round()
    found = environment.assess(before)
    assert conditions(found) == {"Ready": ("True", "KeysResolved"), "TrustedRootCurrent": ("False", "FetchFailed")}
    (current,) = (one for one in found.status.conditions if one.type == "TrustedRootCurrent")
    assert "damaged" in current.message


def test_full_disk_does_not_end_the_operator(
    environment: FetchEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.keeper.round()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        assert not environment.keeper.round()
    assert environment.known.trusted_root == ROOT.encode()
    assert "no temporary files can be written" in environment.known.problem
    assert environment.keeper.round()


def test_another_anchor_begins_anew(environment: FetchEnvironment) -> None:
    environment.keeper.round()
    environment.repository.initial += b"\n"
    environment.restart()
    assert environment.known.trusted_root is None
    assert environment.keeper.round()
    assert environment.known.trusted_root == ROOT.encode()


def test_shipped_metadata_is_signed_by_its_own_keys() -> None:
    metadata = Metadata[Root].from_bytes(Anchor.public_good().root)
    metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)


def test_root_metadata_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    big = tmp_path / "root.json"
    big.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    for file, message in ((tmp_path / "missing", "cannot be read"), (big, "larger than")):
        fields = {"configMap": "a", "mirror": "https://a", "rootFile": str(file), "refreshSeconds": 300}
        with pytest.raises(ConfigError, match=message):
            root_keeper(TUFConfig.model_validate(fields), "sealgate")


def test_operator_fetches_where_that_is_enabled(environment: FetchEnvironment, tmp_path: Path) -> None:
    cluster: KubernetesSimulator = environment.cluster
    put(cluster, FETCHED)
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/release", "False", "FetchingDisabled"))
    root = tmp_path / "root.json"
    root.write_bytes(environment.repository.initial)
    tuf = {"configMap": NAME, "mirror": environment.repository.url, "rootFile": str(root), "refreshSeconds": 300}
    registries = {"insecure": [environment.repository.host]}
    with running(cluster, identity="two", trustedRoots={"tuf": tuf}, registries=registries):
        cluster.wait_for(says(f"{AUTHENTICATORS}/release", "True", "KeysResolved"))
        assert "trusted root" in {thread.name for thread in threading.enumerate()}
    assert environment.stored["trusted_root.json"] == ROOT
