"""Configuration of docker-registry that sends events to an endpoint, as the documentation has it."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[3] / "docs" / "push-events.md"


def notifications(url: str, token: str) -> str:
    """Return YAML that is added to the configuration; failed events are sent again after 100 ms.

    Args:
        url: of the endpoint.
        token: bearer token.
    """
    (snippet,) = re.findall(r"```yaml\n(notifications:\n.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    text: str = snippet
    changes = {"https://sealgate-events.example.com/events/shop": url, "TOKEN": token, "backoff: 1s": "backoff: 100ms"}
    for written, instead in changes.items():
        assert written in text
        text = text.replace(written, instead)
    return text
