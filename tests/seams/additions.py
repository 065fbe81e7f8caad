"""A toy format and a toy KMS provider, added to a copy of the sources as CONTRIBUTING.md says.

`FORMAT` and `PROVIDER` are the files that are new and the lines that are added to files that exist: nothing else is
touched. The copy runs in a process of its own, so that this process keeps the real sources.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import sealgate

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(sealgate.__file__).parents[2]


@dataclass(frozen=True)
class Addition:
    """What one new part adds.

    Attributes:
        files: new files, by their path.
        lines: by path of a file, an existing line and what is added after it.
    """

    files: Mapping[str, str]
    lines: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def touched(self) -> set[str]:
        """The paths of all files that it adds or changes, as CONTRIBUTING.md writes them."""
        return {path.replace("toy", "NAME") for path in (*self.files, *self.lines)}

    def apply(self, folder: Path) -> None:
        """Add it to a copy of the sources."""
        for path, content in self.files.items():
            file = folder / path
            assert not file.exists()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for path, additions in self.lines.items():
            file = folder / path
            text = file.read_text()
            for after, added in additions:
                assert text.count(f"{after}\n") == 1, (path, after)
                text = text.replace(f"{after}\n", f"{after}\n{added}\n")
            file.write_text(text)


def listed_sources(title: str) -> set[str]:
    """Return the source files that a section of CONTRIBUTING.md lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`((?:src|webhook|operator)/[^`]*\.py)`", section))


def copy_sources(folder: Path, *additions: Addition) -> None:
    """Copy the library, the webhook and the operator, and add to them."""
    for path in ("src/sealgate", "webhook/sealgate_webhook", "operator/sealgate_operator"):
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
    for addition in additions:
        addition.apply(folder)


def run_python(folder: Path, code: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python code with the copied sources."""
    path = os.pathsep.join(str(folder / part) for part in ("src", "webhook", "operator"))
    # The copy is not the code whose coverage is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


FORMAT = Addition(
    files={
        "src/sealgate/api/v1alpha1/toy.py": '''
"""The `toy` field of an `Authenticator`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.model import FormatSpec, KeySource, numbered


class ToySpec(FormatSpec):
    """Signatures over the digest, in the annotation of a manifest."""

    keys: tuple[KeyEntry, ...] = Field(min_length=1, max_length=64, description="Accepted keys.")

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        return numbered("keys", self.keys)
''',
        "src/sealgate/formats/toy/__init__.py": '"""The toy format: an annotation signs the digest."""\n',
        "src/sealgate/formats/toy/wire.py": '''
"""Name and content of what the toy format stores."""

ANNOTATION = "org.example.toy/signature"


def signature_tag(digest):
    return digest.replace(":", "-") + ".toy"
''',
        "src/sealgate/formats/toy/verify.py": '''
"""A toy authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import dataclass

from sealgate.errors import NotFoundError, VerificationError
from sealgate.formats.evidence import Evidence, verify_detached
from sealgate.formats.interface import hash_content
from sealgate.formats.signers import each_once, public_check_keys
from sealgate.formats.toy.wire import ANNOTATION, signature_tag
from sealgate.parsing.evidence import decode_base64
from sealgate.registry.manifests import parse_artifact_manifest


@dataclass(frozen=True, slots=True)
class ToyCheck:
    keys: tuple
    content: str
    format: str = "toy"
    depends_on_tag: bool = False
    named_hosts: frozenset = frozenset()

    def budget_host(self, image):
        return image.reference.repository.registry

    def keys_at(self, now):
        return each_once(public_check_keys(self.keys))

    def verify(self, image, sources):
        evidence = Evidence(sources.deadline, frozenset(key.fingerprint for key in self.keys))
        tag = signature_tag(image.digest)
        with evidence.source(tag):
            try:
                manifest = sources.registry.manifest(image.reference.repository, tag)
            except NotFoundError:
                return evidence.conclude("there is no toy signature")
            text = parse_artifact_manifest(manifest, "the manifest").annotations[ANNOTATION]
            signature = decode_base64(text, "the signature")
            stranger = VerificationError("no accepted key made it")
            evidence.judge(
                tag,
                lambda: verify_detached(self.keys, signature, image.digest.encode(), stranger),
                lambda signed: None,
            )
        return evidence.conclude("there is no toy signature")


def build(spec, keys):
    accepted = tuple(key for entry in spec.keys for key in keys.public_keys(entry))
    content = hash_content({"format": "toy", "keys": sorted(key.content for key in accepted)})
    return ToyCheck(accepted, content)
''',
    },
    lines={
        "src/sealgate/api/v1alpha1/authenticator.py": [
            (
                "from sealgate.api.v1alpha1.simple_signing import SimpleSigningSpec",
                "from sealgate.api.v1alpha1.toy import ToySpec",
            ),
            (
                (
                    "    oracle: OracleSpec | None = Field(default=None, description="
                    '"Signature records of Oracle Cloud\'s registry (OCIR).")'
                ),
                '    toy: ToySpec | None = Field(default=None, description="Toy signatures.")',
            ),
        ],
        "src/sealgate/formats/build.py": [
            (
                "from sealgate.formats.simple_signing import verify as simple_signing",
                "from sealgate.formats.toy import verify as toy",
            ),
            ('    "oracle": oracle.build,', '    "toy": toy.build,'),
        ],
    },
)

PROVIDER = Addition(
    files={
        "src/sealgate/kms/providers/toy.py": '''
"""The toy KMS: GET /<key ID> returns the public key."""

from __future__ import annotations

from sealgate.kms.interface import KMSKey
from sealgate.kms.responses import Call, ask_object, text


def fetch(source, secrets, services, clock):
    token = secrets.read(source.credentials_secret.name)["token"].decode()
    url = f"{source.endpoint}/{source.key_id}"
    call = Call("GET", url, {"authorization": f"Bearer {token}"}, None, None, source.credentials_secret.name)
    answer = ask_object(services, call, "the toy KMS")
    return (KMSKey("1", "ENABLED", text(answer, "pem", "the toy KMS"), text(answer, "kind", "the toy KMS")),)
''',
    },
    lines={
        "src/sealgate/api/v1alpha1/kms.py": [
            (
                '    oracle: OracleKMS | None = Field(default=None, description="Oracle Cloud Vault.")',
                '    toy: ToyKMS | None = Field(default=None, description="A toy.")',
            ),
            (
                (
                    '        """The only versions that are accepted; empty for every version."""\n'
                    "        return self.key_version_ids"
                ),
                '''

class ToyKMS(ProviderKey):
    """A key in the toy KMS."""

    key_id: HuaweiID = Field(description="ID of the key.")
    endpoint: Endpoint = Field(description="Address of the service.")
    credentials_secret: CredentialsSecret = Field(description="Secret with a token.")

    @property
    def name(self) -> str:
        return self.key_id

    @property
    def address(self) -> str | None:
        return self.endpoint

    @property
    def service(self) -> str:
        return self.endpoint
''',
            ),
        ],
        "src/sealgate/kms/resolve.py": [
            (
                "from sealgate.kms.providers import alibaba, huawei, oracle",
                "from sealgate.kms.providers import toy",
            ),
            ('    "oracle": oracle.fetch,', '    "toy": toy.fetch,'),
        ],
    },
)
