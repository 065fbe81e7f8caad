"""A toy format, added to a copy of the sources as CONTRIBUTING.md says."""

from __future__ import annotations

from tests.seams.additions import Addition

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

import json
from base64 import b64encode

ANNOTATION = "org.example.toy/signature"
CONFIG = b"{}"


def signature_tag(digest):
    return digest.replace(":", "-") + ".toy"


def build_manifest(config, signature):
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": len(CONFIG)},
        "layers": [],
        "annotations": {ANNOTATION: b64encode(signature).decode()},
    }
    return json.dumps(document).encode()
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
        "src/sealgate/formats/toy/sign.py": '''
"""Signing in the toy format: one signature for each image."""

from __future__ import annotations

from dataclasses import dataclass

from sealgate.errors import NotFoundError, SigningError
from sealgate.formats.read_back import sign_once
from sealgate.formats.signing import SigningResult
from sealgate.formats.toy.verify import ToyCheck
from sealgate.formats.toy.wire import CONFIG, build_manifest, signature_tag
from sealgate.keys.signing_keys import sign_verified
from sealgate.registry.interface import OCI_MANIFEST


@dataclass(frozen=True, slots=True)
class ToySigner:
    key: object
    format: str = "toy"

    @property
    def fingerprint(self):
        return self.key.public.fingerprint

    def lock_name(self, image):
        return image.reference.repository.name

    def sign(self, image, context):
        check = ToyCheck((self.key.public,), content="")
        store = lambda: self._store(image, signature_tag(image.digest), context)
        outcome, tag = sign_once(check, self.fingerprint, image, context.sources, store)
        public = self.key.public
        return SigningResult(outcome, self.fingerprint, public.version, public.algorithm.value, tag)

    def _store(self, image, tag, context):
        repository = image.reference.repository
        try:
            context.sources.registry.manifest(repository, tag)
        except NotFoundError:
            signature = sign_verified(self.key, image.digest.encode(), context.sources.deadline)
            body = build_manifest(context.writer.put_blob(repository, CONFIG), signature)
            context.writer.put_manifest(repository, tag, body, OCI_MANIFEST)
            return tag
        else:
            raise SigningError("another key has signed the image")
''',
        "src/sealgate/cli/inputs/signers/toy.py": '''
"""Signing in the toy format, which has no options of its own."""

from __future__ import annotations

from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signing_keys import open_signing_key
from sealgate.formats.toy.sign import ToySigner

INPUT = SignerInput("toy", (), lambda key, values: ToySigner(open_signing_key(key, "TOY_PASSWORD")))
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
        "src/sealgate/formats/build.py": [('    "oracle",', '    "toy",')],
        "src/sealgate/cli/inputs/signers/formats.py": [
            (
                "from sealgate.cli.inputs.signers import cosign, grafeas, notary, notation, oracle, simple_signing",
                "from sealgate.cli.inputs.signers import toy",
            ),
            ("    oracle.INPUT,", "    toy.INPUT,"),
        ],
    },
)
