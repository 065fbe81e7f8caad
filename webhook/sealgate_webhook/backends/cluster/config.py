"""The webhook's configuration file in a cluster, as the chart writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.process.config import RegistriesConfig
from sealgate.verification.settings import VerifierSettings
from sealgate.workloads.kinds import BUILT_IN, WorkloadKind, WorkloadKinds


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Registries(RegistriesConfig):
    """How registries are reached.

    Attributes:
        docker_config_secret: Secret with credentials for every namespace's images; empty for none.
        verifications_per_minute: budget of each host.
        burst: how many of them may come at once.
    """

    model_config = ConfigDict(extra="forbid")

    docker_config_secret: str = ""
    verifications_per_minute: Annotated[float, Field(gt=0)] = 300.0
    burst: Annotated[int, Field(ge=1)] = 300


class Cache(_Model):
    """TTLs of the caches in seconds, and their size."""

    tag_seconds: Annotated[float, Field(ge=0)] = 30.0
    verified_seconds: Annotated[float, Field(ge=0)] = 600.0
    refused_seconds: Annotated[float, Field(ge=0)] = 30.0
    entries: Annotated[int, Field(ge=1)] = 100_000


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
        pull_secrets: whether workloads' own pull secrets are read.
        service_secrets: Secrets of sealgate's own namespace that authenticators may name as credentials.
        unmatched_images: what happens to an image that no policy matches.
        require_digests: whether Pods are admitted only if their images name digests, as /mutate writes them.
        workloads: what happens to a denied object that is not a Pod.
        cache: TTLs of the caches.
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
    pull_secrets: bool = True
    service_secrets: tuple[str, ...] = ()
    unmatched_images: UnmatchedImages = UnmatchedImages.ADMIT
    require_digests: bool = False
    workloads: Workloads = Workloads.ENFORCE
    cache: Cache = Field(default_factory=Cache)
    custom_kinds: tuple[CustomKind, ...] = ()
    trusted_state: str = "sealgate-trusted-state"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def verifier_settings(self) -> VerifierSettings:
        """Return the limits of the verifier."""
        return VerifierSettings(
            tag_seconds=self.cache.tag_seconds,
            verified_seconds=self.cache.verified_seconds,
            refused_seconds=self.cache.refused_seconds,
            entries=self.cache.entries,
            verifications_per_minute=self.registries.verifications_per_minute,
            burst=self.registries.burst,
        )

    def workload_kinds(self) -> WorkloadKinds:
        """Return the kinds whose images are verified: those of Kubernetes and the custom ones.

        Raises:
            ConfigError: a custom kind is not valid, or there twice.
        """
        return BUILT_IN.with_custom(custom.workload_kind() for custom in self.custom_kinds)
