"""Verdicts about images under converted policies, from a set of signers that have signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.convert.files import to_yaml
from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from tests.support.builders.policy_files import load_policy_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from sealgate.convert.results import Conversion

HEX = "4a" * 32


def index_of(conversion: Conversion, secrets: str = "") -> PolicyIndex:
    """Return the policies of a conversion, as the webhook reads them, with the Secrets that they name as YAML."""
    if not conversion.objects:
        return PolicyIndex(())
    return PolicyIndex(load_policy_texts({"converted.yaml": secrets + to_yaml(conversion)}).policies)


def admits(
    index: PolicyIndex,
    image: str,
    signed: AbstractSet[str],
    *,
    unmatched: str = "Deny",
    namespace: str = "shop",
    keys: Mapping[str, Iterable[str]] | None = None,
) -> bool:
    """Return whether an image is admitted, with or without a warning.

    Args:
        index: the policies.
        image: the image's reference.
        signed: names of the authenticators that verify.
        unmatched: what happens to images that no policy covers.
        namespace: of the pod.
        keys: fingerprints of the keys that verified, by authenticator; its name if it is not there.
    """
    reference = parse_reference(image)
    results = []
    for match in index.match(reference, Namespace(namespace)):
        findings = [
            Finding(
                name, "cosign", Outcome.VERIFIED, Reason.VERIFIED, "message", tuple((keys or {}).get(name, (name,)))
            )
            if name in signed
            else Finding(name, "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "message", ())
            for name in match.policy.authenticators
        ]
        results.append((match, findings))
    verdict = decide(image, reference, Digest(f"sha256:{HEX}"), results, UnmatchedImages(unmatched))
    return verdict.verdict is not Verdict.DENY
