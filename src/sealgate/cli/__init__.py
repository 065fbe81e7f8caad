"""The command line: `sealgate verify | scan | serve | policy | key | crd`.

Every command calls the functions that the webhook and the operator use. Scripts may rely on:

- standard output, which has the result and nothing else; notes, progress and errors go to standard error;
- the exit codes of `sealgate.cli.exits.Exit`;
- the JSON of `verify` and `scan`, whose schemas `sealgate verify --schema` and `sealgate scan --schema` print.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line with `sys.argv` and exit."""
    from sealgate.cli.app import cli
    from sealgate.cli.exits import Exit

    try:
        cli()
    except SystemExit as ending:
        if ending.code != Exit.INTERRUPTED:
            raise
        # Ctrl-C must end the process at once, so it exits without joining the threads of running verifications.
        sys.stderr.flush()
        os._exit(Exit.INTERRUPTED)
