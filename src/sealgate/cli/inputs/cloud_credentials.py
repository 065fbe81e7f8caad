"""Credentials of clouds, from the variables and files that the vendors' own tools read.

Each function returns what a Secret with these credentials holds, so that they are checked by the same code. Credentials
are never arguments of a command, and never in a message.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.cli.inputs.files import name_of, read_bytes, read_text
from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate.service_secrets import MAX_MEMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Limit for one file of credentials in bytes; it may have many profiles.
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CloudCredentials:
    """Credentials of one cloud.

    Attributes:
        source: where they are from, for messages ("the profile DEFAULT of /home/a/.oci/config"); never a Secret's name,
            since it has white space.
        data: as a Secret holds them.
        region: the region that is configured beside them; empty if there is none.
    """

    source: str
    data: Mapping[str, bytes] = field(repr=False)
    region: str = ""


def huawei_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read `HUAWEICLOUD_SDK_AK`, `_SK` and `_SECURITY_TOKEN`, or `[basic]` of `~/.huaweicloud/credentials`.

    Args:
        environ: the environment; `HUAWEICLOUD_SDK_CREDENTIALS_FILE` names another file.

    Raises:
        ConfigError: there are none.
    """
    variables = {
        "accessKey": "HUAWEICLOUD_SDK_AK",
        "secretKey": "HUAWEICLOUD_SDK_SK",
        "securityToken": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    }
    options = {"accessKey": "ak", "secretKey": "sk", "securityToken": "security_token"}
    path = environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE") or _in_home(environ, ".huaweicloud", "credentials")
    return _of_variables(environ, variables) or _of_file(path, "basic", options, variables)


def alibaba_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read `ALIBABA_CLOUD_ACCESS_KEY_ID`, `_SECRET` and `_SECURITY_TOKEN`, or `~/.alibabacloud/credentials.ini`.

    Args:
        environ: the environment; `ALIBABA_CLOUD_CREDENTIALS_FILE` and `ALIBABA_CLOUD_PROFILE` name another file and
            another section of it than `default`.

    Raises:
        ConfigError: there are none.
    """
    variables = {
        "accessKeyId": "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "accessKeySecret": "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "securityToken": "ALIBABA_CLOUD_SECURITY_TOKEN",
    }
    options = {
        "accessKeyId": "access_key_id",
        "accessKeySecret": "access_key_secret",
        "securityToken": "security_token",
    }
    path = environ.get("ALIBABA_CLOUD_CREDENTIALS_FILE") or _in_home(environ, ".alibabacloud", "credentials.ini")
    section = environ.get("ALIBABA_CLOUD_PROFILE") or "default"
    return _of_variables(environ, variables) or _of_file(path, section, options, variables)


def oracle_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read a profile of `~/.oci/config`, with the variables `OCI_CLI_*` before what it says, as `oci` does.

    Args:
        environ: the environment; `OCI_CLI_CONFIG_FILE` and `OCI_CLI_PROFILE` name another file and another profile than
            `DEFAULT`.

    Raises:
        ConfigError: there are none, or the file of the private key cannot be read.
    """
    path = environ.get("OCI_CLI_CONFIG_FILE") or _in_home(environ, ".oci", "config")
    profile = environ.get("OCI_CLI_PROFILE") or "DEFAULT"
    names = ("user", "tenancy", "fingerprint", "key_file", "key_content", "pass_phrase", "region")
    said = _section(path, profile) if Path(path).is_file() else {}
    for name in names:
        said[name] = environ.get(_OCI_VARIABLES[name]) or said.get(name, "")
    if environ.get("OCI_CLI_KEY_FILE") and not environ.get("OCI_CLI_KEY_CONTENT"):
        said["key_content"] = ""  # a variable comes before the file in whichever form it names the key
    missing = [name for name in ("user", "tenancy", "fingerprint") if not said[name]]
    if not (said["key_file"] or said["key_content"]):
        missing.append("key_file")
    source = f"the profile {quote(profile, 80)} of {name_of(path)}"
    if missing:
        variables = ", ".join(_OCI_VARIABLES[name] for name in missing)
        raise ConfigError(f"{source} has no {', '.join(missing)}; run `oci setup config`, or set {variables}")
    texts = {"user": said["user"], "tenancy": said["tenancy"], "fingerprint": said["fingerprint"]}
    texts |= {"passphrase": said["pass_phrase"]} if said["pass_phrase"] else {}
    key = said["key_content"].encode() or read_bytes(str(Path(said["key_file"]).expanduser()), MAX_MEMBER_BYTES)
    return CloudCredentials(source, {**_encoded(texts), "privateKey": key}, said["region"])


def aws_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; a web identity; or `~/.aws/credentials`.

    A web identity is `AWS_ROLE_ARN` with `AWS_WEB_IDENTITY_TOKEN_FILE`, as systems for CI and EKS set them.

    Args:
        environ: the environment; `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE` and `AWS_PROFILE` name other files
            and another profile than `default`.

    Raises:
        ConfigError: there are none, or the token cannot be read.
    """
    variables = {
        "accessKeyId": "AWS_ACCESS_KEY_ID",
        "secretAccessKey": "AWS_SECRET_ACCESS_KEY",
        "sessionToken": "AWS_SESSION_TOKEN",
    }
    options = {
        "accessKeyId": "aws_access_key_id",
        "secretAccessKey": "aws_secret_access_key",
        "sessionToken": "aws_session_token",
    }
    profile = environ.get("AWS_PROFILE") or "default"
    found = _of_variables(environ, variables) or _web_identity(environ)
    if found is None:
        path = environ.get("AWS_SHARED_CREDENTIALS_FILE") or _in_home(environ, ".aws", "credentials")
        found = _of_file(path, profile, options, variables)
    return CloudCredentials(found.source, found.data, _aws_region(environ, profile))


def _web_identity(environ: Mapping[str, str]) -> CloudCredentials | None:
    role, path = environ.get("AWS_ROLE_ARN"), environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not role or not path:
        return None
    members = {"roleArn": role, "stsEndpoint": environ.get("AWS_ENDPOINT_URL_STS", "")}
    data = {**_encoded(members), "webIdentityToken": read_bytes(path, MAX_MEMBER_BYTES)}
    return CloudCredentials("the variables AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE", data)


def _aws_region(environ: Mapping[str, str], profile: str) -> str:
    named = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    path = environ.get("AWS_CONFIG_FILE") or _in_home(environ, ".aws", "config")
    if named or not Path(path).is_file():
        return named or ""
    return _section(path, profile if profile == "default" else f"profile {profile}").get("region", "")


def azure_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, and `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE`.

    Raises:
        ConfigError: one of them is missing, or the token cannot be read.
    """
    names = {"tenantId": "AZURE_TENANT_ID", "clientId": "AZURE_CLIENT_ID", "authority": "AZURE_AUTHORITY_HOST"}
    data = _encoded({member: environ.get(name, "") for member, name in names.items()})
    if environ.get("AZURE_CLIENT_SECRET"):
        proof = "AZURE_CLIENT_SECRET"
        data["clientSecret"] = environ[proof].encode()
    elif environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        proof = "AZURE_FEDERATED_TOKEN_FILE"
        data["federatedToken"] = read_bytes(environ[proof], MAX_MEMBER_BYTES)
    else:
        proof = ""
    if not proof or not {"tenantId", "clientId"} <= data.keys():
        msg = "set AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE"
        raise ConfigError(f"there are no credentials for Azure: {msg}")
    return CloudCredentials(f"the variables AZURE_TENANT_ID, AZURE_CLIENT_ID and {proof}", data)


def google_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read the key of a service account in the file that `GOOGLE_APPLICATION_CREDENTIALS` names.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read.
    """
    path = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not path:
        raise ConfigError("set GOOGLE_APPLICATION_CREDENTIALS to the file with the key of a service account (JSON)")
    return CloudCredentials(f"the file {name_of(path)}", {"key.json": read_bytes(path, MAX_MEMBER_BYTES)})


def vault_credentials(environ: Mapping[str, str]) -> CloudCredentials:
    """Read `VAULT_ADDR`, and `VAULT_TOKEN` or the file `~/.vault-token` that `vault login` writes.

    Raises:
        ConfigError: one of them is missing.
    """
    address, token = environ.get("VAULT_ADDR"), environ.get("VAULT_TOKEN", "").encode()
    if not address:
        raise ConfigError("set VAULT_ADDR to the address of Vault (https://vault.example.org:8200)")
    if token:
        return CloudCredentials(
            "the variables VAULT_ADDR and VAULT_TOKEN", {"address": address.encode(), "token": token}
        )
    path = _in_home(environ, ".vault-token")
    if not Path(path).is_file():
        raise ConfigError("there is no token for Vault: set VAULT_TOKEN, or run `vault login`")
    data = {"address": address.encode(), "token": read_bytes(path, MAX_MEMBER_BYTES)}
    return CloudCredentials(f"the file {name_of(path)}", data)


_OCI_VARIABLES = {
    "user": "OCI_CLI_USER",
    "tenancy": "OCI_CLI_TENANCY",
    "fingerprint": "OCI_CLI_FINGERPRINT",
    "key_file": "OCI_CLI_KEY_FILE",
    "key_content": "OCI_CLI_KEY_CONTENT",
    "pass_phrase": "OCI_CLI_PASSPHRASE",
    "region": "OCI_CLI_REGION",
}


def _in_home(environ: Mapping[str, str], *parts: str) -> str:
    return str(Path(environ.get("HOME", "/nonexistent"), *parts))


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items() if text}


def _of_variables(environ: Mapping[str, str], variables: Mapping[str, str]) -> CloudCredentials | None:
    """Return the credentials in variables; None if none of them is set."""
    found = {member: environ.get(name, "") for member, name in variables.items()}
    if not any(found.values()):
        return None
    required = list(variables)[:2]
    missing = [variables[member] for member in required if not found[member]]
    if missing:
        others = ", ".join(variables[member] for member in variables if found[member])
        raise ConfigError(f"{' and '.join(missing)} must be set beside {others}")
    return CloudCredentials(f"the variables {' and '.join(variables[member] for member in required)}", _encoded(found))


def _of_file(path: str, section: str, options: Mapping[str, str], variables: Mapping[str, str]) -> CloudCredentials:
    required = list(options)[:2]
    if not Path(path).is_file():
        names = " and ".join(variables[member] for member in required)
        raise ConfigError(f"there are no credentials: set {names}, or write {name_of(path)}")
    said = _section(path, section)
    found = {member: said.get(option, "") for member, option in options.items()}
    missing = [options[member] for member in required if not found[member]]
    if missing:
        raise ConfigError(f"the section {quote(section, 80)} of {name_of(path)} has no {' and '.join(missing)}")
    return CloudCredentials(f"the section {quote(section, 80)} of {name_of(path)}", _encoded(found))


def _section(path: str, section: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path, MAX_FILE_BYTES))
    except configparser.Error:
        # What the library says quotes the line, which may be a secret.
        raise ConfigError(f"{name_of(path)} is not a file of sections with `name = value` lines") from None
    if section == parser.default_section:
        return dict(parser.defaults())
    if not parser.has_section(section):
        raise ConfigError(f"{name_of(path)} has no section {quote(section, 80)}; it has {_named(parser.sections())}")
    return dict(parser.items(section))


def _named(sections: list[str]) -> str:
    return ", ".join(quote(name, 80) for name in sections[:8]) or "none"
