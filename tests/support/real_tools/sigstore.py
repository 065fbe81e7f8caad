"""A real sigstore on this machine: Fulcio, a CT log, Rekor of both versions, a TSA and an OpenID issuer.

`SEALGATE_SIGSTORE` names the program that starts them all and prints where they are; by default it is looked up beside
the checkout. cosign 3 signs with Rekor 1 or 2 into bundles, cosign 2 with Rekor 1 into classic layers.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

#: The program that starts a sigstore, whether or not it is there.
PROGRAM = Path(os.environ.get("SEALGATE_SIGSTORE") or Path(__file__).parents[4] / "shared" / "sigstore" / "sigstore")
WORKFLOW = "https://github.com/shop/app/.github/workflows/release.yml@refs/heads/main"


class SigstoreServices:
    """The services, up while the context is open.

    Args:
        home: a folder for cosign's state, and for that of the services.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._variables = {"HOME": str(home), "TUF_ROOT": str(home / "tuf"), "COSIGN_PASSWORD": "", "PATH": os.defpath}
        self._settings: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        try:
            exported = self._control("up")
        except BaseException:  # or a signal has ended the wait
            # What has started would keep its ports.
            self._control("down")
            raise
        lines = [shlex.split(line)[1:] for line in exported.splitlines() if line.startswith("export ")]
        self._settings = dict(item.split("=", 1) for line in lines for item in line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._control("down")

    @property
    def trusted_root(self) -> str:
        """The trusted root, JSON."""
        return Path(self._settings["TRUSTED_ROOT"]).read_text()

    def issuer(self, kind: str = "user", word: str = "default") -> str:
        """Return the issuer that certificates name: of people ("user") or of workflows ("ci")."""
        return f"{self._settings['OIDC_URL']}/{kind}/{word}"

    def sign(self, image: str, subject: str, *options: str, log: int = 2, command: str = "sign") -> None:
        """Sign an image, or attest something about it, with cosign 3: a bundle with a timestamp."""
        self._cosign(command, f"--identity-token={self._token(subject)}", *self._with_log(log), *options, image)

    def sign_with_key(self, image: str, key: str, log: int) -> None:
        """Sign an image with a key and cosign 3, with a log entry; see `new_key`."""
        self._cosign("sign", f"--key={key}.key", *self._with_log(log), image)

    def sign_classically(self, image: str, *signer: str, timestamp: bool = False, command: str = "sign") -> None:
        """Sign an image, or attest something about it, with cosign 2: a classic layer.

        Args:
            image: the reference.
            signer: the subject of an identity, or "--key=NAME.key"; and further options.
            timestamp: whether the layer has a timestamp too.
            command: "sign" or "attest".
        """
        by = [one if one.startswith("--") else f"--identity-token={self._token(one)}" for one in signer]
        stamped = [f"--timestamp-server-url={self._settings['TSA_URL']}"] if timestamp else []
        urls = [f"--fulcio-url={self._settings['FULCIO_URL']}", f"--rekor-url={self._settings['REKOR1_URL']}"]
        self._cosign(command, *by, *urls, *stamped, image, program="cosign2")

    def new_key(self, name: str) -> str:
        """Make a key pair and return the public half in PEM."""
        self._run([require_tool("cosign"), "generate-key-pair", f"--output-key-prefix={name}"])
        return (self._home / f"{name}.pub").read_text()

    def _with_log(self, log: int) -> tuple[str, str]:
        state = self._settings["SIGSTORE_STATE"]
        return f"--signing-config={state}/signing_config_rekor{log}.json", f"--trusted-root={state}/trusted_root.json"

    def _token(self, subject: str) -> str:
        return self._control("token", subject).strip()

    def _cosign(self, command: str, *options: str, program: str = "cosign") -> None:
        self._run([require_tool(program), command, "--yes", "--allow-http-registry", *options])

    def _control(self, *command: str) -> str:
        variables = {**os.environ, "SIGSTORE_STATE": str(self._home / "services")}
        return subprocess.run(
            [str(PROGRAM), *command], env=variables, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def _run(self, command: list[str]) -> None:
        trust = {name: value for name, value in self._settings.items() if name.endswith("_FILE") or "REKOR_PUB" in name}
        done = subprocess.run(
            command, cwd=self._home, env={**self._variables, **trust}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
