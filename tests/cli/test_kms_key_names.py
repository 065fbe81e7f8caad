"""Names of KMS keys on the command line, and credentials from the variables and files of the vendors' own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.cli.inputs.cloud_credentials import (
    alibaba_credentials,
    aws_credentials,
    azure_credentials,
    google_credentials,
    huawei_credentials,
    oracle_credentials,
    vault_credentials,
)
from sealgate.cli.inputs.kms_keys import parse_kms_key
from sealgate.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

HUAWEI = {"HUAWEICLOUD_SDK_AK": "AK", "HUAWEICLOUD_SDK_SK": "sk-secret"}
ALIBABA = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "aks-secret"}
AWS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "aws-secret", "AWS_REGION": "eu-central-1"}
AZURE = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "azure-secret"}
VAULT = {"VAULT_ADDR": "https://vault.example.org:8200", "VAULT_TOKEN": "hvs.secret"}
UUID = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEY, VERSION = "ocid1.key.oc1.phx.bbqehaq3aadfa.abyh", "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.acy6"
ARN = "acs:kms:cn-hangzhou:1540355698840000:key/key-hzz630"


@pytest.fixture
def oci(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a configuration of the `oci` command."""
    (tmp_path / ".oci").mkdir()
    (tmp_path / "key.pem").write_text("PRIVATE-KEY")
    (tmp_path / ".oci" / "config").write_text(
        "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\nfingerprint=aa:bb\n"
        f"key_file={tmp_path}/key.pem\nregion=us-phoenix-1\n[PARIS]\nregion=eu-paris-1\npass_phrase=100%secret\n"
    )
    return {"HOME": str(tmp_path)}


def test_name_of_a_huawei_key() -> None:
    name = parse_kms_key("huawei:cn-north-4/0a1b/b1c2-d3", HUAWEI, algorithm="ECDSA_SHA_256")
    assert name.entry.kms is not None
    assert name.entry.kms.source == "kms huawei cn-north-4/0a1b/b1c2-d3"
    assert name.entry.algorithm == "ECDSA_SHA_256"
    assert name.credentials.data == {"accessKey": b"AK", "secretKey": b"sk-secret"}


@pytest.mark.parametrize(
    ("text", "key", "versions"),
    [
        ("alibaba:cn-hongkong/key-1", "cn-hongkong/key-1", ()),
        ("alibaba:cn-hongkong/key-1/v-1", "cn-hongkong/key-1", ("v-1",)),
        (f"alibaba:cn-hangzhou/{ARN}", f"cn-hangzhou/{ARN}", ()),
        (f"alibaba:cn-hangzhou/{ARN}/v-1", f"cn-hangzhou/{ARN}", ("v-1",)),
    ],
)
def test_name_of_an_alibaba_key(text: str, key: str, versions: tuple[str, ...]) -> None:
    kms = parse_kms_key(text, ALIBABA).entry.kms
    assert kms is not None
    assert (kms.source, kms.versions) == (f"kms alibaba {key}", versions)


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("us-phoenix-1", "https://bbqehaq3aadfa-management.kms.us-phoenix-1.oraclecloud.com"),
        ("eu-paris-1", "https://bbqehaq3aadfa-management.kms.eu-paris-1.oci.oraclecloud.com"),
    ],
)
def test_name_of_an_oracle_key(oci: dict[str, str], region: str, endpoint: str) -> None:
    kms = parse_kms_key(f"oracle:{KEY}/{VERSION}", oci | {"OCI_CLI_REGION": region}).entry.kms
    assert kms is not None
    assert (kms.source, kms.versions) == (f"kms oracle {KEY} at {endpoint}", (VERSION,))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"awskms:///{UUID}", f"kms aws eu-central-1/{UUID}"),
        (
            f"awskms:///arn:aws:kms:us-east-2:111122223333:key/{UUID}",
            f"kms aws us-east-2/arn:aws:kms:us-east-2:111122223333:key/{UUID}",
        ),
        (f"awskms://kms.example.org/{UUID}", f"kms aws eu-central-1/{UUID} at https://kms.example.org"),
    ],
)
def test_name_of_an_aws_key(text: str, source: str) -> None:
    name = parse_kms_key(text, AWS)
    assert name.entry.kms is not None
    assert name.entry.kms.source == source
    assert name.credentials.data == {"accessKeyId": b"AKIA", "secretAccessKey": b"aws-secret"}


@pytest.mark.parametrize(
    ("text", "more", "source", "versions"),
    [
        ("hashivault://release", {}, "transit/release", ()),
        ("hashivault://release/3", {}, "transit/release", ("3",)),
        (
            "hashivault://release",
            {"VAULT_NAMESPACE": "team/", "TRANSIT_SECRET_ENGINE_PATH": "sec/transit"},
            "team/sec/transit/release",
            (),
        ),
    ],
)
def test_name_of_a_vault_key(text: str, more: dict[str, str], source: str, versions: tuple[str, ...]) -> None:
    name = parse_kms_key(text, VAULT | more)
    assert name.entry.kms is not None
    assert name.entry.kms.source == f"kms vault {source} at https://vault.example.org:8200"
    assert name.entry.kms.versions == versions
    assert name.credentials.data == {"address": b"https://vault.example.org:8200", "token": b"hvs.secret"}


@pytest.mark.parametrize(("rest", "versions"), [("", ()), ("/versions/3", ("3",)), ("/cryptoKeyVersions/3", ("3",))])
def test_name_of_a_google_key(tmp_path: Path, rest: str, versions: tuple[str, ...]) -> None:
    (tmp_path / "account.json").write_text("{}")
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json")}
    key = "projects/shop-1/locations/global/keyRings/release/cryptoKeys/images"
    name = parse_kms_key(f"gcpkms://{key}{rest}", environ)
    assert name.entry.kms is not None
    assert (name.entry.kms.source, name.entry.kms.versions) == (f"kms google {key}", versions)
    assert name.credentials.data == {"key.json": b"{}"}
    private = parse_kms_key(f"gcpkms://{key}", environ, endpoint="https://kms.example.org")
    assert private.credentials.data["address"] == b"https://kms.example.org"


@pytest.mark.parametrize(("rest", "versions"), [("", ()), (f"/{'0a' * 16}", ("0a" * 16,))])
def test_name_of_an_azure_key(rest: str, versions: tuple[str, ...]) -> None:
    name = parse_kms_key(f"azurekms://shop-1.vault.azure.net/release{rest}", AZURE)
    assert name.entry.kms is not None
    assert (name.entry.kms.source, name.entry.kms.versions) == (
        "kms azure release at https://shop-1.vault.azure.net",
        versions,
    )
    assert name.credentials.data == {"tenantId": b"t", "clientId": b"c", "clientSecret": b"azure-secret"}


def test_web_identity_of_aws_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    environ = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    found = aws_credentials({"HOME": str(tmp_path), **environ})
    assert found.data == {"roleArn": b"arn:aws:iam::1:role/r", "webIdentityToken": b"header.payload.signature"}
    assert "payload" not in repr(found)


def test_profile_of_aws_and_its_region(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[ci]\naws_access_key_id = AKIA\naws_secret_access_key = s%k\n")
    (tmp_path / ".aws" / "config").write_text("[profile ci]\nregion = eu-west-1\n")
    found = aws_credentials({"HOME": str(tmp_path), "AWS_PROFILE": "ci"})
    assert (found.data, found.region) == ({"accessKeyId": b"AKIA", "secretAccessKey": b"s%k"}, "eu-west-1")


def test_token_of_vault_may_be_in_the_file_of_a_login(tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("hvs.file")
    found = vault_credentials({"HOME": str(tmp_path), "VAULT_ADDR": VAULT["VAULT_ADDR"]})
    assert found.data["token"] == b"hvs.file"


def test_endpoint_replaces_the_public_one(oci: dict[str, str]) -> None:
    for text, environ in (
        ("huawei:r/p/k", HUAWEI),
        ("alibaba:r/k", ALIBABA),
        (f"oracle:{KEY}/{VERSION}", oci),
        (f"awskms:///{UUID}", AWS),
    ):
        kms = parse_kms_key(text, environ, endpoint="https://kms.example.org").entry.kms
        assert kms is not None
        assert kms.of.address == "https://kms.example.org"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("huawei:cn-north-4/key", "not written as huawei:REGION/PROJECT/KEY"),
        ("huawei:", "not written as huawei:REGION/PROJECT/KEY"),
        ("alibaba:key-1", r"not written as alibaba:REGION/KEY\[/VERSION\]"),
        ("alibaba:cn-hongkong/alias/a/b", "not written as alibaba"),
        (f"oracle:{KEY}", "not written as oracle:KEY-OCID/VERSION-OCID"),
        (f"oracle:{VERSION}/{KEY}", "keyId"),
        ("huawei:CN_NORTH/p/k", "region"),
        (f"awskms://{UUID}", r"not written as awskms://\[HOST\]/KEY"),
        ("awskms:///alias/release", "keyId"),
        ("hashivault://release/one", r"not written as hashivault://KEY\[/VERSION\]"),
        ("hashivault://..", "key"),
    ],
)
def test_other_names_say_what_to_write(oci: dict[str, str], text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_kms_key(text, {**HUAWEI, **ALIBABA, **AWS, **VAULT, **oci})


def test_oracle_key_of_an_unknown_realm_needs_its_endpoint(oci: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"the realm oc99 is not known here; name .* --kms-endpoint"):
        parse_kms_key(f"oracle:{KEY.replace('oc1', 'oc99')}/{VERSION}", oci)


@pytest.mark.parametrize(
    ("read", "environ", "missing"),
    [
        (huawei_credentials, {"HUAWEICLOUD_SDK_AK": "AK"}, "HUAWEICLOUD_SDK_SK must be set beside HUAWEICLOUD_SDK_AK"),
        (alibaba_credentials, {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"}, "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA"),
        (huawei_credentials, {}, r"set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or write .*/\.huaweicloud/creden"),
        (aws_credentials, {}, r"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write .*/\.aws/credentials"),
        (
            azure_credentials,
            {"AZURE_TENANT_ID": "t"},
            "no credentials for Azure: set AZURE_TENANT_ID",
        ),
        (google_credentials, {}, "set GOOGLE_APPLICATION_CREDENTIALS to the file"),
        (vault_credentials, {}, "set VAULT_ADDR"),
        (vault_credentials, {"VAULT_ADDR": "https://v"}, "set VAULT_TOKEN, or run `vault login`"),
        (alibaba_credentials, {}, r"set ALIBABA_CLOUD_ACCESS_KEY_ID and .*, or write .*/\.alibabacloud/credentials"),
        (
            oracle_credentials,
            {},
            "has no user, tenancy, fingerprint, key_file; run `oci setup config`, or set OCI_CLI_",
        ),
    ],
)
def test_missing_credentials_say_what_to_set(
    read: type[object], environ: dict[str, str], missing: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=missing):
        read({"HOME": str(tmp_path), **environ})  # type: ignore[call-arg]  # one of the three functions


def test_credentials_of_huawei_and_alibaba_may_be_in_the_vendors_files(tmp_path: Path) -> None:
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud" / "credentials").write_text("[basic]\nak = AK\nsk = s%k\nsecurity_token = t\n")
    (tmp_path / "alibaba.ini").write_text("[ci]\ntype = access_key\naccess_key_id = LTAI\naccess_key_secret = aks\n")
    environ = {
        "HOME": str(tmp_path),
        "ALIBABA_CLOUD_CREDENTIALS_FILE": str(tmp_path / "alibaba.ini"),
        "ALIBABA_CLOUD_PROFILE": "ci",
    }
    assert huawei_credentials(environ).data == {"accessKey": b"AK", "secretKey": b"s%k", "securityToken": b"t"}
    assert alibaba_credentials(environ).data == {"accessKeyId": b"LTAI", "accessKeySecret": b"aks"}
    with pytest.raises(ConfigError, match="has no section default; it has ci"):
        alibaba_credentials({name: text for name, text in environ.items() if name != "ALIBABA_CLOUD_PROFILE"})


def test_profile_of_oci_and_its_variables(oci: dict[str, str]) -> None:
    default = oracle_credentials(oci)
    assert default.data["privateKey"] == b"PRIVATE-KEY"
    assert (default.region, "passphrase" in default.data) == ("us-phoenix-1", False)
    paris = oracle_credentials(oci | {"OCI_CLI_PROFILE": "PARIS", "OCI_CLI_USER": "ocid1.user.oc1..v"})
    assert (paris.region, paris.data["passphrase"]) == ("eu-paris-1", b"100%secret")
    assert (paris.data["user"], paris.data["tenancy"]) == (b"ocid1.user.oc1..v", b"ocid1.tenancy.oc1..t")
    assert oracle_credentials(oci | {"OCI_CLI_KEY_CONTENT": "OTHER"}).data["privateKey"] == b"OTHER"


def test_secrets_are_in_no_message_and_no_representation(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("ak-secret-without-a-section\n")
    with pytest.raises(ConfigError) as caught:
        huawei_credentials({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path / "credentials")})
    assert "ak-secret" not in f"{caught.value}{caught.value.__cause__}"
    assert "sk-secret" not in repr(parse_kms_key("huawei:r/p/k", HUAWEI))
