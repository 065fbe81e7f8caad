"""A registry with images that are signed well, badly and not at all, and policies for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import fingerprint, new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.testing import Result

    from tests.support.simulators.registry import RegistrySimulator

RELEASE = new_key("ECDSA P-256", "release")
QA = new_key("ECDSA P-384", "qa")
STRANGER = new_key("ECDSA P-256", "stranger")
RELEASE_FINGERPRINT = fingerprint(RELEASE)


@dataclass(frozen=True)
class Shop:
    """A registry, the policies for it, and the digests of its images by name."""

    registry: RegistrySimulator
    policies: Path
    digests: Mapping[str, str]

    def image(self, name: str) -> str:
        """Return the reference of one of `signed`, `unsigned`, `foreign`, `copied`, `both`, `gone`."""
        return f"{self.registry.host}/shop/{name}:1.0"

    def verify(self, *args: object, stdin: str | bytes | None = None) -> Result:
        """Run `sealgate verify` with the policies, with the registry listed as insecure."""
        usual = ("--policies", self.policies, "--insecure-registry", self.registry.host)
        return sealgate("verify", *args, *usual, stdin=stdin)


def open_shop(registry: RegistrySimulator, folder: Path) -> Shop:
    """Fill a registry and write the policies."""
    digests = {name: registry.push_image(f"shop/{name}", "1.0", content=name.encode()) for name in _SIGNERS}
    for name, signers in _SIGNERS.items():
        signatures = [Classic(digests[name], key) for key in signers]
        if signatures:
            push_classic(registry, f"shop/{name}", *signatures)
    # A good signature, but of another image.
    tag = digests["copied"].replace(":", "-") + ".sig"
    push_classic(registry, "shop/copied", Classic(digests["signed"], RELEASE), tag=tag)
    policies = write(
        folder / "policies/shop.yaml",
        authenticator("release-key", public_pem(RELEASE)),
        authenticator("qa-key", public_pem(QA)),
        policy("shop", f"{registry.host}/shop/**", authenticators=["release-key"]),
    )
    return Shop(registry, policies.parent, digests)


_SIGNERS = {"signed": [RELEASE], "unsigned": [], "foreign": [STRANGER], "copied": [], "both": [STRANGER, QA, RELEASE]}
