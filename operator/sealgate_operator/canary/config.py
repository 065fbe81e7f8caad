"""Settings file of the canary, as the chart writes it."""

from __future__ import annotations

from sealgate_operator.config import Name, ProcessConfig


class CanaryConfig(ProcessConfig):
    """The whole file.

    Attributes:
        namespace: where the dry runs are asked for: the canary's own, in which nothing runs.
        webhook: name of the webhook that must deny.
    """

    namespace: Name
    webhook: Name
