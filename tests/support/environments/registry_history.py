"""A registry whose tags, signatures and readers change, and the verdicts that its history permits.

::

    history = RegistryHistory(registry, clock)
    digest = history.push("v1")
    history.sign(digest, "release")
    ...                                       # time passes, signatures are deleted, readers lose their rights
    history.permitted(question, clock.monotonic(), settings) == {Permitted(Verdict.ADMIT, digest)}

The model knows nothing of caches but how long each part of a verdict may be used. A verdict is permitted if each part
of it was true at some moment within that time: the digest of the tag, each finding, the right to read. With `NO_CACHE`
the permitted verdict is that of a cold start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from sealgate.findings import Outcome
from sealgate.policies.decisions import Verdict
from sealgate.verification.settings import VerifierSettings
from tests.support.environments.verifier import KEY, REPOSITORY, STRANGER
from tests.support.signers.cosign import Classic, push_classic, signature_tag
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.references import Digest
    from tests.support.clocks import FakeClock
    from tests.support.simulators.registry import RegistrySimulator

#: The keys that sign, by name.
KEYS = {"release": KEY, "stranger": STRANGER}
#: Passwords of the registry's users.
USERS = {"robot": "s3cret", "member": "pa55word"}
#: Settings of a verifier that caches nothing.
NO_CACHE = VerifierSettings(tag_seconds=0, verified_seconds=0, refused_seconds=0)


class Permitted(NamedTuple):
    """A verdict that the registry's history permits.

    Attributes:
        verdict: the verdict.
        subject: the digest that it is about; None if the tag could not be resolved.
    """

    verdict: Verdict
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class Rule:
    """What one policy requires.

    Attributes:
        signers: the name of the one key that each authenticator accepts; empty for a policy that matches no image.
        count: how many authenticators must be met.
        unmet: the verdict if fewer are.
    """

    signers: tuple[str, ...]
    count: int
    unmet: Verdict = Verdict.DENY


class Question(NamedTuple):
    """One image that a caller asks about.

    Attributes:
        rule: what the policy in force requires.
        caller: a user of the registry, or any other name for a caller that the registry does not know.
        tag: the tag that the image is named by; None if by digest.
        digest: the digest that the image is named by; None if by tag.
    """

    rule: Rule
    caller: str
    tag: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """The registry at one moment: tags, who signed which digest, who may read (None: every caller)."""

    tags: Mapping[str, Digest] = field(default_factory=dict)
    signers: Mapping[Digest, frozenset[str]] = field(default_factory=dict)
    readers: frozenset[str] | None = None

    def lets(self, caller: str) -> bool:
        return self.readers is None or caller in self.readers

    def accepts(self, digest: Digest, signer: str) -> bool:
        return signer in self.signers.get(digest, ())


@dataclass(slots=True)
class _Moment:
    """A state, and until when the registry may have answered from it."""

    state: _State
    until: float = inf


class _Window(NamedTuple):
    """The states that a verified finding, and a refusal, may come from."""

    verified: list[_State]
    refused: list[_State]

    def outcomes(self, caller: str, subject: Digest, signer: str) -> set[Outcome]:
        """Return what may be found about one signer."""
        outcomes = set()
        # A verified finding may be another caller's. The registry has let this one read at any time within the TTL.
        if any(state.accepts(subject, signer) for state in self.verified) and any(
            state.lets(caller) for state in self.verified
        ):
            outcomes.add(Outcome.VERIFIED)
        if any(state.lets(caller) and not state.accepts(subject, signer) for state in self.refused):
            outcomes.add(Outcome.REFUSED)
        return outcomes


class RegistryHistory:
    """Changes a registry and keeps what it was before.

    Args:
        registry: the registry. It must be empty, and only this object may change it.
        clock: the time.

    Attributes:
        digests: the images that were pushed.
    """

    def __init__(self, registry: RegistrySimulator, clock: FakeClock) -> None:
        self._registry = registry
        self._clock = clock
        self._moments = [_Moment(_State())]
        self._held_from: int | None = None
        self.digests: list[Digest] = []

    def push(self, tag: str) -> Digest:
        """Push an image of its own, without signatures."""
        digest = self._registry.push_image(REPOSITORY, tag)
        self.digests.append(digest)
        self.move(tag, digest)
        return digest

    def move(self, tag: str, digest: Digest) -> None:
        """Point a tag at a digest."""
        self._registry.tag(REPOSITORY, tag, digest)
        self._change(replace(self._state, tags={**self._state.tags, tag: digest}))

    def untag(self, tag: str) -> None:
        """Delete a tag, not its manifest."""
        self._registry.delete(REPOSITORY, tag)
        self._change(replace(self._state, tags={name: to for name, to in self._state.tags.items() if name != tag}))

    def sign(self, digest: Digest, *signers: str) -> None:
        """Replace the signatures of a digest; with no signer, delete them."""
        if signers:
            push_classic(self._registry, REPOSITORY, *(Classic(digest, KEYS[signer]) for signer in signers))
        else:
            self._registry.delete(REPOSITORY, signature_tag(digest))
        self._change(replace(self._state, signers={**self._state.signers, digest: frozenset(signers)}))

    def admit(self, *readers: str) -> None:
        """Let only these users read."""
        self._registry.auth = Auth("basic", users={name: USERS[name] for name in readers})
        self._change(replace(self._state, readers=frozenset(readers)))

    def open(self) -> None:
        """Let every caller read, without credentials."""
        self._registry.auth = Auth()
        self._change(replace(self._state, readers=None))

    def hold(self) -> None:
        """Note that a response of this moment may arrive at any time until `release`."""
        self._held_from = len(self._moments) - 1

    def release(self) -> None:
        """Note that no response is on its way any more."""
        assert self._held_from is not None
        for moment in self._moments[self._held_from : -1]:
            moment.until = self._clock.monotonic()
        self._held_from = None

    def permitted(
        self, question: Question, since: float, ttls: VerifierSettings, *, trouble: bool = False
    ) -> set[Permitted]:
        """Return the verdicts that are permitted now.

        Args:
            question: what was asked.
            since: when it was asked, in the clock's monotonic seconds.
            ttls: how long the parts of a verdict may be used; policies, and a digest in the reference, have no age.
            trouble: whether the registry did not answer everything meanwhile.
        """
        if not question.rule.signers:
            return {Permitted(Verdict.ADMIT, question.digest)}
        now = self._within(since, 0)
        trouble = trouble or not all(state.lets(question.caller) for state in now)
        answers = {
            Permitted(verdict, subject)
            for subject in self._subjects(question, since, ttls.tag_seconds)
            for verdict in self._verdicts(question, subject, self._window(since, ttls), trouble=trouble)
        }
        if question.digest is None and (trouble or any(question.tag not in state.tags for state in now)):
            answers.add(Permitted(_unavailable(question.rule), None))
        return answers

    def _subjects(self, question: Question, since: float, seconds: float) -> set[Digest]:
        if question.digest is not None:
            return {question.digest}
        assert question.tag is not None
        return {
            state.tags[question.tag]
            for state in self._within(since, seconds)
            if question.tag in state.tags and state.lets(question.caller)
        }

    def _verdicts(self, question: Question, subject: Digest, window: _Window, *, trouble: bool) -> Iterator[Verdict]:
        rule = question.rule
        outcomes = [window.outcomes(question.caller, subject, signer) for signer in rule.signers]
        for found in product(*(each | {Outcome.UNAVAILABLE} if trouble else each for each in outcomes)):
            met = found.count(Outcome.VERIFIED)
            if met >= rule.count:
                yield Verdict.ADMIT
            elif met + found.count(Outcome.UNAVAILABLE) >= rule.count:
                yield _unavailable(rule)
            else:
                yield rule.unmet

    def _window(self, since: float, ttls: VerifierSettings) -> _Window:
        return _Window(self._within(since, ttls.verified_seconds), self._within(since, ttls.refused_seconds))

    def _within(self, since: float, seconds: float) -> list[_State]:
        """Return the states that answers may come from: those since a moment, and in the last seconds before it."""
        former = [moment.state for moment in self._moments[:-1] if moment.until > since - seconds]
        return [*former, self._state]

    @property
    def _state(self) -> _State:
        return self._moments[-1].state

    def _change(self, state: _State) -> None:
        if self._held_from is None:
            self._moments[-1].until = self._clock.monotonic()
        self._moments.append(_Moment(state))


def _unavailable(rule: Rule) -> Verdict:
    """Return the verdict where a policy is not met because its findings could not be made."""
    return Verdict.UNAVAILABLE if rule.unmet is Verdict.DENY else rule.unmet
