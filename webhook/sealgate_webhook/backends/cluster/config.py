"""The webhook's configuration file in a cluster, as the chart writes it."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sealgate.api.v1alpha1.verification_exception import MAX_HOURS
from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.process.config import RegistriesConfig
from sealgate.pull_credentials.settings import PlatformCredentials, hosts_of
from sealgate.shared_cache.settings import ServerSettings, SharedCacheSettings
from sealgate.verification.settings import MEBIBYTE, VerifierSettings
from sealgate.workloads.kinds import BUILT_IN, WorkloadKind, WorkloadKinds

if TYPE_CHECKING:
    from sealgate.http.settings import HostSettings

#: What one of `cache.entries` stands for: a finding, and its part of the tags and verdicts.
_BYTES_PER_ENTRY: Final = 800
#: The oldest answer that may be used while its registry is unreachable: a week.
MAX_STALE_SECONDS: Final = 7 * 24 * 3600


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Registries(RegistriesConfig):
    """How registries are reached.

    Attributes:
        docker_config_secret: Secret with credentials for every namespace's images; empty for none.
        platform_credentials: registries for which the platform's identity of this process is used.
        verifications_per_minute: budget of each host.
        burst: how many of them may come at once.
    """

    model_config = ConfigDict(extra="forbid")

    docker_config_secret: str = ""
    platform_credentials: tuple[PlatformCredentials, ...] = ()

    verifications_per_minute: Annotated[float, Field(gt=0)] = 300.0
    burst: Annotated[int, Field(ge=1)] = 300

    def settings(self) -> HostSettings:
        """Return the same for the HTTP client. Registries listed for the platform may have private addresses.

        Raises:
            ConfigError: a host is not valid, or listed for the platform and as insecure.
        """
        found = super().settings()
        listed = hosts_of(self.platform_credentials).keys()
        for host in sorted(found.insecure & listed):
            # Else an attacker who breaks TLS off would be sent the secret, which opens all repositories.
            raise ConfigError(
                f"{quote(host)} is in registries.insecure and in registries.platformCredentials, whose secrets go "
                "over TLS only; remove it from registries.insecure"
            )
        return replace(found, private=found.private | listed)


class Cache(_Model):
    """TTLs of the caches in seconds, and their size.

    Attributes:
        tag_seconds: TTL of the digest of a tag.
        stale_tag_seconds: how old an answer may be that is used while its registry is unreachable; 0 for none.
        verified_seconds: TTL of a verified finding.
        refused_seconds: TTL of a refusal.
        mebibytes: maximum memory of all caches together.
        entries: deprecated: maximum number of findings; it counts instead of `mebibytes` if it is set.
    """

    tag_seconds: Annotated[float, Field(ge=0)] = 30.0
    stale_tag_seconds: Annotated[float, Field(ge=0, le=MAX_STALE_SECONDS)] = 0.0
    verified_seconds: Annotated[float, Field(ge=0)] = 600.0
    refused_seconds: Annotated[float, Field(ge=0)] = 30.0
    mebibytes: Annotated[int, Field(ge=1)] = 80
    entries: Annotated[int, Field(ge=1)] | None = None

    @property
    def size(self) -> int:
        """Maximum memory of all caches together, in bytes."""
        return self.mebibytes * MEBIBYTE if self.entries is None else max(self.entries * _BYTES_PER_ENTRY, MEBIBYTE)


class SharedCache(_Model):
    """The cache that replicas share.

    Attributes:
        host: name or address of the Valkey or Redis server.
        port: its port.
        tls: whether the connection uses TLS.
        server: folder with `username`, `password` and `ca.crt`, each where needed; empty for none.
        keys: folder with the keys that seal its values.
    """

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 6379
    tls: bool = True
    server: str = ""
    keys: Annotated[str, Field(min_length=1)]


class Exceptions(_Model):
    """Limits of VerificationExceptions.

    Attributes:
        max_hours: how long one may last.
    """

    max_hours: Annotated[float, Field(gt=0, le=24 * 366)] = MAX_HOURS


class CustomKind(_Model):
    """A further kind whose images are verified; see `WorkloadKind.custom`.

    Attributes:
        group: its API group.
        versions: for the chart's rules.
        resource: for the chart's rules.
        kind: as its objects say it ("Rollout").
        pod_spec: path of its pod spec ("spec.template.spec"), or several.
        images: paths of further images ("spec.taskSpec.steps[*].image").
    """

    group: str
    versions: tuple[str, ...]
    resource: str
    kind: str
    pod_spec: str | tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def workload_kind(self) -> WorkloadKind:
        """Return the kind as the library takes it.

        Raises:
            ConfigError: group, kind or a path is not valid.
        """
        pod_specs = (self.pod_spec,) if isinstance(self.pod_spec, str) else self.pod_spec
        return WorkloadKind.custom(self.group, self.kind, pod_specs, self.images)


class WebhookConfig(_Model):
    """The whole file.

    Attributes:
        listen: where reviews are taken, HOST:PORT.
        metrics_listen: where Prometheus scrapes, HOST:PORT.
        tls_directory: folder with tls.crt and tls.key.
        client_ca: PEM bundle of CAs that callers' client certificates must lead to; empty for reviews of every caller.
        client_names: names of which a client certificate must carry one.
        self_test_certificate: PEM file with the client certificate of the self-test; empty for none.
        registries: how registries are reached.
        pull_secrets: whether workloads' own pull secrets are read, or the namespaces in which they are.
        service_secrets: Secrets of sealgate's own namespace that authenticators may name as credentials.
        unmatched_images: what happens to an image that no policy matches.
        require_digests: whether Pods are admitted only if their images name digests, as /mutate writes them.
        workloads: what happens to a denied object that is not a Pod.
        timeout_seconds: timeout of the webhook configurations; a longer one in a URL counts as this one.
        cache: TTLs of the caches.
        shared_cache: the cache that replicas share; None for none.
        exceptions: limits of VerificationExceptions.
        custom_kinds: further kinds whose images are verified.
        trusted_state: name of the ConfigMaps of the trusted state, without their number.
        log_level: the least serious log line.
    """

    listen: str
    metrics_listen: str
    tls_directory: str
    client_ca: str = ""
    client_names: tuple[str, ...] = ()
    self_test_certificate: str = ""
    registries: Registries = Field(default_factory=Registries)
    pull_secrets: bool | tuple[str, ...] = True
    service_secrets: tuple[str, ...] = ()
    unmatched_images: UnmatchedImages = UnmatchedImages.ADMIT
    require_digests: bool = False
    workloads: Workloads = Workloads.ENFORCE
    timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 10
    cache: Cache = Field(default_factory=Cache)
    shared_cache: SharedCache | None = None
    exceptions: Exceptions = Field(default_factory=Exceptions)
    custom_kinds: tuple[CustomKind, ...] = ()
    trusted_state: str = "sealgate-trusted-state"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def verifier_settings(self) -> VerifierSettings:
        """Return the limits of the verifier."""
        return VerifierSettings(
            tag_seconds=self.cache.tag_seconds,
            stale_tag_seconds=self.cache.stale_tag_seconds,
            verified_seconds=self.cache.verified_seconds,
            refused_seconds=self.cache.refused_seconds,
            cache_bytes=self.cache.size,
            verifications_per_minute=self.registries.verifications_per_minute,
            burst=self.registries.burst,
        )

    def shared_cache_settings(self) -> SharedCacheSettings | None:
        """Return how the shared cache is reached; None if there is none.

        Replicas of other versions or other settings share nothing with this one.
        """
        if self.shared_cache is None:
            return None
        folder = Path(self.shared_cache.server) if self.shared_cache.server else None
        return SharedCacheSettings(
            ServerSettings(self.shared_cache.host, self.shared_cache.port, self.shared_cache.tls, folder),
            Path(self.shared_cache.keys),
            binding=f"{version('sealgate')} {self.model_dump_json()}",
        )

    def workload_kinds(self) -> WorkloadKinds:
        """Return the kinds whose images are verified: those of Kubernetes and the custom ones.

        Raises:
            ConfigError: a custom kind is not valid, or there twice.
        """
        return BUILT_IN.with_custom(custom.workload_kind() for custom in self.custom_kinds)
