"""Has gpg judge the hand-made certificates of `tests/support/signers/openpgp_certificates.py`, into `verdicts.json`.

    python -m tests.data.openpgp_certificates.generate

The certificates themselves are made anew by every test; only what gpg 2.2.40 said is kept: "good", or what else it
reported.
"""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.real_tools.gpg import judge
from tests.support.signers.openpgp_certificates import NOW, certificates

HERE = Path(__file__).parent


def main() -> None:
    """Write `verdicts.json`."""
    gpg = shutil.which("gpg")
    if gpg is None:
        sys.exit("gpg is not installed")
    cases = certificates()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda case: judge(gpg, case.certificate, case.signed, NOW), cases.values())
        verdicts = dict(zip(cases, found, strict=True))
    (HERE / "verdicts.json").write_text(json.dumps(verdicts, indent=1) + "\n")


if __name__ == "__main__":
    main()
