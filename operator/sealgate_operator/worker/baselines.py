"""Baselines: which tag named which digest when a policy was made, or when its images, key or format changed.

A baseline is a set of short hashes, kept in memory as one sorted run of bytes and in SigningBaselines. The status of
the policy has the number of entries and a checksum; a baseline that does not fit them is lost, and signs nothing.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.signing_baseline import ENTRY_BYTES, MAX_ENTRIES, SigningBaselineSpec, baseline_entry
from sealgate.errors import NotFoundError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.lists import list_pages
from sealgate.kubernetes.secrets import InvalidBase64Error, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.api.v1alpha1.signing_status import BaselineStatus
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence

#: What a policy says that a baseline depends on.
_CONTENT = frozenset(
    {
        *("images", "exclude_images", "key", "algorithm", "distinguishing_id"),
        *("cosign", "simple_signing", "notary", "grafeas", "oracle"),
    }
)
_UID_LABEL = "sealgate.dev/policy-uid"
_KEY_DIGITS = 32
#: SigningBaselines that are listed at once: up to 700 KiB each.
_PAGE = 8


@dataclass(frozen=True, slots=True)
class Baseline:
    """A set of entries.

    Attributes:
        data: the entries, sorted, each once, one after the other.
    """

    data: bytes

    @classmethod
    def of(cls, entries: Iterable[bytes]) -> Baseline:
        """Return a baseline of entries of `ENTRY_BYTES` bytes each, in any order."""
        return cls(b"".join(sorted(set(entries))))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.data) // ENTRY_BYTES

    def __contains__(self, entry: bytes) -> bool:
        """Return whether an entry is in it."""
        at = bisect_left(range(len(self)), entry, key=self._at)
        return at < len(self) and self._at(at) == entry

    @property
    def checksum(self) -> str:
        """Hash of all entries, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def parts(self) -> list[bytes]:
        """The entries in parts, as objects hold them; at least one."""
        size = MAX_ENTRIES * ENTRY_BYTES
        return [self.data[start : start + size] for start in range(0, len(self.data), size)] or [b""]

    def has_catalog(self, registry: str) -> bool:
        """Return whether the catalog of a registry was read when the baseline was recorded."""
        return catalog_entry(registry) in self

    def _at(self, number: int) -> bytes:
        return self.data[number * ENTRY_BYTES : (number + 1) * ENTRY_BYTES]


def catalog_entry(registry: str) -> bytes:
    """Return the entry that says that a registry's catalog was read; no tag has it, since no repository is so named.

    Without it, a catalog that can be read one day would make every old image in it new.
    """
    return baseline_entry(f"{registry}/", "", "catalog")


def baseline_key(spec: SigningPolicySpec) -> str:
    """Return a hash (hex) of what a policy says about images, key and format."""
    content = spec.model_dump(mode="json", by_alias=True, include=set(_CONTENT))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]


class BaselineObjects:
    """The SigningBaselines of the release's namespace.

    Args:
        api: the API server.
        namespace: the release's.
        fence: whether this replica may write.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, fence: Fence) -> None:
        self._api = api
        self._path = f"/apis/{API_VERSION}/namespaces/{namespace}/signingbaselines"
        self._fence = fence

    def read(self, uid: str, status: BaselineStatus) -> Baseline | None:
        """Return a recorded baseline; None if it does not fit the status: it is lost.

        Args:
            uid: of the policy.
            status: what the policy's status says about it.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        parts = []
        for number in range(status.objects):
            try:
                found = self._api.get(f"{self._path}/{_name(uid, status.key, number)}")
            except NotFoundError:
                return None
            part = _part(found, uid, status.key, number)
            if part is None:
                return None
            parts.append(part)
        baseline = Baseline(b"".join(parts))
        fits = (len(baseline), baseline.checksum) == (status.entries, status.checksum)
        return baseline if fits else None

    def write(self, policy: str, uid: str, key: str, baseline: Baseline) -> None:
        """Store a baseline, and delete every other one of the policy.

        Args:
            policy: name of the policy.
            uid: its UID.
            key: its `baseline_key`.
            baseline: the entries.

        Raises:
            UnavailableError: it could not be written (and its subclasses).
        """
        documents = [_document(policy, uid, key, number, part) for number, part in enumerate(baseline.parts)]
        for document in documents:
            self._put(document)
        self._delete_others(uid, {document["metadata"]["name"] for document in documents})

    def _put(self, document: dict[str, Any]) -> None:
        self._fence.check()
        try:
            self._api.create(self._path, document)
        except ConflictError:
            # Of a recording that did not come to its end: nothing rests on it.
            self._api.delete(f"{self._path}/{document['metadata']['name']}")
            self._fence.check()
            self._api.create(self._path, document)

    def _delete_others(self, uid: str, kept: set[str]) -> None:
        for name in self._names_of(uid) - kept:
            self._fence.check()
            self._api.delete(f"{self._path}/{name}")

    def _names_of(self, uid: str) -> set[str]:
        pages = list_pages(self._api, self._path, _PAGE, {"labelSelector": f"{_UID_LABEL}={uid}"})
        found = (item for page in pages for item in page.get("items") or ())
        return {item["metadata"]["name"] for item in found if item["spec"].get("policyUid") == uid}


def _name(uid: str, key: str, number: int) -> str:
    return f"baseline-{hashlib.sha256(f'{uid} {key}'.encode()).hexdigest()[:32]}-{number}"


def _document(policy: str, uid: str, key: str, number: int, part: bytes) -> dict[str, Any]:
    owner = {"apiVersion": API_VERSION, "kind": "SigningPolicy", "name": policy, "uid": uid}
    return {
        "apiVersion": API_VERSION,
        "kind": "SigningBaseline",
        "metadata": {"name": _name(uid, key, number), "labels": {_UID_LABEL: uid}, "ownerReferences": [owner]},
        "spec": {"policyUid": uid, "key": key, "number": number, "entries": encode(part)},
    }


def _part(found: dict[str, Any], uid: str, key: str, number: int) -> bytes | None:
    try:
        spec = SigningBaselineSpec.model_validate(found.get("spec"))
        part = decode(spec.entries, "raise")
    except (ValidationError, InvalidBase64Error):
        return None
    return part if (spec.policy_uid, spec.key, spec.number) == (uid, key, number) else None
