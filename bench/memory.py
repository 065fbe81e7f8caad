"""How much memory 100,000 cached findings take, in a process of its own.

The findings are those of private repositories: each says with whose credentials it was obtained.

python bench/memory.py
"""

from __future__ import annotations

import functools
import gc
import json
import subprocess
import sys
from pathlib import Path

SUBJECTS = 100_000


def resident_mib() -> float:
    """Return this process's resident memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def fill() -> None:
    """Import the webhook, cache 100,000 findings as verifications would, and print the memory before and after."""
    import sealgate_webhook.server.server  # noqa: F401 - the process that is measured is the webhook's
    from sealgate.clocks import Deadline, SystemClock
    from sealgate.findings import Finding, Outcome, SeenSignature
    from sealgate.keys.resolvers import FileKeys
    from sealgate.policies.decisions import UnmatchedImages
    from sealgate.policies.matching import Namespace
    from sealgate.reasons import Reason
    from sealgate.references import Repository
    from sealgate.registry.callers import access_of
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import NoCredentials
    from sealgate.trusted_state.stores import MemoryTrustedState
    from sealgate.verification.caches import FindingKey
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.observers import NullObserver
    from sealgate.verification.policy_sets import build_policy_set
    from sealgate.verification.requests import VerificationRequest
    from sealgate.verification.settings import VerifierSettings

    gc.collect()
    rest = resident_mib()
    keys = [f"sha256:{number:064x}" for number in range(7)]
    clock, client = SystemClock(), RegistryClient()
    settings = VerifierSettings(verified_seconds=3600)
    context = VerifierContext.assemble(client, clock, settings, NullObserver(), MemoryTrustedState())
    policies = build_policy_set([], [], lambda _: FileKeys({}), UnmatchedImages.ADMIT)
    deadline = Deadline.after(clock, 3600)
    cached = 0
    for number in range(SUBJECTS):
        digest = f"sha256:{number:064x}"
        fingerprint = keys[number % len(keys)]
        source = f"tag {digest.replace(':', '-')}.sig, layer 1"
        repository = Repository("registry.example.org", f"team-{number % 500}/app")
        request = VerificationRequest(policies, Namespace(f"team-{number % 500}"), NoCredentials(), deadline)
        caller = request.caller_at(client, repository)
        key = FindingKey("release", f"{0:064}", repository.name, digest, None)
        context.findings.put(
            key,
            Finding(
                "release",
                "cosign",
                Outcome.VERIFIED,
                Reason.VERIFIED,
                f"signed by {fingerprint}",
                (fingerprint,),
                (SeenSignature(source, Reason.VERIFIED, "verified", fingerprint),),
            ),
            caller,
            access_of({repository: (b"%032d" % (number % 500),)}),
        )
        cached += context.findings.needs_grant(key, caller)
    gc.collect()
    if cached != SUBJECTS:
        raise SystemExit(f"only {cached} findings are cached")
    print(json.dumps({"rest_mib": rest, "filled_mib": resident_mib()}))


@functools.cache
def measure() -> dict[str, float]:
    """Return MiB: the webhook's process at rest, and with 100,000 cached findings."""
    output = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output)
    return result


if __name__ == "__main__":
    fill()
