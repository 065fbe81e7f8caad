"""`sealgate doctor`: say what is wrong with an installation, and what to do."""

from __future__ import annotations

import contextlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from sealgate.cli.examinations import Examination
from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.bundle_contents import BundleContents
from sealgate.cli.inputs.doctor_options import doctor_options
from sealgate.cli.inputs.files import name_of
from sealgate.cli.outputs import console, diagnosis
from sealgate.cli.outputs.bundles import new_file, write_bundle
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.schemas import schema_option
from sealgate.clocks import SystemClock
from sealgate.diagnosis.checks import Outcome
from sealgate.diagnosis.redaction import redact_value
from sealgate.kubernetes.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from sealgate.cli.inputs.doctor_options import DoctorOptions
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.clocks import Clock
    from sealgate.diagnosis.checks import Check

_EXITS = {
    Outcome.OK: Exit.ADMITTED,
    Outcome.WARNING: Exit.ADMITTED,
    Outcome.PROBLEM: Exit.DENIED,
    Outcome.NOT_CHECKED: Exit.UNDETERMINED,
}


@click.command(
    epilog=examples(
        "sealgate doctor",
        "sealgate doctor --context production --namespace sealgate-system",
        "sealgate doctor --output json",
        "sealgate doctor --bundle sealgate-bundle.tar.gz",
    )
)
@doctor_options
@options.registry_options
@options.timeout_option("each registry, signature store and KMS")
@click.option(
    "--bundle",
    type=click.Path(),
    metavar="FILE",
    help="Also write a support bundle (.tar.gz) without secrets: what was found, sealgate's objects, Events, logs and "
    "metrics. An existing file is not overwritten.",
)
@options.output_option
@schema_option("doctor")
def doctor(chosen: DoctorOptions, registries: RegistryOptions, timeout: float, bundle: str | None, output: str) -> Exit:
    """Say what is wrong with an installation, and what to do.

    Compares the versions of the components and CRDs, the webhook configurations with what the chart wants, the
    webhook's certificates and the clocks; has the API server call the webhook; reads whether the policies are ready;
    and asks each registry, signature store and KMS that policies and authenticators name. Everything is done with your
    own rights (docs/doctor.md has a ClusterRole), and nothing is changed. Secrets are read only if you name them, in a
    pod also where the rights of its ServiceAccount permit that.

    Exit codes: 0 no problem found (warnings included), 1 a problem found, 2 invalid usage or no kubeconfig, 3 something
    could not be checked. Of several the highest code.
    """
    api, clock = connect(context=chosen.context), SystemClock()
    examination = Examination(api, chosen, registries, clock, timeout)
    # The file is created first, so that an examination whose result cannot be written does not begin.
    with contextlib.ExitStack() as files:
        file = None if bundle is None else files.enter_context(new_file(bundle))
        with progress_bar("asking servers", None) as bar:
            task = bar.add_task("asking", total=None)
            checks = examination.run(lambda total: bar.update(task, total=total), lambda: bar.advance(task))
        if file is not None:
            _write(file, BundleContents(api, chosen.namespace), checks, chosen.namespace, clock)
    if bundle is not None:
        click.echo(f"the support bundle is in {name_of(bundle)}: read it before you send it", err=True)
    _report(checks, chosen.namespace, output)
    return max((_EXITS[check.outcome] for check in checks), default=Exit.ADMITTED)


def _write(file: BinaryIO, contents: BundleContents, checks: Sequence[Check], namespace: str, clock: Clock) -> None:
    def parts() -> Iterator[tuple[tuple[str, ...], bytes]]:
        document = diagnosis.diagnosis_document(checks, namespace, version("sealgate"))
        yield ("doctor.json",), json.dumps(redact_value(document), indent=2).encode()
        with progress_bar("writing the bundle", None) as bar:
            task = bar.add_task("writing", total=None)
            for part in contents.parts():
                yield part
                bar.advance(task)
        # Last, when it is known what could not be read.
        yield ("contents.json",), json.dumps({"leftOut": contents.unread}, indent=2).encode()

    write_bundle(file, parts(), clock.now())


def _report(checks: Sequence[Check], namespace: str, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(diagnosis.diagnosis_document(checks, namespace, version("sealgate")), indent=2))
        return
    out = console.output()
    out.print(diagnosis.table(checks))
    out.print()
    out.print(diagnosis.summary(checks))
