"""Settings file of the endpoint for push events, as the chart writes it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import parse_registry, parse_repository

#: The most sources of one endpoint; each gets its share of the threads.
MAX_SOURCES = 32

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s]*:[0-9]{1,5}$")]
Kind = Literal["docker", "harbor", "swr", "acr", "oci"]
Authentication = Literal["bearer", "basic", "path", "header"]


def _registry(text: str) -> str:
    try:
        registry = parse_registry(text)
        named = parse_repository(f"{registry}/any/name").registry
    except InvalidReferenceError as error:
        raise ValueError(error.message) from error
    if named != registry:
        # In front of a repository, it would be a part of one of Docker Hub.
        raise ValueError(f"{quote(text)} is not a registry in an image's name: it needs a dot or a port")
    return registry


class _Settings(BaseModel):
    """Base of all parts of the file: camelCase, unknown fields are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class TLSFolder(_Settings):
    """The serving certificate.

    Attributes:
        directory: folder with tls.crt and tls.key, which may be replaced while the endpoint serves.
    """

    directory: str = Field(min_length=1)


class SourceSettings(_Settings):
    """One source of push events: it speaks for exactly one registry.

    Attributes:
        name: its events are posted to `/events/NAME`, and with auth path to `/events/NAME/SECRET`.
        kind: what sends them, which decides their shape.
        registry: host[:port] of the registry, as images name it. Events that name another host are dropped.
        auth: how the source authenticates itself. bearer, path and header need the key `token` of its Secret, basic
            needs `username` and `password`.
        secret_directory: folder with the keys of the Secret, read again when they change.
        topic: only with kind oci: OCID of the topic whose subscription is confirmed.
        header: only with auth header: name of the HTTP header whose value must be the token.
    """

    name: Name
    kind: Kind
    registry: Annotated[str, AfterValidator(_registry)]
    auth: Authentication
    secret_directory: str = Field(min_length=1)
    topic: str = Field(
        default="", pattern=r"^(ocid1\.onstopic\.[a-z0-9]{1,16}\.[a-z0-9-]{1,64}\.[A-Za-z0-9._-]{1,200})?$"
    )
    header: str = Field(default="", pattern=r"^([A-Za-z0-9-]{1,64})?$")

    @model_validator(mode="after")
    def _has_what_belongs_to_it(self) -> Self:
        if bool(self.topic) != (self.kind == "oci"):
            raise ValueError("topic belongs to kind oci: set it there, and only there")
        if bool(self.header) != (self.auth == "header"):
            raise ValueError("header belongs to auth header: set it there, and only there")
        return self


class EventsConfig(_Settings):
    """The whole file.

    Attributes:
        listen: where events are taken, HOST:PORT.
        metrics_listen: where Prometheus scrapes, HOST:PORT.
        tls: the serving certificate; None for plain HTTP, behind an Ingress that ends TLS.
        client_ca: PEM bundle of CAs that the client certificate of every source must lead to, besides its
            authentication; empty for none. Only with tls.
        sources: who may report pushes.
        max_waiting: the most requests that wait to be signed; a tenth of them for one repository.
        log_level: the least serious log line.
    """

    listen: Address = "0.0.0.0:8443"
    metrics_listen: Address = "0.0.0.0:8080"
    tls: TLSFolder | None = None
    client_ca: str = ""
    sources: tuple[SourceSettings, ...] = Field(min_length=1, max_length=MAX_SOURCES)
    max_waiting: int = Field(default=10_000, ge=10, le=100_000)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name; each needs a path of its own")
        if self.client_ca and self.tls is None:
            raise ValueError("clientCa needs tls: client certificates are part of a TLS connection")
        return self
