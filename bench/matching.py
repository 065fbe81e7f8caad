"""One image against many policies."""

from __future__ import annotations

import statistics
import time

from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.references import parse_reference

COUNTS = (100, 500, 1_000, 2_000, 5_000)
SHAPES = (
    "registry-{n}.example.org/team-{n}/**",
    "registry.example.org/team-{n}/*",
    "registry.example.org/team-{n}/{{api,web}}-*",
    "*/team-{n}/**",
    "**/app-{n}",
)


def policies(count: int) -> list[VerificationPolicy]:
    """Return policies of all shapes of patterns, those that begin with a wildcard included."""
    return [
        VerificationPolicy.model_validate(
            {
                "apiVersion": "sealgate.dev/v1alpha1",
                "kind": "VerificationPolicy",
                "metadata": {"name": f"policy-{n}"},
                "spec": {
                    "images": [{"repository": SHAPES[n % len(SHAPES)].format(n=n)}],
                    "require": {"authenticators": ["release"]},
                },
            },
            strict=False,
        )
        for n in range(count)
    ]


def measure(count: int) -> dict[str, float]:
    """Return milliseconds: to compile the index of so many policies, and to match one image, another one each time."""
    objects = policies(count)
    began = time.perf_counter()
    index = PolicyIndex(objects)
    compiled = time.perf_counter() - began
    namespace = Namespace("default", {"kubernetes.io/metadata.name": "default"})
    times = []
    for n in range(2_000):
        reference = parse_reference(f"registry.example.org/team-{n % count}/web-{n}:v1")
        began = time.perf_counter()
        matched = index.match(reference, namespace)
        times.append(time.perf_counter() - began)
        if n % count % len(SHAPES) == 1 and len(matched) != 1:
            raise SystemExit(f"matched {matched}")
    return {
        "compile_ms": compiled * 1e3,
        "match_p50_ms": statistics.median(times) * 1e3,
        "match_p99_ms": statistics.quantiles(times, n=100)[98] * 1e3,
    }
