"""Output of `sealgate signatures`: tables for people, and JSON, an API for other programs; see `schemas` beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.table import Table

from sealgate.cli.exits import Exit
from sealgate.cli.outputs.console import plain
from sealgate.errors import UnavailableError
from sealgate.reasons import TRANSIENT_REASONS, Reason
from sealgate.signing.deleting import SHORT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from sealgate.findings import SeenSignature
    from sealgate.signing.listing import Judgement, ListedImage, ListedSignature, ListedTag

#: Paths of the files of a signature, by the image's digest and the signature's index.
Files: TypeAlias = "Mapping[tuple[str, int], tuple[str, ...]]"

_STYLES = {"verified": "bold green", "notChecked": "", "refused": "bold red", "unavailable": "bold magenta"}
_SHOWN = {"notChecked": "not checked", "unavailable": "not determined"}
_SIGNED = {
    Exit.ADMITTED: ("yes", "bold green"),
    Exit.DENIED: ("no", "bold red"),
    Exit.UNDETERMINED: ("not determined", "bold magenta"),
}
_SHORT = len("sha256:") + 12


def images_text(images: Sequence[ListedImage], files: Files) -> str:
    """Return the JSON document: one entry for each image, in order, ASCII only, indented.

    Args:
        images: the images.
        files: see `sealgate.cli.outputs.downloads.save_contents`; empty if nothing was downloaded.
    """
    return json.dumps([_image(each, files) for each in images], indent=2)


def tags_text(tags: Sequence[ListedTag]) -> str:
    """Return the JSON document of a repository: one entry for each tag, as `images_text` has it for its image."""
    return json.dumps([_tag(each) for each in tags], indent=2)


def print_tags(tags: Sequence[ListedTag], out: Console, *, judged: bool) -> None:
    """Print a table of tags with who signed each, and how many are signed.

    Args:
        tags: of one repository.
        out: where.
        judged: see `exit_of`.
    """
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in ("Signed", "Tag", "Digest"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("By", overflow="fold")
    for each in tags:
        word, style = _SIGNED[tag_exit(each, judged=judged)]
        digest = "-" if each.listed is None else each.listed.image.digest[:_SHORT]
        shown.add_row(plain(word, style), plain(each.name.rpartition(":")[2]), plain(digest), plain(_by(each)))
    out.print(shown)
    out.print()
    signed = sum(tag_exit(each, judged=judged) is Exit.ADMITTED for each in tags)
    out.print(plain(f"{len(tags)} {'tag' if len(tags) == 1 else 'tags'}: {signed} signed"))


def tags_exit(tags: Sequence[ListedTag], *, judged: bool) -> Exit:
    """Return the exit code of a repository: the highest of its tags; arguments as for `print_tags`."""
    return max((tag_exit(each, judged=judged) for each in tags), default=Exit.ADMITTED)


def tag_exit(tag: ListedTag, *, judged: bool) -> Exit:
    """Return the exit code of one tag; see `exit_of`."""
    if tag.listed is not None:
        return _exit(tag.listed, judged=judged)
    return Exit.UNDETERMINED if isinstance(tag.error, UnavailableError) else Exit.DENIED


def print_images(images: Sequence[ListedImage], out: Console) -> None:
    """Print, for each image, a table of its signatures, and below it why some do not count."""
    for listed in images:
        out.print(plain(_heading(listed), "bold"))
        if listed.signatures:
            out.print(signatures_table(listed.signatures))
        else:
            out.print(plain("no signature"))
        for line in _notes(listed):
            out.print(plain(line))
        out.print()


def exit_of(images: Sequence[ListedImage], *, judged: bool) -> Exit:
    """Return the exit code of a listing: the highest of its images.

    The image that was named has to have a signature. The manifests of its platforms need none, but what they have must
    be readable.

    Args:
        images: of one reference.
        judged: whether authenticators judge, so that the signature has to be verified.
    """
    return max((_exit(listed, judged=judged) for listed in images), default=Exit.ADMITTED)


def _exit(listed: ListedImage, *, judged: bool) -> Exit:
    counts = any(each.verified or (not judged and each.result is None) for each in _signatures(listed))
    if isinstance(listed.platforms, UnavailableError):
        return Exit.UNDETERMINED
    if listed.platforms is not None:
        return Exit.DENIED
    if not counts and any(each.unavailable for each in listed.signatures):
        return Exit.UNDETERMINED
    return Exit.ADMITTED if counts or listed.index is not None else Exit.DENIED


def _signatures(listed: ListedImage) -> Iterator[ListedSignature]:
    """Yield what may make an image a signed one: attestations do not."""
    return (each for each in listed.signatures if not each.stored.attests)


def _heading(listed: ListedImage) -> str:
    platform = "" if listed.index is None else "platform of the index: "
    digest = "" if listed.image.reference.digest else f" ({listed.image.digest})"
    return f"{platform}{listed.image.reference}{digest}"


def signatures_table(signatures: Sequence[ListedSignature]) -> Table:
    """Return a table with one row for each signature, with the beginning of its ID."""
    shown = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in ("ID", "Outcome", "Format", "Key", "Algorithm", "Time"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("Where", overflow="fold")
    shown.add_column("Digest", no_wrap=True)
    shown.add_column("Size", no_wrap=True, justify="right")
    for each in signatures:
        stored, outcome = each.stored, _outcome(each.result)
        shown.add_row(
            plain(each.id[:SHORT_ID] or "-"),
            plain(_SHOWN.get(outcome, outcome), _STYLES[outcome]),
            plain(each.format or "-"),
            plain(made_by(each)),
            plain(stored.algorithm or "-"),
            plain(stored.time or "-"),
            plain(stored.source),
            plain(stored.digest[:_SHORT] or "-"),
            plain("-" if stored.size is None else stored.size),
        )
    return shown


def _by(tag: ListedTag) -> str:
    """Return who signed a tag's image: keys and authenticators; else why that is not known."""
    if tag.listed is None:
        return "-" if tag.error is None else tag.error.message
    signers = dict.fromkeys(_signer(each) for each in _signatures(tag.listed) if each.verified or each.result is None)
    if signers:
        return ", ".join(signers)
    return next((each.result.message for each in _signatures(tag.listed) if each.result is not None), "-")


def _signer(listed: ListedSignature) -> str:
    names = [each.authenticator for each in listed.judgements if each.seen.reason is Reason.VERIFIED]
    return f"{made_by(listed)} ({', '.join(names)})" if names else f"{listed.format}, not checked"


def made_by(listed: ListedSignature) -> str:
    """Return the key that made a signature for a person, or the one that it states; a dash for none."""
    fingerprint = listed.result.fingerprint if listed.result else None
    if fingerprint is not None:
        version = f" version {listed.stored.key_version}" if listed.stored.key_version else ""
        return f"{fingerprint[:_SHORT]}{version}"
    return f"says {listed.stored.key[:_SHORT]}" if listed.stored.key else "-"


def _notes(listed: ListedImage) -> Iterator[str]:
    for each in listed.signatures:
        stored = each.stored
        if stored.attests:
            yield f"{stored.source}: attestation: {stored.attests}"
        if stored.description:
            yield f"{stored.source}: description: {stored.description}"
        for name, value in stored.metadata.items():
            yield f"{stored.source}: {name}={value}"
        yield from (f"{stored.source}: Warning: {warning}" for warning in stored.warnings)
        if each.judgements:
            yield from (f"{stored.source}: {_judgement(judgement)}" for judgement in each.judgements)
        elif each.result is not None:
            yield f"{stored.source}: {each.result.message}"
    if listed.platforms is not None:
        yield f"the manifests of its platforms are not listed: {listed.platforms.message}"


def _judgement(judgement: Judgement) -> str:
    outcome = _outcome(judgement.seen)
    return f"{_SHOWN.get(outcome, outcome)} by authenticator {judgement.authenticator}: {judgement.seen.message}"


def _outcome(seen: SeenSignature | None) -> str:
    if seen is None:
        return "notChecked"
    if seen.reason is Reason.VERIFIED:
        return "verified"
    return "unavailable" if seen.reason in TRANSIENT_REASONS else "refused"


def _tag(tag: ListedTag) -> dict[str, Any]:
    if tag.listed is not None:
        return _image(tag.listed, {})
    unknown: dict[str, Any] = {
        "subject": None,
        "index": None,
        "signatures": [],
        "platformsReason": None,
        "platformsMessage": None,
    }
    reason, message = (None, None) if tag.error is None else (tag.error.reason.value, tag.error.message)
    return {"image": tag.name, **unknown, "reason": reason, "message": message}


def _image(listed: ListedImage, files: Files) -> dict[str, Any]:
    digest = listed.image.digest
    return {
        "image": str(listed.image.reference),
        "subject": listed.image.digest,
        "index": None if listed.index is None else listed.index.digest,
        "signatures": [
            _signature(each, files.get((digest, index), ())) for index, each in enumerate(listed.signatures)
        ],
        "platformsReason": None if listed.platforms is None else listed.platforms.reason.value,
        "platformsMessage": None if listed.platforms is None else listed.platforms.message,
        "reason": None,
        "message": None,
    }


def _signature(each: ListedSignature, files: Sequence[str]) -> dict[str, Any]:
    stored, result = each.stored, each.result
    return {
        "id": each.id or None,
        "format": each.format or None,
        "source": stored.source,
        "outcome": _outcome(result),
        "reason": None if result is None else result.reason.value,
        "message": None if result is None else result.message,
        "keyFingerprint": None if result is None else result.fingerprint,
        "statedKey": stored.key or None,
        "keyVersion": stored.key_version or None,
        "algorithm": stored.algorithm or None,
        "time": stored.time or None,
        "location": stored.location or None,
        "digest": stored.digest or None,
        "size": stored.size,
        "description": stored.description or None,
        "predicateType": stored.attests or None,
        "metadata": dict(stored.metadata),
        "files": list(files),
        "warnings": list(stored.warnings),
        "authenticators": [_authenticator(judgement) for judgement in each.judgements],
    }


def _authenticator(judgement: Judgement) -> dict[str, Any]:
    seen = judgement.seen
    return {
        "name": judgement.authenticator,
        "outcome": _outcome(seen),
        "reason": seen.reason.value,
        "message": seen.message,
        "keyFingerprint": seen.fingerprint,
    }
