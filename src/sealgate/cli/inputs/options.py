"""Options that several commands share, each group gathered into one value."""

from __future__ import annotations

import functools
from dataclasses import dataclass
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

#: In front of a field that holds the text of an image, in `--custom-kind`.
_IMAGES = "images:"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Where policies come from.

    Attributes:
        paths: files and folders.
        unmatched: what happens to an image that no policy matches.
    """

    paths: tuple[str, ...]
    unmatched: UnmatchedImages


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """Which namespace images are for.

    Attributes:
        name: of the namespace, where an object does not say it.
        labels: that every namespace has, beyond those of `Namespace` objects in the files.
        given: whether the name was given; otherwise it is only what is shown.
    """

    name: str
    labels: dict[str, str]
    given: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much.

    Attributes:
        timeout: seconds for one image, all its requests and waiting together.
        rate: verifications a minute for each registry host.
    """

    timeout: float
    rate: float


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """How the webhook's port is protected.

    Attributes:
        certificate: PEM file.
        key: PEM file.
        self_signed: whether to make a pair on the spot instead.
        client_ca: PEM bundle of CAs that client certificates must lead to; None if none is required.
        client_names: names of which a client certificate must carry one.
    """

    certificate: Path | None
    key: Path | None
    self_signed: bool
    client_ca: Path | None
    client_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class AdmissionOptions:
    """What an installation chooses about reviews, beside its policies.

    Attributes:
        require_digests: whether Pods are admitted only if their images name digests.
        workloads: what happens to a denied object that is not a Pod.
    """

    require_digests: bool
    workloads: Workloads


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """How registries are reached, as written on the command line.

    Attributes:
        insecure: registries that may be spoken to over plain HTTP and on loopback addresses.
        ca: registry -> file with the certificates that its own must lead to.
        mirrors: registry -> where to ask instead.
        private: registries that may have private addresses though no policy names them.
        docker_config: a docker config file; None for the usual places.
    """

    insecure: frozenset[str]
    ca: dict[str, str]
    mirrors: dict[str, str]
    private: frozenset[str]
    docker_config: str | None


def _registry(text: str) -> str:
    """Return a registry as references have it.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        return parse_registry(text)
    except InvalidReferenceError as error:
        raise click.BadParameter(error.message) from error


def _pair(text: str, form: str) -> tuple[str, str]:
    """Return both parts of `KEY=VALUE`.

    Raises:
        click.BadParameter: it is not of that form.
    """
    key, _, value = text.partition("=")
    if not key or not value:
        raise click.BadParameter(f"{quote(text)} is not of the form {form}")
    return key, value


# What click calls with the texts of a repeatable option; what they return is what the command gets.


def _registries(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_registry(text) for text in texts)


def _files(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return {_registry(host): file for host, file in (_pair(text, "HOST=FILE") for text in texts)}


def _mirrors(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return {_registry(host): _registry(to) for host, to in (_pair(text, "HOST=MIRROR") for text in texts)}


def _labels(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(key and separator for key, separator, _ in pairs):
        raise click.BadParameter("a label is of the form KEY=VALUE")
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
                f"{quote(text)} does not say the API group of the kind: write "
                f"GROUP/{quote(kind)}={quote(fields or 'spec.template.spec')}, as in "
                f"argoproj.io/Rollout=spec.template.spec; only these are known without a group: {names}"
            )
        group = ready_made[0].group
    if separator:
        paths = fields.split(",")
        images = [path.removeprefix(_IMAGES) for path in paths if path.startswith(_IMAGES)]
        return WorkloadKind.custom(group, kind, [path for path in paths if not path.startswith(_IMAGES)], images)
    known = READY_MADE.find(group, kind)
    if known is None:
        raise click.BadParameter(
            f"{quote(text)} does not say where the kind has its pod spec, and it is not a ready-made kind; "
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
        help="text for people; json for programs, on standard output and nothing else there.",
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
        help="File or folder of Authenticator and VerificationPolicy YAML, with the Secrets that they name: exactly "
        "what kubectl apply takes. Repeatable.",
    )
    return option(command)


def policy_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--policies` and `--unmatched`, gathered as `policies`."""

    @policies_option
    @click.option(
        "--unmatched",
        type=click.Choice([choice.value.lower() for choice in UnmatchedImages]),
        default=UnmatchedImages.ADMIT.value.lower(),
        show_default=True,
        help="What happens to an image that is neither covered by an Enforce policy nor exempt by an Exempt policy.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, policy_paths: tuple[str, ...], unmatched: str, **rest: Any) -> T:  # noqa: ANN401
        chosen = UnmatchedImages(unmatched.capitalize())
        return command(*args, policies=PolicyOptions(policy_paths, chosen), **rest)

    return wrapped


def namespace_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--namespace` and `--namespace-label`, gathered as `namespace`."""

    @click.option(
        "-n",
        "--namespace",
        "namespace_name",
        metavar="NAME",
        help="Namespace that the images are for, where the object itself does not say. Without it, policies that "
        "select namespaces by labels must be met, too.",
    )
    @click.option(
        "--namespace-label",
        "labels",
        callback=_labels,
        metavar="KEY=VALUE",
        multiple=True,
        help="A label of the namespace, for policies that select namespaces; added to those of Namespace objects in "
        "the files. Repeatable.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, namespace_name: str | None, labels: dict[str, str], **rest: Any) -> T:  # noqa: ANN401
        given = namespace_name is not None
        return command(*args, namespace=NamespaceOptions(namespace_name or "default", labels, given), **rest)

    return wrapped


def registry_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say how registries are reached, gathered as `registries`."""

    @click.option(
        "--insecure-registry",
        "insecure",
        callback=_registries,
        metavar="HOST[:PORT]",
        multiple=True,
        help="A registry that may be spoken to over plain HTTP and on a loopback address. It never switches off the "
        "check of a TLS certificate. Repeatable.",
    )
    @click.option(
        "--registry-ca",
        "ca",
        callback=_files,
        metavar="HOST=FILE",
        multiple=True,
        help="PEM file with the certificates that this registry's own must lead to, instead of the system's. "
        "Repeatable.",
    )
    @click.option(
        "--registry-mirror",
        "mirrors",
        callback=_mirrors,
        metavar="HOST=MIRROR",
        multiple=True,
        help="Registry to ask first instead of this one. Patterns and signatures keep the registry's own name. "
        "Repeatable.",
    )
    @click.option(
        "--private-registry",
        "private",
        callback=_registries,
        metavar="HOST[:PORT]",
        multiple=True,
        help="A registry, or a host that it sends clients to, that may have a private address although only a "
        "wildcard of the policies covers it. Repeatable.",
    )
    @click.option(
        "--docker-config",
        metavar="FILE",
        help="Docker config file with credentials. Default: what docker and podman use, where there is one.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401
        insecure: frozenset[str],
        ca: dict[str, str],
        mirrors: dict[str, str],
        private: frozenset[str],
        docker_config: str | None,
        **rest: Any,  # noqa: ANN401
    ) -> T:
        options = RegistryOptions(insecure, ca, mirrors, private, docker_config)
        return command(*args, registries=options, **rest)

    return wrapped


def custom_kind_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--custom-kind`, passed on as `kinds`: the kinds of Kubernetes and the further ones."""
    option = click.option(
        "--custom-kind",
        "kinds",
        callback=_kinds,
        metavar="GROUP/KIND[=FIELD,...]",
        multiple=True,
        help="A further kind whose images to verify, with the field of its pod spec, such as "
        "argoproj.io/Rollout=spec.template.spec; [*] behind a field goes through a list, and images: in front of a "
        "field says that it holds the text of an image. Without FIELD for a ready-made kind, and without GROUP/ if "
        f"only one of those has that name: {', '.join(map(str, READY_MADE.kinds))}. Repeatable.",
    )
    return option(command)


def timeout_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--timeout`, passed on as `timeout`: seconds for each image."""
    option = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True, max=3600),
        metavar="SECONDS",
        default=30.0,
        show_default=True,
        help="The longest that one image may take, everything together; then it is unavailable.",
    )
    return option(command)


def rate_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--rate`, passed on as `rate`: verifications a minute."""
    option = click.option(
        "--rate",
        type=click.FloatRange(min=1, max=1_000_000),
        metavar="NUMBER",
        default=300.0,
        show_default=True,
        help="Verifications a minute that each registry host is asked for at most.",
    )
    return option(command)


def state_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--state`, as the memory that it names."""

    @click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="SEALGATE_STATE",
        show_envvar=True,
        help="Folder that remembers the highest versions seen of Notary's trust data, so that nobody can serve "
        "yesterday's again. Default: they are forgotten at the end.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, state: Path | None, **rest: Any) -> T:  # noqa: ANN401
        memory: TrustedState = MemoryTrustedState() if state is None else DirectoryTrustedState(state)
        return command(*args, state=memory, **rest)

    return wrapped


def limit_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--timeout` and `--rate`, gathered as `limits`."""

    @timeout_option
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
        help="Admit a Pod only if its images name digests, as /mutate writes them; needs a "
        "MutatingWebhookConfiguration that calls it.",
    )
    @click.option(
        "--workloads",
        type=click.Choice([choice.value.lower() for choice in Workloads]),
        default=Workloads.ENFORCE.value.lower(),
        show_default=True,
        help="What happens to objects other than Pods whose images are not verified. Pods are always enforced.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, require_digests: bool, workloads: str, **rest: Any) -> T:  # noqa: ANN401
        chosen = AdmissionOptions(require_digests, Workloads(workloads.capitalize()))
        return command(*args, admission=chosen, **rest)

    return wrapped


def tls_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say how reviews are protected, gathered as `tls`."""

    @click.option(
        "--tls-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="PEM file with the server's certificate, the leaf first; read again when it changes.",
    )
    @click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="PEM file with its key.")
    @click.option(
        "--tls-self-signed",
        is_flag=True,
        help="Make a certificate on the spot, to try things out; the log has its fingerprint.",
    )
    @click.option(
        "--client-ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="PEM file with the CAs that callers' client certificates must lead to; read again when it changes. Needs "
        "--client-name. Without it, reviews of every caller are answered.",
    )
    @click.option(
        "--client-name",
        "client_names",
        metavar="NAME",
        multiple=True,
        help="A common name, or a DNS name, URI or email address of the subject alternative name, that a permitted "
        "caller's certificate has; compared exactly. Repeatable.",
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
