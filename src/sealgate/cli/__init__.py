"""The command line: `sealgate verify | serve | policy | key`.

Every command is a thin shell over the functions that the webhook and the operator use. What a script may rely on:

- standard output holds the answer and nothing else; notes, progress and errors go to standard error;
- the exit codes of `sealgate.cli.exits.Exit`;
- the JSON of `verify`, whose schema `sealgate verify --schema` prints.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line with the process's own arguments and exit."""
    from sealgate.cli.app import cli
    from sealgate.cli.exits import Exit

    try:
        cli()
    except SystemExit as ending:
        if ending.code != Exit.INTERRUPTED:
            raise
        # Verifications under way must not hold up somebody who pressed Ctrl-C: leave without joining their threads.
        sys.stderr.flush()
        os._exit(Exit.INTERRUPTED)
