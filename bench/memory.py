"""How much memory 100,000 cached findings take, in a process of its own.

The findings are those of private repositories: each says with whose credentials it was obtained.

python bench/memory.py
"""

from __future__ import annotations

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
    from sealgate.clocks import SystemClock
    from sealgate.findings import Finding, Outcome, SeenSignature
    from sealgate.reasons import Reason
    from sealgate.references import Repository
    from sealgate.registry.callers import Caller, access_of
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import NoCredentials
    from sealgate.verification.caches import FindingCache, FindingKey
    from sealgate.verification.repository_caller import RepositoryCaller
    from sealgate.verification.settings import VerifierSettings

    gc.collect()
    rest = resident_mib()
    keys = [f"sha256:{number:064x}" for number in range(7)]
    cache = FindingCache(VerifierSettings(entries=SUBJECTS, verified_seconds=3600), SystemClock())
    client, caller = RegistryClient(), Caller(NoCredentials())
    for number in range(SUBJECTS):
        digest = f"sha256:{number:064x}"
        fingerprint = keys[number % len(keys)]
        source = f"tag {digest.replace(':', '-')}.sig, layer 1"
        repository = Repository("registry.example.org", f"team-{number % 500}/app")
        cache.put(
            FindingKey("release", f"{0:064}", repository.name, digest, None),
            Finding(
                "release",
                "cosign",
                Outcome.VERIFIED,
                Reason.VERIFIED,
                f"signed by {fingerprint}",
                (fingerprint,),
                (SeenSignature(source, Reason.VERIFIED, "verified", fingerprint),),
            ),
            RepositoryCaller(client, caller, repository),
            access_of({repository: (b"%032d" % (number % 500),)}),
        )
    gc.collect()
    if len(cache) != SUBJECTS:
        raise SystemExit(f"only {len(cache)} findings are cached")
    print(json.dumps({"rest_mib": rest, "filled_mib": resident_mib()}))


def measure() -> dict[str, float]:
    """Return MiB: the webhook's process at rest, and with 100,000 cached findings."""
    output = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output)
    return result


if __name__ == "__main__":
    fill()
