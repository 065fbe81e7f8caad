"""What the format costs those who do not use it."""

from __future__ import annotations

import subprocess
import sys

from tests.support.environments.notation import notation_check
from tests.support.signers.notation import IDENTITY, Authority


def test_format_is_imported_only_where_an_authenticator_has_it() -> None:
    code = "import sys, sealgate.formats.build; print([name for name in sys.modules if 'formats.notation' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    spec = {"trustStores": {"ca": [{"pem": Authority("root").pem}]}, "trustedIdentities": [IDENTITY]}
    assert notation_check(spec).format == "notation"
