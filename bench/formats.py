"""One verification of each format, cold and from memory, against simulators in the same process.

The simulators' own work is in the cold figures, so read them beside each other, not as the cost of a format alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.environments.attestations import (
    GrafeasVerifierEnvironment,
    OracleVerifierEnvironment,
    grafeas_spec,
    oracle_spec,
    requiring,
)
from tests.support.environments.verifier import KEY, VerifierEnvironment
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic
from tests.support.signers.notary import certified
from tests.support.signers.private_keys import public_pem
from tests.support.signers.simple_signing import Signer, payload
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator

from sealgate.policies.decisions import Verdict
from sealgate.verification.verifier import Verifier

if TYPE_CHECKING:
    from sealgate.verification.policy_sets import PolicySet

ROUNDS = 30
WARM = 200
PATH = "team/app"


def measure() -> dict[str, tuple[float, float]]:
    """Return for each format milliseconds of a cold verification and of one from memory, medians."""
    return {
        "cosign, .sig tag": _cosign(bundle=False),
        "cosign, bundle": _cosign(bundle=True),
        "simple signing": _simple_signing(),
        "notary": _notary(),
        "grafeas": _grafeas(),
        "oracle": _oracle(),
    }


def _time(environment: VerifierEnvironment, image: str, policies: PolicySet) -> tuple[float, float]:
    def once(verifier: Verifier) -> float:
        began = time.perf_counter()
        (verdict,) = verifier.verify([image], environment.review(policies))
        seconds = time.perf_counter() - began
        if verdict.verdict is not Verdict.ADMIT:
            raise SystemExit(verdict.message)
        return seconds * 1e3

    cold = []
    for _ in range(ROUNDS):
        verifier = Verifier(environment.client, environment.clock)
        cold.append(once(verifier))
        verifier.close()
    return statistics.median(cold), statistics.median(once(environment.verifier) for _ in range(WARM))


def _cosign(*, bundle: bool) -> tuple[float, float]:
    with VerifierEnvironment(registry=RegistrySimulator()) as environment:
        digest = environment.registry.push_image(PATH, "v1")
        if bundle:
            push_bundle(environment.registry, PATH, BundleOf(digest, KEY))
        else:
            push_classic(environment.registry, PATH, Classic(digest, KEY))
        spec = {"cosign": {"keys": [{"pem": public_pem(KEY)}]}}
        return _time(environment, f"{environment.registry.host}/{PATH}@{digest}", requiring(spec))


def _simple_signing() -> tuple[float, float]:
    registry, signer = OpenShiftSimulator(), Signer()
    with VerifierEnvironment(registry=registry) as environment:
        digest = registry.push_image(PATH, "v1")
        image = f"{registry.host}/{PATH}"
        registry.sign(digest, signer.sign(payload(digest, f"{image}:v1")))
        keyring = {"keyring": {"inline": signer.public}, "store": {"openshift": {}}}
        return _time(environment, f"{image}@{digest}", requiring({"simpleSigning": keyring}))


def _notary() -> tuple[float, float]:
    registry, now = NotarySimulator(), datetime.now(UTC)
    with VerifierEnvironment(registry=registry) as environment:
        registry.push_image(PATH, "v1")
        gun = f"{registry.host}/{PATH}"
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=1))
        repository = registry.host_repository(NotaryRepository(gun, now, root))
        repository.sign_tag("v1", registry.manifest(PATH, "v1")[1], "targets")
        repository.publish()
        notary: dict[str, Any] = {"server": registry.url, "root": {"pem": root.certificate_pem}}
        return _time(environment, f"{gun}:v1", requiring({"notary": notary}))


def _grafeas() -> tuple[float, float]:
    with GrafeasVerifierEnvironment() as environment:
        digest = environment.push()
        environment.attest(digest)
        return _time(environment, f"{environment.name()}@{digest}", requiring(grafeas_spec(environment.server)))


def _oracle() -> tuple[float, float]:
    with OracleVerifierEnvironment() as environment:
        digest = environment.push()
        environment.sign(digest)
        image = f"{environment.server.host}/ansh81vru1zp/project01/acme-web-app@{digest}"
        return _time(environment, image, requiring(oracle_spec(environment.server)))
