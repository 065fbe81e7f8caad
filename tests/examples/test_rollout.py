"""The policy of the rollout guide is valid. Its commands are run on a cluster (`tests/e2e/test_rollout.py`)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator
from tests.support.signers.private_keys import new_key, public_pem

PAGE = Path(__file__).parents[2] / "docs/rollout.md"


def test_policy_of_the_guide_is_valid(tmp_path: Path) -> None:
    (yaml,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "production.yaml").write_text(yaml)
    write(tmp_path / "release-key.yaml", authenticator("release-key", public_pem(new_key("ECDSA P-256", "release"))))
    checked = sealgate("policy", "check", tmp_path)
    assert checked.exit_code == 0, checked.output
