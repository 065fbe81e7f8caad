"""The dearest policy objects that are accepted: CPU time of their validation, with all that a review of one does.

Each shape of object is made as large as the limits (`sealgate.policies.limits`) accept, by bisection.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.manifests.policies import object_problems
from sealgate.policies.limits import PatternCompiler
from sealgate_webhook.admission.policy_objects import policy_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

API = "sealgate.dev/v1alpha1"
#: More of anything than an object may have.
MOST = 20_000
RUNS = 5
BRACES = "{a,b}" * 7
RSA_BITS = 4096


def measure() -> dict[str, float]:
    """Return milliseconds of CPU for the dearest object of each shape that is accepted."""
    return {name: _milliseconds(make(_most(make))) for name, make in SHAPES.items()}


def _most(make: Callable[[int], dict[str, Any]]) -> int:
    """Return the largest number for which an object is accepted."""
    accepted, refused = 1, MOST
    while refused - accepted > 1:
        tried = (accepted + refused) // 2
        accepted, refused = (accepted, tried) if object_problems(make(tried)) else (tried, refused)
    return accepted


def _milliseconds(value: dict[str, Any]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        patterns = PatternCompiler()
        object_problems(value, patterns)
        if value["kind"] == "VerificationPolicy":
            policy_warnings(value, {}, datetime.now(UTC), patterns)
        times.append(time.process_time() - began)
    return min(times) * 1e3


def _policy(images: list[Any], exclude: list[Any] | None = None, **spec: dict[str, Any]) -> dict[str, Any]:
    require = {"authenticators": ["release"]}
    return _object("VerificationPolicy", {"images": images, "excludeImages": exclude or [], "require": require, **spec})


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "dear"}, "spec": spec}


def _repositories(count: int, pattern: str) -> list[dict[str, Any]]:
    return [{"repository": pattern.replace("#", str(number))} for number in range(count)]


def _tags(count: int, pattern: str) -> list[dict[str, Any]]:
    tags = [pattern.replace("#", str(number)) for number in range(count)]
    return [{"repository": "r.example.org/*", "tags": tags[first : first + 64]} for first in range(0, count, 64)]


def _keys(make: Callable[[], Any]) -> Callable[[int], dict[str, Any]]:
    keys = [
        make().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for _ in range(4)
    ]
    pem = [{"pem": key} for key in keys]
    return lambda count: _object("Authenticator", {"cosign": {"keys": (pem * count)[:count]}})


SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "images": lambda n: _policy(_repositories(n, "r#.example.org/team/*")),
    "long images": lambda n: _policy(_repositories(n, "r#.example.org/" + "a*" * 60)),
    "images and exclusions": lambda n: _policy(
        _repositories(n, "r.example.org/#/app"), _repositories(n, "r.example.org/#*/*")
    ),
    "images that every exclusion may match": lambda n: _policy(
        _repositories(n, "r.example.org/" + "a" * 40 + "#"), _repositories(n, "r.example.org/a*a*a#*")
    ),
    "braces": lambda n: _policy(_repositories(n, "r#.io/" + BRACES)),
    "braces and wildcards": lambda n: _policy(_repositories(n, "r#.io/" + BRACES + "*a*")),
    "braces of one pattern": lambda n: _policy(_repositories(n, "r#.io/{" + ",".join(map(str, range(100))) + "}")),
    "tags": lambda n: _policy(_tags(n, "v#*")),
    "tags with braces": lambda n: _policy(_tags(n, BRACES + "#")),
    "labels": lambda n: _policy(
        _repositories(1, "**"), namespaceSelector={"matchLabels": {f"k{number}": "v" for number in range(n)}}
    ),
    "label values": lambda n: _policy(
        _repositories(1, "**"),
        namespaceSelector={
            "matchExpressions": [
                {"key": "k", "operator": operator, "values": [f"v{number}" for number in range(n)]}
                for operator in ("In", "NotIn")
            ]
        },
    ),
    "annotations": lambda n: _object(
        "Authenticator",
        {
            "cosign": {
                "keys": [{"secretRef": {"name": "k", "key": "k"}}],
                "annotations": {f"a{number}": "b" for number in range(n)},
            }
        },
    ),
    "ECDSA keys": _keys(lambda: ec.generate_private_key(ec.SECP384R1())),
    "Ed25519 keys": _keys(ed25519.Ed25519PrivateKey.generate),
    "RSA keys": _keys(lambda: rsa.generate_private_key(65537, RSA_BITS)),
}
