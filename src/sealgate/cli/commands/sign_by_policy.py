"""`sealgate sign --policy`: sign named images, or every tag that a SigningPolicy covers."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.cli.inputs.signing_policies import read_policy
from sealgate.cli.outputs import console, signing
from sealgate.cli.outputs.progress import LONG_RUN, progress_bar
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import SigningError
from sealgate.messages import quote
from sealgate.policies.signing import SigningCoverage
from sealgate.registry.client import RegistryClient
from sealgate.signing.checkpoints import Checkpoint, CheckpointFile, default_checkpoint_directory
from sealgate.signing.discovery import CoveredTag, Discovery, Undiscovered
from sealgate.signing.locks import RepositoryLocks, default_lock_directory
from sealgate.signing.policies import named_hosts, open_signer
from sealgate.signing.runs import SignedImage, SigningRun
from sealgate.signing.streams import SigningStream
from sealgate.trusted_state.stores import MemoryTrustedState

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.cli.inputs.signing_policies import ChosenPolicy, PolicyChoice
    from sealgate.references import Reference

#: Images after which the checkpoint is stored.
_STORED_EVERY = 100
#: Seconds for another run of the same policy to end.
_LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Opened:
    """A policy, ready to sign.

    Attributes:
        policy: the policy.
        coverage: its images.
        discovery: finds them.
        stream: signs them.
        locks: of this machine.
    """

    policy: ChosenPolicy
    coverage: SigningCoverage
    discovery: Discovery
    stream: SigningStream
    locks: RepositoryLocks


@dataclass(frozen=True, slots=True)
class SigningByPolicy:
    """Signs by a policy, and prints what came of it.

    Attributes:
        choice: names the policy.
        registries: how hosts are reached.
        timeout: seconds for each image, each list, and the opening of the key; greater than 0.
        output: "json", or text.
    """

    choice: PolicyChoice
    registries: RegistryOptions
    timeout: float
    output: str

    def sign_images(self, references: Sequence[Reference]) -> Exit:
        """Sign images that the policy covers; return the exit code.

        Raises:
            SealgateError: the policy cannot be read, or its key cannot be opened.
        """
        with self._open() as opened:
            refused = {number: _refusal(each, opened) for number, each in enumerate(references)}
            signed = opened.stream.sign(each for number, each in enumerate(references) if refused[number] is None)
            outcomes = [refused[number] or next(signed) for number in range(len(references))]
        signing.print_outcomes(outcomes, opened.policy.spec.format, self.output)
        return signing.exit_of(outcomes)

    def sign_every(self, *, restart: bool) -> Exit:
        """Sign every tag that the policy covers; return the exit code.

        Args:
            restart: whether to ignore the checkpoint of an interrupted run.

        Raises:
            SealgateError: the policy cannot be read, its key cannot be opened, or it covers too many tags.
        """
        with self._open() as opened:
            file = CheckpointFile(default_checkpoint_directory(), opened.policy.name, opened.policy.spec)
            alone = Deadline.after(opened.stream.clock, _LOCK_SECONDS)
            with opened.locks.hold(
                f"the checkpoint of the SigningPolicy {opened.policy.name} ({file.key[:12]})", alone
            ):
                work = _EveryTag(opened, file, self.output == "json")
                return work.run(None if restart else file.read())

    @contextlib.contextmanager
    def _open(self) -> Iterator[_Opened]:
        clock = SystemClock()
        with RegistryClient(settings_of(self.registries), clock=clock) as client:
            policy = read_policy(self.choice, client, clock)
            coverage, credentials = SigningCoverage.compile(policy.spec), credentials_of(self.registries)
            locks = RepositoryLocks(default_lock_directory())
            run = SigningRun(
                client=client,
                credentials=credentials,
                clock=clock,
                signer=open_signer(policy.spec, policy.access, Deadline.after(clock, self.timeout)),
                locks=locks,
                state=MemoryTrustedState(),
                timeout=self.timeout,
                named_hosts=named_hosts(policy.spec),
                secrets=policy.access.secrets,
            )
            discovery = Discovery(coverage, client, credentials, clock, self.timeout)
            stream = SigningStream(run.sign_one, clock, policy.spec.tags_per_minute)
            yield _Opened(policy, coverage, discovery, stream, locks)


def _refusal(reference: Reference, opened: _Opened) -> SignedImage | None:
    """Return the result of an image that the policy does not sign; None if it does."""
    tag, policy = reference.effective_tag, f"the SigningPolicy {quote(opened.policy.name, 64)}"
    if reference.digest is not None:
        error = SigningError(f"{policy} signs what a tag names now; leave the digest out")
    elif tag is None or not opened.coverage.covers(reference.name, tag):
        error = SigningError(f"{policy} does not cover {quote(reference.name)}:{tag}; add it to the policy's images")
    else:
        return None
    return SignedImage(reference, error=error)


@dataclass(slots=True)
class _EveryTag:
    """A run over all tags of a policy.

    Attributes:
        opened: the policy.
        file: stores how far the run has come.
        json: whether entries are printed as JSON.
        checkpoint: how far the run has come.
        writer: prints entries.
    """

    opened: _Opened
    file: CheckpointFile
    json: bool
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    writer: signing.EntryWriter = field(init=False)

    def run(self, earlier: Checkpoint | None) -> Exit:
        """Sign every tag after a checkpoint; return the exit code."""
        self.writer = signing.EntryWriter(self.opened.policy.spec.format)
        if earlier is not None and earlier.after is not None:
            self.checkpoint = earlier
            done, last = sum(earlier.counts.values()), quote(":".join(earlier.after), 640)
            click.echo(f"Going on after {last}; {done} done before. --restart begins anew.", err=True)
        tags = self._plan()
        stop = self.opened.stream.stop
        with _stopped_by_interrupt(stop):
            complete = self._sign(tags)
        self._report(complete=complete)
        return self._exit() if complete else Exit.INTERRUPTED

    def _plan(self) -> list[CoveredTag]:
        """Find the tags, and record what could not be listed."""
        discovery = self.opened.discovery
        found = discovery.repositories()
        items = [*found.missing, *discovery.tags(found.repositories, self.checkpoint.after)]
        known = {name for name, _ in self.checkpoint.failures}
        for item in items:
            if isinstance(item, Undiscovered) and item.name not in known:
                self._record(item)
        return [item for item in items if isinstance(item, CoveredTag)]

    def _sign(self, tags: Sequence[CoveredTag]) -> bool:
        """Sign tags; return whether that was all of them."""
        started, done = self.opened.stream.clock.monotonic(), 0
        try:
            with progress_bar("signing", len(tags), LONG_RUN) as bar:
                task = bar.add_task("signing", total=len(tags), rate=0, failed=self._failed)
                for tag, each in zip(tags, self.opened.stream.sign(tag.reference for tag in tags), strict=False):
                    self._record(each)
                    done += 1
                    self.checkpoint.after = (tag.name, tag.tag)
                    if done % _STORED_EVERY == 0:
                        self.file.store(self.checkpoint)
                    minutes = max(self.opened.stream.clock.monotonic() - started, 1.0) / 60
                    bar.update(task, completed=done, rate=round(done / minutes), failed=self._failed)
            return done == len(tags)
        finally:
            if done < len(tags):
                self.file.store(self.checkpoint)
            else:
                self.file.remove()

    def _record(self, each: SignedImage | Undiscovered) -> None:
        if self.json:
            self.writer.write(each)
        if isinstance(each, Undiscovered):
            self.checkpoint.count("unavailable")
            self.checkpoint.fail(each.name, each.message)
            return
        self.checkpoint.count(signing.outcome_name(each))
        if each.error is not None:
            self.checkpoint.fail(str(each.reference), each.error.message)

    @property
    def _failed(self) -> int:
        return sum(self.checkpoint.counts.get(name, 0) for name in ("refused", "unavailable"))

    def _report(self, *, complete: bool) -> None:
        out = console.notes() if self.json else console.output()
        if self.json:
            self.writer.close()
        failures = self.checkpoint.failures
        if failures:
            out.print(signing.failures_table(failures))
            if self._failed > len(failures):
                out.print(console.plain(f"and {self._failed - len(failures)} more"))
            out.print()
        end = "" if complete else "; interrupted, run the command again to go on"
        out.print(console.plain(f"{signing.counts_text(self.checkpoint.counts)}{end}"))

    def _exit(self) -> Exit:
        counts = self.checkpoint.counts
        if counts.get("unavailable"):
            return Exit.UNDETERMINED
        return Exit.DENIED if counts.get("refused") else Exit.ADMITTED


@contextlib.contextmanager
def _stopped_by_interrupt(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C end the run after what is under way, and the second at once."""

    def interrupt(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("\nEnding after what is under way; press Ctrl-C again to end at once.", err=True)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
