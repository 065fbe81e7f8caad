"""Docker's own reading of a reference, from the grammar that `distribution/reference` documents."""

from __future__ import annotations

import re

_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"({_DOMAIN})/({_PATH}(?:/{_PATH})*)(?::({_TAG}))?(?:@({_DIGEST}))?")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


def docker_parts(text: str) -> tuple[str, str, str | None, str | None] | None:
    """Return domain, path, tag and digest as docker reads them; None where docker refuses."""
    if _IDENTIFIER.fullmatch(text):
        return None
    domain, slash, remainder = text.partition("/")
    if not slash or not (set(domain) & set(".:") or domain == "localhost" or domain.lower() != domain):
        domain, remainder = "docker.io", text
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in remainder:
        remainder = f"library/{remainder}"
    found = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    return None if found is None else (found[1], found[2], found[3], found[4])
