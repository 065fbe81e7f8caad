"""Memory and CPU of keyless signatures: what the webhook needs more with them, and what one verification costs.

python bench/keyless.py
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memory import resident_mib

ROUNDS = 200


def measure() -> dict[str, float]:
    """Return MiB that keyless adds to the webhook at rest, and milliseconds of CPU for one signature of each kind."""
    output = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output)
    return result


def run() -> None:
    """Import the webhook, make an authenticator ready, verify signatures, and print what that took."""
    from tests.support.signers.sigstore import Recipe, make_sigstore

    import sealgate_webhook.server.server  # noqa: F401 - the process that is measured is the webhook's

    sigstore = make_sigstore()
    root = json.dumps(sigstore.trusted_root()).encode()
    recipes = {"rekor1": Recipe(), "rekor2": Recipe(log="rekor2", timestamp=True)}
    signed = {name: sigstore.sign(b"a message", recipe) for name, recipe in recipes.items()}
    gc.collect()
    rest = resident_mib()
    from sealgate.sigstore.identities import Identity, Matching
    from sealgate.sigstore.material import read_bundle_material
    from sealgate.sigstore.trusted_root import parse_trusted_root
    from sealgate.sigstore.verify import Keyless

    identity = Identity(Matching("https://.*"), Matching(".*@example[.]com"))
    rules = Keyless(parse_trusted_root(root), (identity,), require_log=True)
    costs = {}
    for name, made in signed.items():
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            rules.verify(read_bundle_material(made.material(), "0.3"), made.made.signature, b"a message", None)
            times.append(time.process_time() - began)
        costs[f"{name}_ms"] = statistics.median(times) * 1e3
    gc.collect()
    print(json.dumps({"more_mib": resident_mib() - rest, **costs}))


if __name__ == "__main__":
    run()
