"""`sealgate doctor`: say what is wrong with an installation, and what to do."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from sealgate.cli.examinations import Examination
from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.doctor_options import doctor_options
from sealgate.cli.outputs import console, diagnosis
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.schemas import schema_option
from sealgate.clocks import SystemClock
from sealgate.diagnosis.checks import Outcome
from sealgate.kubernetes.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.inputs.doctor_options import DoctorOptions
    from sealgate.cli.inputs.options import RegistryOptions
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
    )
)
@doctor_options
@options.registry_options
@options.timeout_option("each registry, signature store and KMS")
@options.output_option
@schema_option("doctor")
def doctor(chosen: DoctorOptions, registries: RegistryOptions, timeout: float, output: str) -> Exit:
    """Say what is wrong with an installation, and what to do.

    Compares the versions of the components and CRDs, the webhook configurations with what the chart wants, the
    webhook's certificates and the clocks; has the API server call the webhook; reads whether the policies are ready;
    and asks each registry, signature store and KMS that policies and authenticators name. Everything is done with your
    own rights (docs/doctor.md has a ClusterRole), and nothing is changed. Secrets are read only if you name them.

    Exit codes: 0 no problem found (warnings included), 1 a problem found, 2 invalid usage or no kubeconfig, 3 something
    could not be checked. Of several the highest code.
    """
    examination = Examination(connect(context=chosen.context), chosen, registries, SystemClock(), timeout)
    with progress_bar("asking servers", None) as bar:
        task = bar.add_task("asking", total=None)
        checks = examination.run(lambda total: bar.update(task, total=total), lambda: bar.advance(task))
    _report(checks, chosen.namespace, output)
    return max((_EXITS[check.outcome] for check in checks), default=Exit.ADMITTED)


def _report(checks: Sequence[Check], namespace: str, output: str) -> None:
    if output == "json":
        click.echo(diagnosis.diagnosis_text(checks, namespace, version("sealgate")))
        return
    out = console.output()
    out.print(diagnosis.table(checks))
    out.print()
    out.print(diagnosis.summary(checks))
