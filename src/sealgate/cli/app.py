"""The `sealgate` command and its subcommands, each imported when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from sealgate.cli import boundary
from sealgate.cli.help import examples

#: Command -> `module:attribute`. Only the command in use is imported, so that `--version` and `--help` are fast.
_COMMANDS = {
    "verify": "sealgate.cli.commands.verify:verify",
    "scan": "sealgate.cli.commands.scan:scan",
    "doctor": "sealgate.cli.commands.doctor:doctor",
    "sign": "sealgate.cli.commands.sign:sign",
    "attest": "sealgate.cli.commands.attest:attest",
    "signatures": "sealgate.cli.commands.signatures:signatures",
    "serve": "sealgate.cli.commands.serve:serve",
    "policy": "sealgate.cli.commands.policy:policy",
    "explain": "sealgate.cli.commands.explain:explain",
    "key": "sealgate.cli.commands.key:key",
    "notary": "sealgate.cli.commands.notary:notary",
    "crd": "sealgate.cli.commands.crd:crd",
}


class Application(click.Group):
    """A group that imports its commands on demand and exits with sealgate's exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, most used first."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; return None if there is no command of that name."""
        del ctx
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def main(self, *args: Any, **options: Any) -> NoReturn:  # noqa: ANN401 - click's own signature
        """Run and exit. Click's own `main` would exit with 1, which means "denied", for any error."""
        if "_SEALGATE_COMPLETE" in os.environ:  # a shell requests completions
            super().main(*args, **options)
        sys.exit(boundary.run(lambda: self._start(*args, **options)))

    def _start(
        self,
        args: list[str] | None = None,
        prog_name: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> object:
        arguments = sys.argv[1:] if args is None else list(args)
        with self.make_context(prog_name or "sealgate", arguments, **options) as context:
            return self.invoke(context)


@click.command(
    cls=Application,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "sealgate verify registry.example.org/shop/web:1.0 --policies policies/",
        "sealgate policy check policies/",
        "sealgate key show release.pub",
    ),
)
@click.version_option(package_name="sealgate", message="sealgate %(version)s")
def cli() -> None:
    """Block container images that are not signed by a trusted key.

    Exit codes of every command: 0 admitted (or no problem found), 1 denied, 2 invalid usage, policy or file,
    3 could not be determined, 130 interrupted.
    """
