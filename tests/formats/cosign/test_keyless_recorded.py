"""Keyless signatures that a real sigstore and the real cosign 3 and 2 made, verified without them.

`SEALGATE_SIGSTORE_FIXTURES` names a folder of other recordings: CI runs these tests over what it has just recorded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from sealgate.sigstore.certificates import signer_fingerprint
from tests.support.builders.cosign_layouts import entries, load_layout
from tests.support.environments.cosign import CosignEnvironment
from tests.support.real_tools.sigstore import WORKFLOW
from tests.support.signers.keyless import keyless_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.findings import Verified
    from sealgate.formats.interface import Image

RECORDED = Path(os.environ.get("SEALGATE_SIGSTORE_FIXTURES") or Path(__file__).parents[2] / "data" / "sigstore")
ROOT = (RECORDED / "trusted_root.json").read_text()
ISSUERS = json.loads((RECORDED / "issuers.json").read_text())
KEY = (RECORDED / "release.pub").read_text()
JANE = {"issuer": ISSUERS["user"], "subject": "jane@example.com"}
RELEASE = {"issuer": ISSUERS["ci"], "subject": WORKFLOW}
KEYLESS = ["bundle/rekor1", "bundle/rekor2", "bundle/annotated", "classic/rekor1", "classic/timestamp"]
KEYS = ["bundle/key-rekor1", "bundle/key-rekor2", "classic/key-rekor1"]
WORKFLOWS = ["bundle/workflow", "classic/workflow"]


@pytest.fixture(scope="module")
def recorded() -> Iterator[CosignEnvironment]:
    with CosignEnvironment(referrers_api=False) as made:
        load_layout(RECORDED / "recorded", made.registry)
        yield made


def image(environment: CosignEnvironment, repository: str) -> Image:
    digest = entries(RECORDED / "recorded")[f"{repository}:1"]["digest"]
    return environment.image(digest, f"{environment.registry.host}/{repository}")


def spec(*identities: dict[str, str], root: str = ROOT, **fields: Any) -> dict[str, Any]:
    rules = {"keyless": {"identities": list(identities)}} if identities else {"requireTransparencyLog": True}
    return {"cosign": {**rules, "trustedRoot": {"inline": root}, **fields}}


def verify(environment: CosignEnvironment, repository: str, rules: dict[str, Any]) -> Verified:
    return environment.ask(keyless_check(rules), image(environment, repository))


def refused(environment: CosignEnvironment, repository: str, rules: dict[str, Any], reason: Reason) -> None:
    environment.refused_by(keyless_check(rules), reason, image(environment, repository))


@pytest.mark.parametrize("repository", KEYLESS)
def test_identity_that_signed_verifies(recorded: CosignEnvironment, repository: str) -> None:
    found = verify(recorded, repository, spec(JANE))
    assert found.fingerprints == (signer_fingerprint(JANE["issuer"], JANE["subject"]),)
    refused(recorded, repository, spec({**JANE, "subject": "joe@example.com"}), Reason.IDENTITY_MISMATCH)
    refused(recorded, repository, spec({**JANE, "issuer": ISSUERS["ci"]}), Reason.IDENTITY_MISMATCH)


@pytest.mark.parametrize("repository", WORKFLOWS)
def test_facts_of_a_workflow_are_read(recorded: CosignEnvironment, repository: str) -> None:
    facts = {"sourceRepositoryRef": "refs/heads/main", "githubWorkflowRepository": "shop/app", "buildTrigger": "push"}
    verify(recorded, repository, spec({**RELEASE, **facts, "runnerEnvironment": "self-hosted"}))
    pattern = {"issuer": ISSUERS["ci"], "subjectRegExp": r"https://github\.com/shop/.*@refs/heads/main"}
    verify(recorded, repository, spec(pattern))
    refused(recorded, repository, spec({**RELEASE, **facts, "buildTrigger": "manual"}), Reason.IDENTITY_MISMATCH)


@pytest.mark.parametrize("repository", KEYS)
def test_key_in_the_log_verifies(recorded: CosignEnvironment, repository: str) -> None:
    keys = [{"pem": KEY}]
    assert verify(recorded, repository, spec(keys=keys)).fingerprints == (load_public_key(KEY).fingerprint,)
    verify(recorded, repository, {"cosign": {"keys": keys}})


@pytest.mark.parametrize("repository", ["attestation/rekor1", "attestation/rekor2"])
def test_attestation_is_not_a_signature(recorded: CosignEnvironment, repository: str) -> None:
    refused(recorded, repository, spec(RELEASE), Reason.TYPE_MISMATCH)


@pytest.mark.parametrize("repository", [*KEYLESS, *KEYS])
@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"])
def test_service_outside_its_period_is_not_trusted(recorded: CosignEnvironment, repository: str, kind: str) -> None:
    root = json.loads(ROOT)
    for service in root[kind]:
        key = service.get("publicKey", service)
        key["validFor"] = {**key["validFor"], "end": "2021-01-01T00:00:00Z"}
    by_key = repository in KEYS
    rules = spec(root=json.dumps(root), keys=[{"pem": KEY}]) if by_key else spec(JANE, root=json.dumps(root))
    unused = {"ctlogs", "certificateAuthorities"} if by_key else set()
    # Rekor 1 proves the time itself, so that the timestamp of an unknown TSA is not needed.
    unused |= set() if "rekor2" in repository or repository == "bundle/annotated" else {"timestampAuthorities"}
    if kind in unused:
        verify(recorded, repository, rules)
    else:
        refused(recorded, repository, rules, Reason.EXPIRED)


@pytest.mark.parametrize("repository", ["attestation/rekor1", "attestation/rekor2", "attestation/classic"])
def test_attestation_by_an_identity_is_met(recorded: CosignEnvironment, repository: str) -> None:
    required: dict[str, Any] = {
        "attestations": [{"predicateType": "https://slsa.dev/provenance/v1"}],
        "signatures": "NotRequired",
    }
    found = verify(recorded, repository, spec(RELEASE, **required))
    assert found.fingerprints == (signer_fingerprint(RELEASE["issuer"], RELEASE["subject"]),)
    refused(recorded, repository, spec({**RELEASE, "issuer": ISSUERS["user"]}, **required), Reason.IDENTITY_MISMATCH)
