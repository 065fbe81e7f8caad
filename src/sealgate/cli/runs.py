"""One run of the verifier over many images: several at a time, each with its own deadline, answers in order."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sealgate.cli.inputs.registries import settings_of
from sealgate.cli.questions import Answer
from sealgate.clocks import Deadline, SystemClock
from sealgate.messages import quote
from sealgate.registry.client import RegistryClient
from sealgate.verification.observers import NullObserver
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sealgate.cli.inputs.options import Limits, RegistryOptions
    from sealgate.cli.questions import Question
    from sealgate.clocks import Clock
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.policy_sets import PolicySet

#: Images verified concurrently. The deadline of an image starts when a thread takes it, so that in a long list the last
#: images do not use up their time while the first ones wait for the registry's budget.
CONCURRENCY = 16
#: Seconds for which a run keeps what it found: longer than any run.
RUN_SECONDS = 86400.0


class _NotingObserver(NullObserver):
    """Prints on standard error what a server would log."""

    def internal_error(self, error: BaseException) -> None:
        """Print an exception that is a bug."""
        click.echo(f"Error: sealgate failed because of a bug: {type(error).__name__}: {quote(error)}", err=True)


@dataclass(frozen=True, slots=True)
class Run:
    """A verifier with everything that is the same for all images of a run.

    Attributes:
        verifier: verifies the images; closed by `open_run`.
        policies: the policies that decide.
        credentials: returns the source of the credentials for the image of a question.
        clock: source of the time.
        timeout: seconds for each image; greater than 0.
    """

    verifier: Verifier
    policies: PolicySet
    credentials: Callable[[Question], CredentialProvider]
    clock: Clock
    timeout: float

    def answer_all(
        self,
        questions: Sequence[Question],
        namespaces: Mapping[str, Namespace],
        answered: Callable[[], object],
    ) -> list[Answer]:
        """Return the answers in the order of the questions.

        Args:
            questions: the images to verify, each in its namespace.
            namespaces: name -> namespace; must have every namespace of the questions.
            answered: called after each answer, to show progress.
        """
        pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="image")
        try:
            pending = [pool.submit(self._answer, question, namespaces[question.namespace]) for question in questions]
            for _ in as_completed(pending):
                answered()
            return [answer.result() for answer in pending]
        finally:
            # On Ctrl-C the command must not wait for running verifications.
            pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: Question, namespace: Namespace) -> Answer:
        deadline = Deadline.after(self.clock, self.timeout)
        review = VerificationRequest(self.policies, namespace, self.credentials(question), deadline)
        (verdict,) = self.verifier.verify([question.image], review)
        return Answer(question, verdict, namespace.named)


@contextlib.contextmanager
def open_run(
    policies: PolicySet,
    registries: RegistryOptions,
    limits: Limits,
    state: TrustedState,
    credentials: Callable[[Question], CredentialProvider],
) -> Iterator[Run]:
    """Open a verifier for one run and close it afterwards.

    Args:
        policies: the policies that decide.
        registries: how registries are reached.
        limits: timeout for each image and rate for each registry.
        state: store of the highest versions of trust data seen.
        credentials: returns the source of the credentials for the image of a question.

    Raises:
        ConfigError: a file with certificates cannot be read or is not valid.
    """
    clock = SystemClock()
    # Load shedding protects a shared webhook; here every waiting image is one that the user named.
    settings = VerifierSettings(
        verifications_per_minute=limits.rate,
        verification_seconds=limits.timeout,
        max_waiters=1_000_000,
        max_waiting=1_000_000,
        # A run is one moment: what was found at its beginning holds to its end, and no request is repeated.
        tag_seconds=RUN_SECONDS,
        verified_seconds=RUN_SECONDS,
        refused_seconds=RUN_SECONDS,
    )
    client = RegistryClient(settings_of(registries), clock=clock)
    verifier = Verifier(client, clock, settings, _NotingObserver(), state)
    try:
        yield Run(verifier, policies, credentials, clock, limits.timeout)
    finally:
        verifier.close()
        client.close()
