"""Manifests that refer to an image: how they are described, and listed in registries without the referrers API.

What other writers have in the index of the fallback tag is kept as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealgate.errors import SigningError, UnavailableError, VerificationError
from sealgate.formats.tag_updates import PAUSE, SharedTag
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing import evidence
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from sealgate.registry.names import digest_of, referrers_tag

if TYPE_CHECKING:
    from sealgate.formats.signing import SigningContext
    from sealgate.formats.tag_updates import TagUpdate
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Manifest, StoredManifest

#: The most referrers listed, of all kinds together: an image may have many that are no signatures.
MAX_REFERRERS = 1024
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
#: The content of a config that says nothing (OCI image specification, "Guidance for an Empty Descriptor").
EMPTY = b"{}"
#: How often a list of referrers is read until it has the new one.
_READS = 3


def describe(media_type: str, data: bytes, **members: object) -> dict[str, Any]:
    """Return the descriptor of bytes, with further members."""
    return {"mediaType": media_type, "size": len(data), "digest": digest_of(data), **members}


def list_referrer(
    stored: StoredManifest, entry: dict[str, Any], image: Digest, repository: Repository, context: SigningContext
) -> TagUpdate | None:
    """Return once the registry lists a referrer; extend the index of the fallback tag if it does not by itself.

    Args:
        stored: the referrer's manifest, as the registry stored it.
        entry: its entry in the index of the fallback tag; see `referrer_entry`.
        image: digest of the image that it refers to.
        repository: the repository that holds both.
        context: reads and writes.

    Returns:
        What came of the fallback tag; None where the registry lists referrers itself.

    Raises:
        ConflictError: other writers changed the fallback tag each time.
        SigningError: the fallback tag cannot be extended, or the registry refuses the write.
        UnavailableError: the registry does not list the referrer yet, or could not be asked.
    """
    if not stored.lists_subject:
        tag = SharedTag(context, repository, referrers_tag(image), image)
        return tag.update(
            lambda index: has_entry(index_entries(index, tag.name), stored.digest),
            lambda index: (append_referrer(index, entry, tag.name), OCI_INDEX),
        )
    for _ in range(_READS):
        listed = context.sources.registry.referrers(repository, image, MAX_REFERRERS)
        if any(descriptor.digest == stored.digest for descriptor in listed):
            return None
        context.sources.clock.sleep(PAUSE)
    msg = f"{quote(repository.name)} stored the signature {stored.digest} and does not list it yet; try again"
    raise UnavailableError(msg)


def append_referrer(index: Manifest | None, entry: dict[str, Any], where: str) -> bytes:
    """Return the index of the fallback tag with one more referrer.

    Args:
        index: as fetched; None if there is none.
        entry: the descriptor of the new referrer.
        where: the tag, for messages.

    Raises:
        SigningError: the tag holds something else, to which nothing may be added.
    """
    if index is None:
        return _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    return _json({**read_index_document(index, where), "manifests": [*index_entries(index, where), entry]})


def remove_referrer(index: Manifest, digest: Digest, where: str) -> bytes:
    """Return the index of the fallback tag without a referrer; arguments and errors as for `append_referrer`."""
    left = [entry for entry in index_entries(index, where) if not has_entry([entry], digest)]
    return _json({**read_index_document(index, where), "manifests": left})


def index_entries(index: Manifest, where: str) -> list[Any]:
    """Return the entries of the fallback tag's index, as they are; see `append_referrer`."""
    return list(evidence.list_member(read_index_document(index, where), "manifests", "the index"))


def read_index_document(index: Manifest, where: str) -> dict[str, Any]:
    """Return the document of the fallback tag's index, as it is; see `append_referrer`."""
    try:
        if index.media_type != OCI_INDEX:
            raise evidence.malformed("the manifest", "it is not an OCI index")
        document = dict(evidence.parse_object(index.body, "the index", limit=MAX_RESPONSE_BYTES))
        evidence.list_member(document, "manifests", "the index")
    except VerificationError as error:
        msg = f"the tag {where} holds something that is not a list of referrers ({error.message}); it is left as it is"
        raise SigningError(msg) from error
    return document


def referrer_entry(body: bytes, artifact_type: str) -> dict[str, Any]:
    """Return the entry of a referrer in the index of the fallback tag (OCI distribution specification).

    Args:
        body: the referrer's manifest.
        artifact_type: its artifact type.
    """
    annotations = json.loads(body).get("annotations")
    more = {"annotations": annotations} if annotations else {}
    return describe(OCI_MANIFEST, body, artifactType=artifact_type, **more)


def has_entry(entries: list[Any], digest: Digest) -> bool:
    """Return whether a list of layers or entries has one with a digest."""
    return any(isinstance(entry, dict) and entry.get("digest") == digest for entry in entries)


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
