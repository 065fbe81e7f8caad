"""Settings file of the reports' process, as the chart writes it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.verification.settings import MEBIBYTE, VerifierSettings
from sealgate.workloads.kinds import BUILT_IN, WorkloadKinds
from sealgate_webhook.backends.cluster.config import Cache, CustomKind, Exceptions, Registries

#: The budget of each registry: this many verifications a minute, or this part of admission's budget if that is less.
VERIFICATIONS_PER_MINUTE: Final = 60.0
PART_OF_ADMISSION: Final = 0.2
#: How many of them may come at once.
BURST: Final = 10
#: Memory of the caches.
CACHE_BYTES: Final = 32 * MEBIBYTE


class ReportsConfig(BaseModel):
    """The whole file.

    Attributes:
        metrics_listen: where Prometheus scrapes, HOST:PORT.
        interval_seconds: from the beginning of one round to that of the next.
        lease: name of the Lease that is renewed after each round.
        owner: name of the ClusterRole that owns the reports: Kubernetes deletes them with it.
        registries: how registries are reached; see `VERIFICATIONS_PER_MINUTE` about the budget.
        pull_secrets: whether workloads' own pull secrets are read, or the namespaces in which they are.
        service_secrets: Secrets of sealgate's own namespace that authenticators may name as credentials.
        unmatched_images: what happens to an image that no policy matches.
        workloads: with Ignore, only what Pods run is reported.
        cache: TTLs of what was verified.
        exceptions: limits of VerificationExceptions.
        custom_kinds: further kinds whose images are verified.
        excluded_namespaces: namespaces whose pods are not sent to the webhook; nothing is reported there.
        trusted_state: name of the ConfigMaps of the trusted state, without their number.
        log_level: the least serious log line.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    metrics_listen: str = "0.0.0.0:8080"
    interval_seconds: Annotated[int, Field(ge=10, le=86400)] = 120
    lease: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    registries: Registries = Field(default_factory=Registries)
    pull_secrets: bool | tuple[str, ...] = True
    service_secrets: tuple[str, ...] = ()
    unmatched_images: UnmatchedImages = UnmatchedImages.ADMIT
    workloads: Workloads = Workloads.ENFORCE
    cache: Cache = Field(default_factory=Cache)
    exceptions: Exceptions = Field(default_factory=Exceptions)
    custom_kinds: tuple[CustomKind, ...] = ()
    excluded_namespaces: tuple[str, ...] = ()
    trusted_state: str = "sealgate-trusted-state"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def verifier_settings(self) -> VerifierSettings:
        """Return the limits of the verifier. Answers of an unreachable registry's past do not count in reports."""
        admission = self.registries.verifications_per_minute
        return VerifierSettings(
            tag_seconds=self.cache.tag_seconds,
            verified_seconds=self.cache.verified_seconds,
            refused_seconds=self.cache.refused_seconds,
            cache_bytes=CACHE_BYTES,
            verifications_per_minute=min(VERIFICATIONS_PER_MINUTE, PART_OF_ADMISSION * admission),
            burst=BURST,
        )

    def workload_kinds(self) -> WorkloadKinds:
        """Return the kinds whose images are verified: those of Kubernetes and the custom ones.

        Raises:
            ConfigError: a custom kind is not valid, or there twice.
        """
        return BUILT_IN.with_custom(custom.workload_kind() for custom in self.custom_kinds)
