"""Options that several commands share; each group is passed to the command as one value."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealgate.errors import ConfigError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate.references import parse_registry
from sealgate.trusted_state.directory import DirectoryTrustedState
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.workloads.kinds import BUILT_IN, WorkloadKind
from sealgate.workloads.ready_made_kinds import READY_MADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.trusted_state.stores import TrustedState
    from sealgate.workloads.kinds import WorkloadKinds

#: Prefix of a field that is an image, not a pod spec, in `--custom-kind`.
_IMAGES = "images:"

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class EnumChoice(click.Choice[E]):
    """A choice among the members of an enum, written in lower case on the command line."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        """Return the lower-case value of a member; other text is compared as it is."""
        del ctx
        return choice.value.lower() if isinstance(choice, StrEnum) else str(choice)


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Policies to use.

    Attributes:
        paths: files and directories; at least one.
        unmatched: what happens to an image that is neither covered nor exempt.
    """

    paths: tuple[str, ...]
    unmatched: UnmatchedImages


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """Namespace of the images.

    Attributes:
        name: name of the namespace of objects without `metadata.namespace`.
        labels: labels added to those of `Namespace` objects in the files; may be empty.
        given: whether the name was given; if not, `name` is for display only.
    """

    name: str
    labels: dict[str, str]
    given: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeout and rate limit.

    Attributes:
        timeout: seconds for one image, including all requests and waits; greater than 0.
        rate: verifications a minute for each registry host; at least 1.
    """

    timeout: float
    rate: float


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """TLS of the webhook's port.

    Attributes:
        certificate: PEM file of the certificate chain; None for plain HTTP or with `self_signed`.
        key: PEM file of the private key; None as for `certificate`.
        self_signed: whether to generate a self-signed certificate.
        client_ca: PEM bundle of the CAs that issue client certificates; None if none is required.
        client_names: names of permitted callers; empty unless `client_ca` is set.
    """

    certificate: Path | None
    key: Path | None
    self_signed: bool
    client_ca: Path | None
    client_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class AdmissionOptions:
    """Rules for AdmissionReviews, apart from the policies.

    Attributes:
        require_digests: whether Pods are admitted only if their images have digests.
        workloads: what happens to a denied object that is not a Pod.
    """

    require_digests: bool
    workloads: Workloads


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Registry options as written on the command line; registries are normalised `host[:port]`.

    Attributes:
        insecure: registries that may use plain HTTP and loopback addresses.
        ca: registry -> PEM bundle of CA certificates to trust for it.
        mirrors: registry -> registry to ask first.
        private: registries that may have private addresses although no policy names them.
        docker_config: path of a docker config file; None for the default paths.
    """

    insecure: frozenset[str]
    ca: dict[str, str]
    mirrors: dict[str, str]
    private: frozenset[str]
    docker_config: str | None


def _registry(text: str) -> str:
    """Return a normalised registry.

    Raises:
        click.BadParameter: the text is not a registry.
    """
    try:
        return parse_registry(text)
    except InvalidReferenceError as error:
        raise click.BadParameter(error.message) from error


def _pair(text: str, form: str) -> tuple[str, str]:
    """Return both parts of `KEY=VALUE`.

    Raises:
        click.BadParameter: the text does not have that form.
    """
    key, _, value = text.partition("=")
    if not key or not value:
        raise click.BadParameter(f"{quote(text)} must have the form {form}")
    return key, value


# Callbacks of repeatable options: click passes all texts and hands the result to the command.


def _registries(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_registry(text) for text in texts)


def _files(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return {_registry(host): file for host, file in (_pair(text, "HOST=FILE") for text in texts)}


def _mirrors(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return {_registry(host): _registry(to) for host, to in (_pair(text, "HOST=MIRROR") for text in texts)}


def _labels(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(key and separator for key, separator, _ in pairs):
        raise click.BadParameter("a label must have the form KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _kinds(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> WorkloadKinds:
    try:
        return BUILT_IN.with_custom(_custom_kind(text) for text in texts)
    except ConfigError as error:
        raise click.BadParameter(error.message) from error


def _custom_kind(text: str) -> WorkloadKind:
    """Return the kind that `GROUP/KIND[=FIELD[,FIELD...]]` describes.

    Raises:
        click.BadParameter: the kind has no group and is not the name of exactly one ready-made kind, or it has no
            field and is not ready-made.
        ConfigError: group, kind or a field is not valid.
    """
    name, separator, fields = text.partition("=")
    group, slash, kind = name.rpartition("/")
    if not slash:
        ready_made = READY_MADE.named(kind)
        if len(ready_made) != 1:
            names = ", ".join(map(str, READY_MADE.kinds))
            raise click.BadParameter(
                f"{quote(text)} has no API group: write "
                f"GROUP/{quote(kind)}={quote(fields or 'spec.template.spec')}, as in "
                f"argoproj.io/Rollout=spec.template.spec; only these kinds can be written without a group: {names}"
            )
        group = ready_made[0].group
    if separator:
        paths = fields.split(",")
        images = [path.removeprefix(_IMAGES) for path in paths if path.startswith(_IMAGES)]
        return WorkloadKind.custom(group, kind, [path for path in paths if not path.startswith(_IMAGES)], images)
    known = READY_MADE.find(group, kind)
    if known is None:
        raise click.BadParameter(
            f"{quote(text)} has no field of the pod spec, and it is not a ready-made kind; "
            f"write {quote(name)}=FIELD, such as {quote(name)}=spec.template.spec"
        )
    return known


def output_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--output text|json`, passed on as `output`."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Output format: text for people, json for programs.",
    )
    return option(command)


def report_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--output text|json|sarif|junit`, passed on as `output`."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json", "sarif", "junit"]),
        default="text",
        show_default=True,
        help="Output format: text for people, json for programs, sarif (2.1.0) for code scanning, junit for CI.",
    )
    return option(command)


def policies_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--policies`, passed on as `policy_paths`."""
    option = click.option(
        "--policies",
        "policy_paths",
        type=click.Path(),
        metavar="PATH",
        multiple=True,
        required=True,
        envvar="SEALGATE_POLICIES",
        show_envvar=True,
        help="File or directory of Authenticator and VerificationPolicy YAML, with the Secrets that they name, as for "
        "kubectl apply. Repeatable.",
    )
    return option(command)


def policy_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--policies` and `--unmatched`, gathered as `policies`."""

    @policies_option
    @click.option(
        "--unmatched",
        type=EnumChoice(UnmatchedImages),
        default="admit",
        show_default=True,
        help="What happens to an image that is neither covered by an Enforce policy nor exempt by an Exempt policy.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, policy_paths: tuple[str, ...], unmatched: UnmatchedImages, **rest: Any) -> T:  # noqa: ANN401
        return command(*args, policies=PolicyOptions(policy_paths, unmatched), **rest)

    return wrapped


def namespace_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--namespace` and `--namespace-label`, gathered as `namespace`."""

    @click.option(
        "-n",
        "--namespace",
        "namespace_name",
        metavar="NAME",
        help="Namespace of the images, and of objects without metadata.namespace. Without it, policies that select "
        "namespaces by labels must be met, too.",
    )
    @click.option(
        "--namespace-label",
        "labels",
        callback=_labels,
        metavar="KEY=VALUE",
        multiple=True,
        help="Label of the namespace, for policies that select namespaces by labels. Added to the labels of Namespace "
        "objects in the files. Repeatable.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, namespace_name: str | None, labels: dict[str, str], **rest: Any) -> T:  # noqa: ANN401
        given = namespace_name is not None
        return command(*args, namespace=NamespaceOptions(namespace_name or "default", labels, given), **rest)

    return wrapped


def writer_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the registry options of commands that write, gathered as `registries`; mirrors are not written to."""

    @click.option(
        "--insecure-registry",
        "insecure",
        callback=_registries,
        metavar="HOST[:PORT]",
        multiple=True,
        help="Registry that may use plain HTTP and loopback addresses. TLS certificates are still verified. "
        "Repeatable.",
    )
    @click.option(
        "--registry-ca",
        "ca",
        callback=_files,
        metavar="HOST=FILE",
        multiple=True,
        help="PEM bundle of CA certificates to trust for this registry instead of the system's. Repeatable.",
    )
    @click.option(
        "--private-registry",
        "private",
        callback=_registries,
        metavar="HOST[:PORT]",
        multiple=True,
        help="Registry, or host that it redirects to, that may have a private address although it is not named "
        "literally by a policy or on the command line. Repeatable.",
    )
    @click.option(
        "--docker-config",
        metavar="FILE",
        help="Docker config file with credentials. Default: the files that docker and podman use.",
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - click hands over one argument for each option
        *args: Any,  # noqa: ANN401
        insecure: frozenset[str],
        ca: dict[str, str],
        private: frozenset[str],
        docker_config: str | None,
        mirrors: dict[str, str] | None = None,
        **rest: Any,  # noqa: ANN401
    ) -> T:
        options = RegistryOptions(insecure, ca, mirrors or {}, private, docker_config)
        return command(*args, registries=options, **rest)

    return wrapped


def registry_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the registry options of commands that read, gathered as `registries`."""
    option = click.option(
        "--registry-mirror",
        "mirrors",
        callback=_mirrors,
        metavar="HOST=MIRROR",
        multiple=True,
        help="Mirror to ask before this registry. Policies and signatures still use the registry's own name. "
        "Repeatable.",
    )
    return option(writer_options(command))


def custom_kind_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--custom-kind`, passed on as `kinds`: the built-in kinds and the custom ones."""
    option = click.option(
        "--custom-kind",
        "kinds",
        callback=_kinds,
        metavar="GROUP/KIND[=FIELD,...]",
        multiple=True,
        help="Custom kind whose images to verify, with the field of its pod spec, such as "
        "argoproj.io/Rollout=spec.template.spec. Write [*] after a field for every item of a list, and images: before "
        "a field that is an image. FIELD is optional for ready-made kinds, and GROUP/ too if only one of them has that "
        f"name: {', '.join(map(str, READY_MADE.kinds))}. Repeatable.",
    )
    return option(command)


def timeout_option(covers: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Add `--timeout`, passed on as `timeout`: seconds.

    Args:
        covers: what must be over by then, and what happens if it is not, for the help.
    """
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True, max=3600),
        metavar="SECONDS",
        default=30.0,
        show_default=True,
        help=f"Timeout for {covers}.",
    )


def rate_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--rate`, passed on as `rate`: verifications a minute."""
    option = click.option(
        "--rate",
        type=click.FloatRange(min=1, max=1_000_000),
        metavar="NUMBER",
        default=300.0,
        show_default=True,
        help="The most verifications a minute for each registry host.",
    )
    return option(command)


def state_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--state`, passed on as `state`: the store that it names."""

    @click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="SEALGATE_STATE",
        show_envvar=True,
        help="Directory that stores the highest versions of Notary trust data seen, to detect rollbacks. Default: they "
        "are kept in memory for this run only.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, state: Path | None, **rest: Any) -> T:  # noqa: ANN401
        store: TrustedState = MemoryTrustedState() if state is None else DirectoryTrustedState(state)
        return command(*args, state=store, **rest)

    return wrapped


def limit_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--timeout` and `--rate`, gathered as `limits`."""

    @timeout_option("each image, including all requests and waits; the verdict is then unavailable")
    @rate_option
    @functools.wraps(command)
    def wrapped(*args: Any, timeout: float, rate: float, **rest: Any) -> T:  # noqa: ANN401
        return command(*args, limits=Limits(timeout, rate), **rest)

    return wrapped


def admission_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--require-digests` and `--workloads`, gathered as `admission`."""

    @click.option(
        "--require-digests",
        is_flag=True,
        help="Admit a Pod only if its images have digests, as /mutate writes them; needs a "
        "MutatingWebhookConfiguration that calls /mutate.",
    )
    @click.option(
        "--workloads",
        type=EnumChoice(Workloads),
        default="enforce",
        show_default=True,
        help="What happens to objects other than Pods whose images are not verified. Pods are always denied.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, require_digests: bool, workloads: Workloads, **rest: Any) -> T:  # noqa: ANN401
        chosen = AdmissionOptions(require_digests, workloads)
        return command(*args, admission=chosen, **rest)

    return wrapped


def tls_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the TLS options of the webhook's port, gathered as `tls`."""

    @click.option(
        "--tls-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="PEM file of the server's certificate chain, leaf first; reloaded when it changes.",
    )
    @click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="PEM file of the private key.")
    @click.option(
        "--tls-self-signed",
        is_flag=True,
        help="Generate a self-signed certificate, for trials; its fingerprint is in the log.",
    )
    @click.option(
        "--client-ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="PEM bundle of the CAs that issue callers' client certificates; reloaded when it changes. Needs "
        "--client-name. Without it, every caller is accepted.",
    )
    @click.option(
        "--client-name",
        "client_names",
        metavar="NAME",
        multiple=True,
        help="Common name, or DNS name, URI or email address of the subject alternative name, of a permitted caller's "
        "certificate; compared exactly. Repeatable.",
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - click hands over one argument for each option
        *args: Any,  # noqa: ANN401
        tls_cert: Path | None,
        tls_key: Path | None,
        tls_self_signed: bool,
        client_ca: Path | None,
        client_names: tuple[str, ...],
        **rest: Any,  # noqa: ANN401
    ) -> T:
        options = TLSOptions(tls_cert, tls_key, tls_self_signed, client_ca, frozenset(client_names))
        return command(*args, tls=options, **rest)

    return wrapped
