"""`sealgate serve`: the admission webhook with policies from files, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.kms_keys import own_key_cache
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError
from sealgate.verification.settings import VerifierSettings

if TYPE_CHECKING:
    from sealgate.cli.inputs.options import AdmissionOptions, PolicyOptions, RegistryOptions, TLSOptions
    from sealgate.process.logs import LogStyle
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.workloads.kinds import WorkloadKinds

#: Value of `--output` -> style of the log; without it, text on a terminal and JSON elsewhere.
_STYLES: dict[str | None, LogStyle] = {None: "auto", "text": "console", "json": "json"}


@click.command(
    epilog=examples(
        "sealgate serve --policies policies/ --listen 127.0.0.1:8443 --tls-self-signed",
        "sealgate serve --policies policies/ --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key "
        "--metrics-listen 0.0.0.0:9090",
    )
)
@options.policy_options
@click.option(
    "--listen",
    metavar="HOST:PORT",
    required=True,
    help="Address to serve AdmissionReviews on; port 0 selects a free port.",
)
@options.tls_options
@click.option("--metrics-listen", metavar="HOST:PORT", help="Address to serve Prometheus metrics on, over plain HTTP.")
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="NUMBER",
    default=64,
    show_default=True,
    help="Number of AdmissionReviews handled concurrently.",
)
@options.rate_option
@options.admission_options
@options.custom_kind_option
@options.registry_options
@options.state_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    help="Format of the log on standard error. Default: text on a terminal, json elsewhere.",
)
def serve(  # noqa: PLR0913, PLR0917 - click hands over one argument for each option or group of them
    policies: PolicyOptions,
    listen: str,
    tls: TLSOptions,
    metrics_listen: str | None,
    threads: int,
    rate: float,
    kinds: WorkloadKinds,
    admission: AdmissionOptions,
    registries: RegistryOptions,
    state: TrustedState,
    output: str | None,
) -> None:
    """Serve the admission webhook with policies from files.

    AdmissionReviews (admission.k8s.io/v1) are handled at /validate and /mutate, health checks at /healthz and /readyz.
    Policies, certificate and key are reloaded when their files change. If new policies are invalid, the last valid ones
    stay in force and the log says what is wrong. On SIGTERM the server finishes the requests in progress and exits.

    Without a certificate the server listens on loopback addresses only, over plain HTTP.

    With --client-ca and --client-name, AdmissionReviews are accepted only from callers with a client certificate that
    was issued by that CA for one of those names; /healthz and /readyz need no client certificate.

    Exit codes: 0 stopped by a signal, 2 invalid usage, policy or file.
    """
    try:
        from sealgate_webhook.admission.workloads import AdmissionRules
        from sealgate_webhook.backends.files.backend import files_backend
        from sealgate_webhook.server.server import ServerSettings, run_server
        from sealgate_webhook.transport.addresses import Address
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0].startswith("sealgate"):
            raise
        raise ConfigError(
            f"the webhook needs {error.name}, which is not installed: pip install 'sealgate[webhook]'"
        ) from error
    run_server(
        ServerSettings(
            listen=Address.parse(listen),
            tls_cert=tls.certificate,
            tls_key=tls.key,
            tls_self_signed=tls.self_signed,
            client_ca=tls.client_ca,
            client_names=tls.client_names,
            metrics=None if metrics_listen is None else Address.parse(metrics_listen),
            threads=threads,
            registry=settings_of(registries),
            verifier=VerifierSettings(verifications_per_minute=rate),
            kinds=kinds,
            rules=AdmissionRules(admission.require_digests, admission.workloads),
            log_style=_STYLES[output],
        ),
        files_backend(
            tuple(Path(path) for path in policies.paths),
            policies.unmatched,
            credentials_of(registries),
            own_key_cache(settings_of(registries), SystemClock()),
            state,
        ),
    )
