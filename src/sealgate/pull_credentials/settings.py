"""The settings of pull credentials: for which registries the platform's identity is used.

They are part of the installation. A host is named literally, and must be one that the provider's cloud runs: one that
only a pod, a policy or a registry names never gets these credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from sealgate.errors import ConfigError, InvalidReferenceError, UnavailableError
from sealgate.messages import quote
from sealgate.references import parse_registry

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable

    from sealgate.cloud.identities import PlatformIdentity

#: The most registries that the platform's identity is used for, in all entries together.
MAX_HOSTS: Final = 64

_Parameter = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[!-~]+$")]


class PlatformCredentials(BaseModel):
    """Registries for which the platform's identity of one cloud is used.

    Attributes:
        provider: the cloud ("aws"); see `sealgate.pull_credentials.opening.PROVIDERS`.
        hosts: the registries, as references spell them.
        parameters: what the provider needs besides, by name; its module lists the names.
        token_file: file of the ServiceAccount's token for the provider; empty where the platform names the file.
        metadata_service: whether the identity is asked for at the metadata service of the node.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,32}$")]
    hosts: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_HOSTS)]
    parameters: dict[str, _Parameter] = Field(default_factory=dict)
    token_file: str = ""
    metadata_service: bool = False

    def permit(self, names: Collection[str], *, metadata: bool = False) -> None:
        """See that the entry asks for nothing that its provider does not know.

        Args:
            names: the parameters that it knows.
            metadata: whether it can ask the metadata service for the identity.

        Raises:
            ConfigError: there are other parameters, or the metadata service cannot be asked.
        """
        if self.metadata_service and not metadata:
            raise invalid(self.provider, "metadataService is not supported")
        unknown = sorted(self.parameters.keys() - set(names))
        if unknown:
            known = f"it knows {', '.join(sorted(names))}" if names else "it has none"
            raise invalid(self.provider, f"there is no parameter {quote(unknown[0])}; {known}")

    def require(self, name: str, pattern: re.Pattern[str]) -> str:
        """Return a parameter that must be given.

        Args:
            name: its name.
            pattern: what all of it must match.

        Raises:
            ConfigError: it is missing or something else.
        """
        value = self.parameters.get(name, "")
        if pattern.fullmatch(value) is None:
            raise invalid(self.provider, f"the parameter {name} must match {pattern.pattern}")
        return value


def invalid(provider: str, why: str) -> ConfigError:
    """Return the error for settings that cannot be used.

    Args:
        provider: the cloud.
        why: what is wrong; foreign text in it is escaped.
    """
    return ConfigError(f"registries.platformCredentials, provider {quote(provider, 40)}: {why}")


def require_identity(identity: PlatformIdentity | None, where: str) -> PlatformIdentity:
    """Return an identity that the platform must have given to this process.

    Args:
        identity: the identity, if there is one.
        where: where the process finds it ("AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE").

    Raises:
        UnavailableError: there is none.
    """
    if identity is None:
        raise UnavailableError(
            f"the platform has given this process no identity ({where}); annotate its ServiceAccount"
        )
    return identity


def hosts_of(entries: Iterable[PlatformCredentials]) -> dict[str, PlatformCredentials]:
    """Return the entry of each registry, by its host as references spell it.

    Raises:
        ConfigError: a host is not one, there twice, or they are more than `MAX_HOSTS`.
    """
    found: dict[str, PlatformCredentials] = {}
    for entry in entries:
        for host in entry.hosts:
            try:
                name = parse_registry(host)
            except InvalidReferenceError as error:
                raise invalid(entry.provider, f"{quote(host)} is not a registry: write its host") from error
            if name in found:
                raise invalid(entry.provider, f"{quote(host)} is listed twice")
            found[name] = entry
    if len(found) > MAX_HOSTS:
        raise ConfigError(f"registries.platformCredentials lists more than {MAX_HOSTS} registries")
    return found
