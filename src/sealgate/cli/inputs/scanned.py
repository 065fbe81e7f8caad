"""What `sealgate scan` is about: the objects of a cluster or of manifests, and the policies that decide.

Nothing is read from a cluster if both the manifests and the policies are files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.cli.exits import Exit
from sealgate.cli.inputs.cluster_objects import ClusterObjects
from sealgate.cli.inputs.kms_keys import own_key_cache
from sealgate.cli.inputs.namespaces import namespace_of
from sealgate.cli.inputs.options import NamespaceOptions
from sealgate.cli.inputs.pull_secrets import PullSecrets
from sealgate.cli.inputs.registries import settings_of
from sealgate.cli.inputs.workloads import Manifests
from sealgate.kubernetes.client import connect
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.cli.inputs.scan_options import ScanOptions
    from sealgate.cli.questions import Question
    from sealgate.clocks import Clock
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.workloads.kinds import WorkloadKinds

#: The most namespaces that a note names.
MAX_NAMED = 8


class ScanSource:
    """The objects and policies of one scan.

    Args:
        manifests: files, directories or `-`; empty for the objects of the cluster.
        options: what to scan.
        kinds: the kinds whose images are verified.
        clock: source of the time.
        local: the user's own credentials for registries.

    Attributes:
        found: the images.
        unread: what could not be read of the cluster, one line each, escaped.

    Raises:
        PolicyError: the policy files are not valid.
        ConfigError: there is no way to the cluster.
    """

    def __init__(
        self,
        manifests: Sequence[str],
        options: ScanOptions,
        kinds: WorkloadKinds,
        clock: Clock,
        local: CredentialProvider,
    ) -> None:
        self._manifests = manifests
        self._options = options
        self._clock = clock
        self._local = local
        self._files = load_standalone(options.policy_paths) if options.policy_paths else None
        self._cluster: ClusterObjects | None = None
        self._pull_secrets: PullSecrets | None = None
        if self._files is None or not manifests:
            api = connect(context=options.context)
            self._cluster = ClusterObjects(api, options.namespace, options.excluded)
            # Manifests name pull secrets too, but they are not in the cluster yet.
            self._pull_secrets = None if manifests else PullSecrets(api, clock, local)
        self.found = Manifests(kinds)
        self.unread: list[str] = [] if self._cluster is None else self._cluster.unread

    def read(self, advance: Callable[[], object]) -> None:
        """Read the objects.

        Args:
            advance: called after each object of a cluster, to show progress.

        Raises:
            ConfigError: a manifest cannot be read.
        """
        if self._cluster is not None and self._pull_secrets is not None:
            self._cluster.collect(self.found, self._pull_secrets, advance)
        else:
            self.found.read(self._manifests, self._options.namespace or "default")

    def questions(self) -> list[Question]:
        """Return the images in the chosen namespaces, by namespace and image."""
        return sorted(
            (question for question in self.found.questions() if self._options.takes(question.namespace)),
            key=lambda question: (question.namespace, question.image),
        )

    def policies(self, registries: RegistryOptions, timeout: float) -> PolicySet:
        """Return the policies that decide: those of the files, or of the cluster.

        Args:
            registries: how key management services are reached.
            timeout: seconds for the keys in key management services; greater than 0.

        Raises:
            UnavailableError: the policies of the cluster cannot be read.
        """
        unmatched = self._options.unmatched
        if self._files is not None:
            keys = own_key_cache(settings_of(registries), self._clock)
            keys.refresh(self._files.authenticators, self._files.secrets, timeout)
            return standalone_policies(self._files, unmatched, keys)
        assert self._cluster is not None  # noqa: S101 - without files, there is a cluster
        return self._cluster.policies(unmatched, self._options.service_secrets, self._clock)

    def namespaces(self, questions: Sequence[Question]) -> Mapping[str, Namespace]:
        """Return the namespaces of images, with their labels as far as they are known."""
        names = {question.namespace for question in questions}
        if self._cluster is not None:
            return self._cluster.namespaces(names, self.found.namespaces)
        assert self._files is not None  # noqa: S101 - without a cluster, there are files
        named = NamespaceOptions("default", {}, given=self._options.namespace is not None)
        return {name: namespace_of(name, named, self._files, self.found.namespaces) for name in names}

    def credentials(self, question: Question) -> CredentialProvider:
        """Return the source of the credentials for an image."""
        return self._local if self._pull_secrets is None else self._pull_secrets.provider(question)

    @property
    def problems(self) -> list[str]:
        """What could not be read, one line each, escaped."""
        return [*self.unread, *self.found.problems]

    @property
    def exit(self) -> Exit:
        """The exit code of the problems."""
        if self.unread:
            return Exit.UNDETERMINED
        return Exit.WRONG_INPUT if self.found.problems else Exit.ADMITTED

    @property
    def local_namespaces(self) -> list[str]:
        """The namespaces whose pull secrets may not be read, so that the user's own credentials were used."""
        return [] if self._pull_secrets is None else sorted(self._pull_secrets.refused)

    def notes(self) -> list[str]:
        """Return what the user should know besides problems, one line each, escaped."""
        notes = []
        namespaces = self.local_namespaces
        if namespaces:
            named = ", ".join(quote(name, 64) for name in namespaces[:MAX_NAMED])
            more = f" and {len(namespaces) - MAX_NAMED} more" if len(namespaces) > MAX_NAMED else ""
            notes.append(f"pull secrets may not be read, so your own credentials were used, in: {named}{more}")
        if self._cluster is not None and self._cluster.exceptions_unread:
            why = self._cluster.exceptions_unread
            notes.append(f"exceptions may not be read, so what they admit is shown as denied: {why}")
        if self._cluster is not None and self._cluster.left_out:
            what = "Pods and Jobs that ended, and former revisions of Deployments"
            notes.append(f"{self._cluster.left_out} {what} were left out")
        return notes
