"""Signers of signing policies: keys from Secrets, from KMSs and from Authenticators, for every format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import InvalidKeyError, SealgateError, SigningError, UnavailableError, VerificationError
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.formats.notation.sign import EnvelopeType, NotationSigner
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.reasons import Reason
from sealgate.signing.policies import FORMATS, field_problems, named_hosts, open_signer
from tests.cli.keys import private_pem
from tests.support.builders.objects import authenticator_model
from tests.support.clocks import FakeClock
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.environments.signing_policies import access_to, spec_model
from tests.support.signers.notary import certified
from tests.support.signers.notation import NOW, YEAR, Authority
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.formats.signing import Signer

KEYS = Path(__file__).parents[1] / "data" / "openpgp_secret_keys"
GENERATED = generate_key(KeyType.ECDSA_P256)
PLAIN = write_private_key(GENERATED, None)
CERTIFIED, CERTIFICATES = Authority("root").issue("P-384")
PEMS = [each.public_bytes(Encoding.PEM).decode() for each in CERTIFICATES]
CHAIN = "".join(PEMS)
CERTIFIED_PEM = CERTIFIED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
NOTE = "projects/qa/notes/build"
GRAFEAS = {"server": "https://grafeas.example.org", "note": NOTE}
NOTARY = {"root": {"keyId": "4a" * 32}}
STORE = {"store": {"lookaside": {"url": "https://sigstore.example.org/store"}}}
ORACLE = {
    "region": "us-phoenix-1",
    "compartmentId": "ocid1.compartment.oc1..shop",
    "credentialsSecret": {"name": SECRET},
}


def opened(spec: SigningPolicySpec, secret: Mapping[str, bytes], **more: Any) -> Signer:
    return open_signer(spec, access_to({"release": secret}, **more), Deadline.after(SystemClock(), 20))


def in_kms(kms: KMSEnvironment, spec: SigningPolicySpec, *authenticators: Authenticator) -> Signer:
    access = access_to(kms.secrets, *authenticators, network=kms.client, clock=kms.clock)
    return open_signer(spec, access, kms.deadline())


class TestKeysInSecrets:
    def test_pem_key_signs_with_the_fields_of_the_policy(self) -> None:
        fields = {"storage": "Referrers", "annotations": {"env": "prod"}, "signatureRepository": "sigs.example.org/all"}
        spec = spec_model(cosign=fields)
        signer = opened(spec, {"key.pem": PLAIN})
        assert isinstance(signer, CosignSigner)
        assert (signer.storage, signer.annotations) == (Storage.REFERRERS, {"env": "prod"})
        assert named_hosts(spec) == {"sigs.example.org"}

    def test_encrypted_key_is_opened_with_the_first_line_of_the_passphrase(self) -> None:
        secret = {"key.pem": write_private_key(GENERATED, b"correct horse"), "passphrase": b"correct horse\n"}
        assert opened(spec_model(), secret).fingerprint == opened(spec_model(), {"key.pem": PLAIN}).fingerprint

    def test_encrypted_key_without_passphrase_says_where_to_put_it(self) -> None:
        with pytest.raises(InvalidKeyError, match="add its passphrase to the Secret, under passphrase"):
            opened(spec_model(), {"key.pem": write_private_key(GENERATED, b"correct horse")})

    def test_wrong_passphrase_is_in_no_message(self) -> None:
        secret = {"key.pem": write_private_key(GENERATED, b"correct horse"), "passphrase": b"battery staple"}
        with pytest.raises(InvalidKeyError) as caught:
            opened(spec_model(), secret)
        assert "Secret release" in caught.value.message
        assert "battery" not in caught.value.message

    def test_algorithm_that_the_key_cannot_do_is_refused(self) -> None:
        with pytest.raises(InvalidKeyError, match=r"the key key\.pem in Secret release"):
            opened(spec_model(algorithm="RSA_PSS_SHA_256"), {"key.pem": PLAIN})

    def test_missing_secret_and_missing_member_are_named(self) -> None:
        with pytest.raises(UnavailableError, match=r"Secret release: it has no key\.pem"):
            opened(spec_model(), {"other.pem": PLAIN})
        with pytest.raises(UnavailableError, match="Secret other"):
            opened(spec_model({"secretRef": {"name": "other", "key": "key.pem"}}), {})

    def test_openpgp_key_signs_simple_signatures(self) -> None:
        spec = spec_model(cosign=None, simpleSigning=STORE)
        signer = opened(spec, {"key.pem": (KEYS / "ed25519.asc").read_bytes()})
        assert signer.format == "simpleSigning"

    def test_notation_signs_with_the_algorithm_of_its_certificate(self) -> None:
        fields = {"certificateChain": CHAIN, "envelope": "COSE", "annotations": {"env": "prod"}}
        signer = opened(spec_model(cosign=None, notation=fields), {"key.pem": CERTIFIED_PEM})
        assert isinstance(signer, NotationSigner)
        assert (signer.kind, signer.annotations) == (EnvelopeType.COSE, {"env": "prod"})
        assert signer.key.public.algorithm == "ECDSA_SHA_384"

    @pytest.mark.parametrize("chain", ["text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    def test_chain_of_notation_must_be_certificates(self, chain: str) -> None:
        policy = spec_model(cosign=None, notation={"certificateChain": chain})
        assert [field for field, _ in field_problems(policy)] == ["notation.certificateChain"]

    @pytest.mark.parametrize(
        ("chain", "why"),
        [
            (PEMS[:1], "append the certificates of its issuers"),
            (PEMS[::-1], "append the certificates of its issuers"),
            ([PEMS[0], Authority("root").pem], "is not issued by"),
            (PEMS[1:], "is of a CA"),
            ([*PEMS, PEMS[1]], "goes on after"),
        ],
        ids=["incomplete", "reversed", "of another CA", "CA alone", "root twice"],
    )
    def test_chain_of_notation_must_be_one_that_verifiers_accept(self, chain: list[str], why: str) -> None:
        policy = spec_model(cosign=None, notation={"certificateChain": "".join(chain)})
        ((field, error),) = field_problems(policy)
        assert field == "notation.certificateChain"
        assert why in error.message
        with pytest.raises(InvalidKeyError, match=why):
            opened(policy, {"key.pem": CERTIFIED_PEM})

    def test_chain_of_notation_must_be_valid_now(self) -> None:
        policy = spec_model(cosign=None, notation={"certificateChain": CHAIN})
        with pytest.raises(VerificationError, match="expired") as caught:
            opened(policy, {"key.pem": CERTIFIED_PEM}, clock=FakeClock(NOW + 3 * YEAR))
        assert caught.value.reason is Reason.EXPIRED

    def test_chain_of_notation_must_be_that_of_the_key(self) -> None:
        with pytest.raises(InvalidKeyError, match="not of the key"):
            opened(
                spec_model(cosign=None, notation={"certificateChain": CHAIN}),
                {"key.pem": write_private_key(generate_key(KeyType.ECDSA_P384), None)},
            )

    def test_folder_of_this_machine_must_be_permitted(self, tmp_path: Path) -> None:
        spec = spec_model(cosign=None, simpleSigning={"store": {"lookaside": {"url": f"file://{tmp_path}"}}})
        secret = {"key.pem": (KEYS / "ed25519.asc").read_bytes()}
        with pytest.raises(SigningError, match="name a web server"):
            opened(spec, secret)
        assert opened(spec, secret, folders=True).format == "simpleSigning"

    @pytest.mark.parametrize("content", [PLAIN, (KEYS / "ed25519.asc").read_bytes()], ids=["pem", "openpgp"])
    def test_grafeas_takes_both_kinds_of_keys(self, content: bytes) -> None:
        assert opened(spec_model(cosign=None, grafeas=GRAFEAS), {"key.pem": content}).format == "grafeas"

    def test_key_of_a_client_bundle_must_be_that_of_its_certificate(self) -> None:
        alice, bob = certified("alice"), certified("bob")
        spec = spec_model(cosign=None, notary=NOTARY)
        key, mine, other = private_pem(alice.private).encode(), alice.public, bob.public
        assert opened(spec, {"key.pem": key, "cert.pem": mine}).fingerprint
        with pytest.raises(InvalidKeyError, match=r"not the one that its cert\.pem certifies"):
            opened(spec, {"key.pem": key, "cert.pem": other})
        with pytest.raises(InvalidKeyError, match="does not hold a certificate"):
            opened(spec, {"key.pem": key, "cert.pem": b"text"})


class TestKeysInServices:
    @pytest.mark.parametrize("simulator", [DEWSimulator, AlibabaKMSSimulator, OCIVaultSimulator])
    def test_key_in_every_kms_is_opened(self, simulator: type[Any]) -> None:
        with KMSEnvironment(simulator) as kms:
            kms.add_key()
            signer = in_kms(kms, spec_model({"kms": {kms.provider: kms.source()}}))
            assert isinstance(signer, CosignSigner)
            assert signer.key.public.algorithm == "ECDSA_SHA_256"

    def test_disabled_key_is_refused(self) -> None:
        with KMSEnvironment(DEWSimulator) as kms:
            kms.kms.add(kms.key_id, "EC_P256", state="3")
            with pytest.raises(SigningError, match="the key is disabled"):
                in_kms(kms, spec_model({"kms": {"huawei": kms.source()}}))

    def test_several_versions_are_refused(self) -> None:
        with KMSEnvironment(OCIVaultSimulator) as kms:
            versions = [f"ocid1.keyversion.oc1.phx.vault.v{number}" for number in (1, 2)]
            assert isinstance(kms.kms, OCIVaultSimulator)
            kms.kms.add(kms.key_id, "ECDSA P-256", *versions)
            with pytest.raises(SigningError, match="has several versions"):
                in_kms(kms, spec_model({"kms": {"oracle": kms.source()}}))

    def test_records_of_oracle_have_pss_by_default(self) -> None:
        with KMSEnvironment(OCIVaultSimulator) as kms:
            assert isinstance(kms.kms, OCIVaultSimulator)
            kms.kms.add(kms.key_id, "RSA 2048", "ocid1.keyversion.oc1.phx.vault.v1")
            spec = spec_model({"kms": {"oracle": kms.source()}}, cosign=None, oracle=ORACLE)
            signer: Any = in_kms(kms, spec)
            assert signer.key.public.algorithm == "RSA_PSS_SHA_256"


OF_AUTHENTICATOR = {"authenticator": "qa", "credentialsSecret": {"name": "signer"}}


class TestKeysOfAuthenticators:
    def test_key_signs_with_the_credentials_of_the_policy(self) -> None:
        with KMSEnvironment(DEWSimulator) as kms:
            kms.kms.add(kms.key_id, "EC_P384")
            kms.secrets["signer"] = kms.secrets.pop(SECRET)
            entry = {"kms": {"huawei": kms.source()}, "algorithm": "ECDSA_SHA_384"}
            signer = in_kms(kms, spec_model(OF_AUTHENTICATOR), authenticator_model("qa", entry))
            assert isinstance(signer, CosignSigner)
            assert signer.key.public.algorithm == "ECDSA_SHA_384"

    def test_key_that_is_read_with_a_login_signs_with_the_credentials_of_the_policy(self) -> None:
        with KMSEnvironment(VaultSimulator) as kms:
            kms.add_key()
            kms.secrets["signer"] = kms.secrets.pop(SECRET)
            entry = {"kms": {"vault": kms.source(kubernetes={"role": "sealgate"}, credentialsSecret=None)}}
            signer = in_kms(kms, spec_model(OF_AUTHENTICATOR), authenticator_model("qa", entry))
            assert isinstance(signer, CosignSigner)

    def test_another_algorithm_than_the_authenticators_is_refused(self) -> None:
        with KMSEnvironment(DEWSimulator) as kms:
            entry = {"kms": {"huawei": kms.source()}, "algorithm": "RSA_PSS_SHA_256"}
            spec = spec_model(OF_AUTHENTICATOR, algorithm="RSA_PKCS1_SHA_256")
            with pytest.raises(SigningError, match="accepts RSA_PSS_SHA_256, and not RSA_PKCS1_SHA_256"):
                in_kms(kms, spec, authenticator_model("qa", entry))
            assert kms.kms.requests == []

    @pytest.mark.parametrize(
        ("authenticators", "why"),
        [
            ((), "does not exist"),
            ((authenticator_model("qa", public_pem(new_key("ECDSA P-256", "a"))),), "does not have a key in a key man"),
            ((authenticator_model("qa", "a", "b"),), "has 2 keys"),
        ],
    )
    def test_authenticator_without_one_key_in_a_kms_is_refused(
        self, authenticators: tuple[Authenticator, ...], why: str
    ) -> None:
        with KMSEnvironment(DEWSimulator) as kms, pytest.raises(SigningError, match=why):
            in_kms(kms, spec_model(OF_AUTHENTICATOR), *authenticators)


BAD_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("cosign.signatureRepository", {"cosign": {"signatureRepository": "not a repository"}}),
    ("simpleSigning.store", {"simpleSigning": {"store": {"lookaside": {"url": "https://a.example.org/../b"}}}}),
    ("algorithm", {"simpleSigning": STORE, "algorithm": "ED25519"}),
    ("algorithm", {"notary": NOTARY, "algorithm": "ED25519"}),
    ("notary.root", {"notary": {"root": {"pem": "text"}}}),
    ("algorithm", {"notation": {"certificateChain": CHAIN}, "algorithm": "ECDSA_SHA_512"}),
]


@pytest.mark.parametrize(("field", "spec"), BAD_FIELDS)
def test_fields_that_the_format_refuses_are_named(field: str, spec: dict[str, Any]) -> None:
    policy = spec_model(**{"cosign": None, **spec})
    ((named, error),) = field_problems(policy)
    assert named == field
    with pytest.raises(SealgateError) as caught:
        opened(policy, {"key.pem": PLAIN})
    assert caught.value.message == error.message


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("oracle.metadata", {"oracle": {**ORACLE, "metadata": "{not json"}}),
        ("algorithm", {"oracle": ORACLE, "algorithm": "RSA_PKCS1_SHA_256"}),
    ],
)
def test_fields_that_oracle_refuses_are_named(field: str, fields: dict[str, Any]) -> None:
    with KMSEnvironment(OCIVaultSimulator) as kms:
        policy = spec_model({"kms": {"oracle": kms.source()}}, **{"cosign": None, **fields})
    assert [named for named, _ in field_problems(policy)] == [field]


def test_signature_rules_of_alibaba_have_rsa_algorithms() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as kms:
        policy = spec_model({"kms": {"alibaba": kms.source()}}, cosign=None, grafeas=GRAFEAS, algorithm="ECDSA_SHA_256")
    assert [named for named, _ in field_problems(policy)] == ["algorithm"]


def test_every_format_of_the_objects_has_a_signer() -> None:
    assert set(FORMATS) == {"cosign", "simpleSigning", "notary", "notation", "grafeas", "oracle"}
