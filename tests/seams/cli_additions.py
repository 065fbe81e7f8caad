"""A toy credential provider, a toy cloud and a toy command, added to a copy of the sources as CONTRIBUTING.md says."""

from __future__ import annotations

from tests.seams.additions import Addition

CREDENTIALS = Addition(
    files={},
    lines={
        "src/sealgate/registry/credentials.py": [
            (
                '_WHITE_SPACE = re.compile(r"\\s+", re.ASCII)',
                '''

class ToyCredentials:
    """The user `toy`, for every registry."""

    @property
    def source(self):
        return "toy"

    def candidates(self, repository):
        return (Candidate(Exactness(False, 0, 0), Credentials("toy", "t0y")),)

    cached = candidates
''',
            ),
        ],
        "src/sealgate/cli/inputs/registries.py": [
            (
                "from sealgate.registry.credentials import CredentialChain, DockerConfigCredentials, NoCredentials",
                "from sealgate.registry.credentials import ToyCredentials",
            ),
            (
                "    found = [_read(path) for path in _usual_configs() if _exists(path)]",
                "    found.append(ToyCredentials())",
            ),
        ],
        "webhook/sealgate_webhook/backends/cluster/pull_secrets.py": [
            (
                "from sealgate.registry.credentials import CredentialChain, DockerConfigCredentials, merge",
                "from sealgate.registry.credentials import ToyCredentials",
            ),
            (
                "        providers: list[CredentialProvider] = []",
                "        providers.append(ToyCredentials())",
            ),
        ],
    },
)

CLOUD = Addition(
    files={
        "src/sealgate/pull_credentials/providers/toy.py": '''
"""A toy cloud."""

from __future__ import annotations

from sealgate.pull_credentials.interface import Issued
from sealgate.registry.credentials import Login


class ToyLogin:
    identity = ("toy",)
    token_services = frozenset()
    who = "the toy identity"
    remedy = "play"

    def log_in(self, services, clock):
        return Issued(Login("toy", "cl0ud"), 3600)


def open_login(entry, host, environ):
    entry.permit(("colour",))
    return ToyLogin()
''',
    },
    lines={
        "src/sealgate/pull_credentials/opening.py": [
            (
                '    "aws": "sealgate.pull_credentials.providers.aws",',
                '    "toy": "sealgate.pull_credentials.providers.toy",',
            ),
        ],
    },
)

COMMAND = Addition(
    files={
        "src/sealgate/cli/commands/toy.py": '''
"""`sealgate toy`: an example of a command."""

from __future__ import annotations

import click

from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.errors import ConfigError


@click.command(epilog=examples("sealgate toy"))
@click.argument("word")
@options.output_option
def toy(word, output):
    """Repeat a word.

    Exit codes: 0 repeated, 2 the word is empty.
    """
    if not word:
        raise ConfigError("the word is empty")
    click.echo(f"{output}: {word}")
    return Exit.ADMITTED
''',
    },
    lines={
        "src/sealgate/cli/app.py": [
            (
                '    "crd": "sealgate.cli.commands.crd:crd",',
                '    "toy": "sealgate.cli.commands.toy:toy",',
            ),
        ],
    },
)
