"""Makes the fixtures beside this file, with the real notary and notary-server (0.7.0, Debian's `notary` package).

    python -m tests.data.notary.generate

`recorded/` holds what the real server served after the real CLI signed. `broken/` holds the first of these with one
defect each, the name of the file; for them the server's own timestamp and snapshot keys are replaced in the root,
and every file is signed anew in Python with the keys that the CLI made. No private key is kept.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.data.notary.defects import break_everything
from tests.data.notary.recording import Notary, record_certified, record_dtr, record_plain

HERE = Path(__file__).parent


def main() -> None:
    """Make all fixtures anew."""
    for kind in ("recorded", "broken"):
        (HERE / kind).mkdir(exist_ok=True)
        for file in (HERE / kind).glob("*.json"):
            file.unlink()
    with tempfile.TemporaryDirectory() as folder, Notary(Path(folder)) as notary:
        recorded = record_dtr(notary)
        record_plain(notary)
        record_certified(notary)
        break_everything(recorded, notary)


if __name__ == "__main__":
    main()
