"""What the webhook does not import, so that it does not take memory for the life of the process."""

from __future__ import annotations

import subprocess
import sys

#: Tables and tracebacks in colour, gunicorn's HTTP for event loops, what signs, and formats that no policy has.
UNUSED = (
    "rich",
    "gunicorn.asgi",
    "nacl",
    "sealgate.signing.policies",
    "sealgate.formats.cosign",
    "sealgate.formats.grafeas",
    "sealgate.formats.notary",
    "sealgate.formats.notation",
    "sealgate.formats.oracle",
    "sealgate.formats.simple_signing",
    "sealgate.keys.openpgp",
    "sealgate.keys.private_keys",
)


def test_webhook_starts_without_what_only_people_and_signers_need() -> None:
    code = (
        "import sys, sealgate_webhook.server.server, sealgate_webhook.backends.files.backend, "
        f"sealgate_webhook.backends.cluster.backend; print([name for name in {UNUSED} if name in sys.modules]); "
        "import rich"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
