"""What only a format finds wrong is reported at the field and line where it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import PolicyError
from sealgate.manifests.policies import load_standalone
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.signers.simple_signing import armored_key

if TYPE_CHECKING:
    from pathlib import Path

PEM = public_pem(new_key("ECDSA P-256", "format problems")).replace("\n", "\\n")
KEYRING = armored_key("ed25519").replace("\n", "\\n")
KEY_ID = "4a" * 32
SIGNATURES = ("simpleSigning:", "  store: {openshift: {}}")
#: By what is wrong: the lines of a spec, the last of which has the field that is wrong, and that field.
WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "keyring": ((*SIGNATURES, '  keyring: {inline: "text"}'), "simpleSigning.keyring"),
    "pinned key": (
        (*SIGNATURES, f"  fingerprints: [{'A' * 40}]", f'  keyring: {{inline: "{KEYRING}"}}'),
        "simpleSigning.keyring",
    ),
    "identity": (
        (
            *SIGNATURES,
            f'  keyring: {{inline: "{KEYRING}"}}',
            "  signedIdentity: {matchPolicy: ExactReference, exactReference: {reference: registry.example.org/app}}",
        ),
        "simpleSigning.signedIdentity",
    ),
    "condition": (
        (
            "cosign:",
            f'  keys: [{{pem: "{PEM}"}}]',
            "  attestations:",
            "    - {predicateType: slsa/v1}",
            '    - {predicateType: slsa/v1, conditions: ["predicate.("]}',
        ),
        "cosign.attestations[1]",
    ),
    "trust store": (
        ("notation:", '  trustedIdentities: ["*"]', "  trustStores:", "    ca:", '      - {pem: "text"}'),
        "notation.trustStores.ca[0]",
    ),
    "root of Notary": (("notary:", '  root: {pem: "text"}'), "notary.root"),
    "signer of Notary": (
        (
            "notary:",
            f"  root: {{keyId: {KEY_ID}}}",
            "  roles:",
            "    - name: targets/releases",
            "      keys:",
            f"        - {{keyId: {KEY_ID}}}",
            '        - {pem: "text"}',
        ),
        "notary.roles[0].keys[1]",
    ),
    "OpenPGP key": (
        (
            "grafeas:",
            "  server: https://grafeas.example.org",
            "  note: projects/qa/notes/build",
            "  keys:",
            f'    - {{pem: "{PEM}"}}',
            '    - {pgp: "text"}',
        ),
        "grafeas.keys[1]",
    ),
}


@pytest.mark.parametrize(("spec", "field"), WRONG.values(), ids=WRONG)
def test_problem_has_the_line_of_its_field(tmp_path: Path, spec: tuple[str, ...], field: str) -> None:
    head = "apiVersion: sealgate.dev/v1alpha1\nkind: Authenticator\nmetadata: {name: release}\nspec:\n"
    text = head + "\n".join(f"  {line}" for line in spec)
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_standalone([file])
    (problem,) = caught.value.problems
    assert (problem.field, problem.line) == (f"spec.{field}", text.count("\n") + 1)
    assert field not in problem.message
