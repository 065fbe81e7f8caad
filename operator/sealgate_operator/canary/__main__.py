"""`python -m sealgate_operator.canary --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

from sealgate_operator.canary.application import Canary
from sealgate_operator.canary.config import CanaryConfig
from sealgate_operator.process import exit_at_once, run_replica


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status, 2 for invalid settings."""
    return run_replica(arguments, "sealgate_operator.canary", "Run sealgate's canary.", CanaryConfig, Canary)


if __name__ == "__main__":
    exit_at_once(main())
