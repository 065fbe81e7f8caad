"""The rate of signing without a budget, for each format, against simulators in the same process.

One signer signs one new image after the other: it looks for its signature, signs, stores, and reads back. The
simulators' own work is in the figures. So each is also given in units of the same run: raw signatures by the same key,
and plain requests to the same simulator.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.environments.grafeas import GrafeasEnvironment
from tests.support.environments.notary_signing import NotarySigning, only
from tests.support.environments.oracle import REPOSITORY as ORACLE_REPOSITORY
from tests.support.environments.oracle import OracleEnvironment
from tests.support.environments.simple_signing_signer import SigningEnvironment, secret_key
from tests.support.signers.private_keys import new_key
from tests.support.signers.signing_keys import LocalSigningKey
from tests.support.simulators.grafeas import NOTE
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, VERSION_ID, APIKey
from tests.support.simulators.registry import digest_of

from sealgate.clocks import Deadline, SystemClock
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.formats.grafeas.attestors import DetachedAttestor
from sealgate.formats.grafeas.sign import GrafeasSigner
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.formats.oracle.service import SignatureService
from sealgate.formats.oracle.sign import build_signer
from sealgate.formats.signing import SigningOutcome
from sealgate.formats.simple_signing.sign import SimpleSigner
from sealgate.formats.simple_signing.stores import OpenShiftStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulators.http import HTTPSimulator

    from sealgate.formats.signing import SigningResult

ROUNDS = 40
PAYLOAD = b"m" * 300


@dataclass(frozen=True, slots=True)
class SigningCost:
    """What one signing costs; medians.

    Attributes:
        seconds: of one image.
        requests: that one image needs.
        signature: seconds of the raw signature alone.
        request: seconds of one plain request to the same simulator.
    """

    seconds: float
    requests: float
    signature: float
    request: float

    @property
    def per_minute(self) -> float:
        """Images that one signer signs in a minute."""
        return 60 / self.seconds

    @property
    def in_signatures(self) -> float:
        """The cost of an image in raw signatures."""
        return self.seconds / self.signature

    @property
    def in_requests(self) -> float:
        """The cost of an image in plain requests."""
        return self.seconds / self.request


def measure() -> dict[str, SigningCost]:
    """Return what one signing costs in each format."""
    return {
        "cosign, .sig tag": _cosign(Storage.TAG),
        "cosign, referrer": _cosign(Storage.REFERRERS),
        "cosign, bundle": _cosign(Storage.BUNDLE),
        "simple signing": _simple_signing(),
        "notary": _notary(),
        "grafeas": _grafeas(),
        "oracle": _oracle(),
    }


def _cost(server: HTTPSimulator, sign: Callable[[int], SigningResult], raw: Callable[[], object]) -> SigningCost:
    """Sign images by their numbers; the first one opens connections and is not counted.

    What it is compared with is measured in turn with it, so that all of them share the machine's good and bad moments.
    """
    pool = urllib3.PoolManager()
    work: tuple[Callable[[int], object], ...] = (
        lambda number: _require_signed(sign(number)),
        lambda _: raw(),
        lambda _: pool.request("GET", f"{server.url}/v2/"),
    )
    for each in work:
        each(0)
    before = len(server.requests)
    timed = [[_time(each, number) for each in work] for number in range(1, ROUNDS + 1)]
    requests = (len(server.requests) - before) / ROUNDS - 1
    seconds, signature, request = map(statistics.median, zip(*timed, strict=True))
    return SigningCost(seconds, requests, signature, request)


def _time(work: Callable[[int], object], number: int) -> float:
    began = time.perf_counter()
    work(number)
    return time.perf_counter() - began


def _require_signed(result: SigningResult) -> None:
    if result.outcome is not SigningOutcome.SIGNED:
        sys.exit(f"{result.location} was {result.outcome}: nothing was measured")


def _deadline() -> Deadline:
    return Deadline.after(SystemClock(), 60)


def _cosign(storage: Storage) -> SigningCost:
    with CosignEnvironment() as environment:
        key = LocalSigningKey(new_key("ECDSA P-256"))
        signer = CosignSigner(key, storage)

        def sign(number: int) -> SigningResult:
            return environment.sign(
                signer, environment.image(environment.registry.push_image(REPOSITORY, f"v{number}"))
            )

        return _cost(environment.registry, sign, lambda: key.sign(PAYLOAD, _deadline()))


def _simple_signing() -> SigningCost:
    with SigningEnvironment() as environment:
        key = secret_key()
        signer = SimpleSigner(key, OpenShiftStore())

        def sign(number: int) -> SigningResult:
            environment.digest = environment.registry.push_image("team/api", f"v{number}")
            return signer.sign(environment.here(f"v{number}"), environment.context())

        return _cost(environment.registry, sign, lambda: key.sign(PAYLOAD, _deadline()))


def _notary() -> SigningCost:
    with tempfile.TemporaryDirectory() as folder, NotarySigning(Path(folder)) as environment:
        keys = only(environment.delegated().alice)
        return _cost(
            environment.dtr,
            lambda number: environment.sign(f"v{number}", keys),
            lambda: keys.key.sign(PAYLOAD, _deadline()),
        )


def _grafeas() -> SigningCost:
    with GrafeasEnvironment() as environment:
        key = LocalSigningKey(new_key("RSA 2048"), "RSA_PSS_SHA_256")
        server = GrafeasServer(environment.server.url, None, "v1", NOTE, NOTE, "resourceUrl", None)
        signer = GrafeasSigner(server, "projects/prod", DetachedAttestor(key, "key-1"))

        def sign(number: int) -> SigningResult:
            return signer.sign(environment.image(digest=digest_of(b"%d" % number)), environment.context())

        return _cost(environment.server, sign, lambda: key.sign(PAYLOAD, _deadline()))


def _oracle() -> SigningCost:
    with OracleEnvironment() as environment:
        api_key = APIKey()
        environment.server.api_key = api_key
        environment.secrets = {"oci": api_key.secret}
        key = LocalSigningKey(new_key("RSA 2048"), "RSA_PSS_SHA_256", VERSION_ID)
        service = SignatureService(environment.server.url, None, COMPARTMENT, subtree=False)
        signer = build_signer(service, "oci", key, KEY_ID, region=REGION)

        def sign(number: int) -> SigningResult:
            digest = digest_of(b"%d" % number)
            environment.server.images = {f"ocid1.containerimage.oc1.phx.0.a.{number}": (digest, ORACLE_REPOSITORY)}
            return signer.sign(environment.image(digest=digest), environment.context())

        return _cost(environment.server, sign, lambda: key.sign(PAYLOAD, _deadline()))
