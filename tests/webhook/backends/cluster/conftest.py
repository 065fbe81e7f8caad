from __future__ import annotations

from tests.kubernetes.conftest import api, cluster, log, output

__all__ = ["api", "cluster", "log", "output"]
