"""Verdicts of notary Authenticators that are read from YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.clocks import Deadline, SystemClock
from sealgate.keys.resolvers import FileKeys
from sealgate.policies.decisions import Verdict
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.registry.credentials import NoCredentials
from sealgate.trusted_state.directory import DirectoryTrustedState
from sealgate.verification.policy_sets import build_policy_set
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.verifier import Verifier
from tests.support.builders.objects import policy_model
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate.policies.decisions import ImageVerdict
    from tests.support.environments.notary import NotaryEnvironment

AUTHENTICATOR = """
apiVersion: sealgate.dev/v1alpha1
kind: Authenticator
metadata: {name: dtr-admins}
spec:
  notary:
    server: %(server)s
    root:
      pem: |
        %(root)s
    roles:
      - name: targets/releases
        keys:
          - pem: |
              %(alice)s
      - name: targets/admin
        keys:
          - pem: |
              %(bob)s
"""


def authenticator(environment: NotaryEnvironment) -> Authenticator:
    pems = {
        "root": environment.root.certificate_pem,
        "alice": environment.alice.public_pem,
        "bob": environment.bob.certificate_pem,
    }
    blocks = {name: pem.strip().replace("\n", "\n              ") for name, pem in pems.items()}
    blocks["root"] = pems["root"].strip().replace("\n", "\n        ")
    return Authenticator.model_validate(yaml.safe_load(AUTHENTICATOR % {"server": environment.dtr.url, **blocks}))


def verdicts(environment: NotaryEnvironment, verifier: Verifier, *references: str) -> list[ImageVerdict]:
    policies = build_policy_set(
        [authenticator(environment)],
        [policy_model("production", authenticators=["dtr-admins"])],
        lambda _: FileKeys({}),
    )
    review = VerificationRequest(policies, Namespace("default"), NoCredentials(), Deadline.after(SystemClock(), 90))
    return list(verifier.verify([f"{environment.dtr.host}/dev/nginx{reference}" for reference in references], review))


def test_a_verdict_follows_the_tag_and_not_only_the_image(environment: NotaryEnvironment) -> None:
    """Two tags of one image: the signed one is admitted and the other is not, in either order, from memory too."""
    environment.dtr.tag("dev/nginx", "unsigned", environment.digest)
    verifier = Verifier(environment.client, FakeClock())
    expected = {":1.4": Verdict.ADMIT, ":unsigned": Verdict.DENY, f":1.4@{environment.digest}": Verdict.ADMIT}
    for references in (list(expected), list(reversed(expected)), list(expected)):
        found = [verdict.verdict for verdict in verdicts(environment, verifier, *references)]
        assert found == [expected[reference] for reference in references]
    verifier.close()


def test_refusal_has_a_reason_and_lists_the_signatures_seen(environment: NotaryEnvironment) -> None:
    verifier = Verifier(environment.client, FakeClock())
    (verdict,) = verdicts(environment, verifier, ":1.5")
    verifier.close()
    assert verdict.verdict is Verdict.DENY
    (finding,) = verdict.policies[0].findings
    assert (finding.format, finding.reason) == ("notary", Reason.NO_SIGNATURE)
    assert "targets/releases does not name the tag 1.5" in finding.message
    assert [seen.fingerprint for seen in finding.signatures] == [
        environment.alice.fingerprint,
        environment.bob.fingerprint,
    ]


def test_verifier_stores_versions_in_the_configured_state(environment: NotaryEnvironment, tmp_path: Path) -> None:
    old = environment.repository.copy()
    environment.repository.bump()
    environment.repository.publish()
    for repository, expected in ((environment.repository, Verdict.ADMIT), (old, Verdict.DENY)):
        environment.dtr.host_repository(repository)
        verifier = Verifier(environment.client, FakeClock(), state=DirectoryTrustedState(tmp_path))
        (verdict,) = verdicts(environment, verifier, ":1.4")
        verifier.close()
        assert verdict.verdict is expected, verdict.message
