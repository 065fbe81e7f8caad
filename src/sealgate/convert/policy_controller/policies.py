"""Conversion of ClusterImagePolicies to VerificationPolicies that admit no more.

An image must meet all ClusterImagePolicies that match it, each by any one of its authorities, and an image that none
matches is denied. So each becomes a VerificationPolicy with `count: 1`, and images without a policy are denied.

An authority without equivalent is left out, which asks for more. A policy of which no authority is left, and one that
always fails, denies its images: every other policy excludes them, so that none covers them. `mode: warn` becomes an
Exempt policy beside the one that warns: such images are admitted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.convert.policy_controller.authorities import authority_spec
from sealgate.convert.policy_controller.globs import selectors_of
from sealgate.convert.results import MAX_AUTHENTICATORS, MAX_NAME, MAX_SELECTORS, NAME, Draft
from sealgate.convert.selectors import NoSelectorError
from sealgate.convert.signers import NoEquivalentError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

GROUP = "policy.sigstore.dev"
KIND = "ClusterImagePolicy"

_SPEC = frozenset({"images", "authorities", "mode", "policy", "match"})
_STORAGES = (
    "signatures and attestations count wherever cosign stores them; policy-controller reads either bundles or the "
    "others, as signatureFormat says"
)
#: Ends the name of the Exempt policy beside one that warns.
_ADMITTED = ".admitted"

_Selectors = list[Mapping[str, Any]]


def convert_cluster_image_policies(documents: Sequence[Document], *, trusted_root: str | None = None) -> Conversion:
    """Convert ClusterImagePolicies.

    Args:
        documents: objects of the group `policy.sigstore.dev`; other kinds are skipped.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: an object is not valid, or something that decides which images it is about has no equivalent.
    """
    return _Converter(trusted_root).convert(documents)


class _Converter:
    """State of one conversion."""

    def __init__(self, trusted_root: str | None) -> None:
        self._trusted_root = trusted_root
        self._draft = Draft()
        self._authenticators: set[str] = set()
        # By name, each with its document. The exclusions that all have are known at the end.
        self._policies: dict[str, tuple[Document, Mapping[str, Any]]] = {}
        self._denied: _Selectors = []

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._add(document)
        if len(self._denied) > MAX_SELECTORS:
            self._draft.wrong(documents[0], "", f"more than {MAX_SELECTORS} globs deny their images")
        self._draft.note("", "images that no policy covers must be denied: set unmatchedImages: deny")
        self._draft.note(
            "",
            "policy-controller verifies in namespaces with the label policy.sigstore.dev/include only; these policies "
            "hold in every namespace that sealgate's webhook serves: write a namespaceSelector to keep to the label",
        )
        if self._authenticators:
            self._draft.note("", _STORAGES)
        denied = {"excludeImages": self._denied} if self._denied else {}
        for name, (document, spec) in self._policies.items():
            self._draft.put(document, "metadata.name", "VerificationPolicy", name, {**spec, **denied})
        return self._draft.conversion("deny")

    def _add(self, document: Document) -> None:
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if value.get("kind") != KIND:
            self._draft.note("", f"{quote(value.get('kind'), 64)} {quote(name, 64)} has no equivalent; left out")
            return
        if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(spec, Mapping):
            self._draft.wrong(document, "", f"{KIND} needs a valid metadata.name, and spec")
            return
        if more := sorted(spec.keys() - _SPEC):
            self._draft.wrong(
                document, f"spec.{quote(more[0], 64)}", "is not known, and could be a requirement; remove it"
            )
        if spec.get("match"):
            self._draft.wrong(
                document, "spec.match", "has no equivalent; remove it if the policy may hold for all kinds of objects"
            )
        mode = spec.get("mode") or "enforce"
        if mode not in ("enforce", "warn"):
            self._draft.wrong(document, "spec.mode", f"is {quote(mode, 40)}, and neither enforce nor warn")
        images = self._images(document, name, spec.get("images"))
        if not self._draft.failed and images:
            self._add_policy(document, name, spec, images)

    def _images(self, document: Document, name: str, listed: object) -> _Selectors:
        if not isinstance(listed, list) or not listed:
            self._draft.wrong(document, "spec.images", "must be a list, not empty")
            return []
        found: _Selectors = []
        for index, item in enumerate(listed):
            field = f"spec.images[{index}].glob"
            glob = item.get("glob") if isinstance(item, Mapping) and item.keys() == {"glob"} else None
            if not isinstance(glob, str):
                self._draft.wrong(document, field, "each image must have a glob, and nothing else")
                continue
            try:
                selectors = selectors_of(glob)
            except NoSelectorError as error:
                self._draft.wrong(document, field, str(error))
                continue
            if not selectors:
                self._draft.note(
                    f"{KIND} {name}, {field}",
                    f"{quote(glob)} matches no image, because policy-controller compares names with their digest and "
                    "calls Docker Hub index.docker.io; left out. Write a * at its end if images were meant",
                )
            found += [selector for selector in selectors if selector not in found]
        if len(found) > MAX_SELECTORS:
            self._draft.wrong(document, "spec.images", f"has more than {MAX_SELECTORS} globs; divide the policy")
        return found

    def _add_policy(self, document: Document, name: str, spec: Mapping[str, Any], images: _Selectors) -> None:
        warns = spec.get("mode") == "warn"
        names, passes = self._authorities(document, name, spec)
        if spec.get("policy"):
            why = "spec.policy in CUE or Rego has no equivalent"
            self._draft.note(f"{KIND} {name}", f"{why}, so its images are denied" if not warns else f"{why}; left out")
            names, passes = [], False
        if len(names) > MAX_AUTHENTICATORS:
            self._draft.wrong(document, "spec.authorities", f"has more than {MAX_AUTHENTICATORS} authorities")
        if not names and not passes and not warns:
            self._denied += [selector for selector in images if selector not in self._denied]
            self._draft.note(f"{KIND} {name}", "none of its authorities can be met here: its images are denied")
            return
        if warns or passes:
            exempt = f"{name}{_ADMITTED}" if warns and names else name
            self._put(document, exempt, {"action": "Exempt", "images": images})
        if names and not passes:
            action: dict[str, Any] = {"action": "Warn"} if warns else {}
            self._put(document, name, {**action, "images": images, "require": {"authenticators": names, "count": 1}})

    def _authorities(self, document: Document, policy: str, spec: Mapping[str, Any]) -> tuple[list[str], bool]:
        """Add the authenticators of a policy; return their names, and whether an authority passes every image."""
        listed = spec.get("authorities")
        if not isinstance(listed, list) or not listed:
            self._draft.wrong(document, "spec.authorities", "must be a list, not empty")
            return [], False
        found: dict[str, dict[str, Any]] = {}
        passes = False
        for index, authority in enumerate(listed):
            field = f"spec.authorities[{index}]"
            if not isinstance(authority, Mapping):
                self._draft.wrong(document, field, "must be an object")
                continue
            if authority.get("static") is not None:
                passes |= self._passes(document, field, authority)
                continue
            where = f"{KIND} {policy}, {field}"
            try:
                converted, notes = authority_spec(authority, self._trusted_root)
            except NoEquivalentError as error:
                self._draft.note(where, f"left out: {error}")
                continue
            for note in notes:
                self._draft.note(where, note)
            found[self._name_of(policy, authority.get("name"), index, found)] = converted
        if passes:
            return [], True
        for name, converted in found.items():
            if name in self._authenticators or len(name) > MAX_NAME:
                self._draft.wrong(
                    document, "metadata.name", f"the Authenticator's name {name} is taken or too long; rename"
                )
                continue
            self._authenticators.add(name)
            self._draft.put(document, "metadata.name", "Authenticator", name, converted)
        return list(found), False

    def _passes(self, document: Document, field: str, authority: Mapping[str, Any]) -> bool:
        static = authority["static"]
        action = static.get("action") if isinstance(static, Mapping) else None
        others = sorted(authority.keys() - {"name", "static"})
        if action not in ("pass", "fail") or others:
            self._draft.wrong(document, f"{field}.static", "must have the action pass or fail, and nothing beside it")
        return action == "pass"

    def _name_of(self, policy: str, written: object, index: int, taken: Mapping[str, object]) -> str:
        name = f"{policy}.{written}" if isinstance(written, str) and NAME.fullmatch(written) else ""
        return name if name and name not in taken else f"{policy}.authority-{index}"

    def _put(self, document: Document, name: str, spec: Mapping[str, Any]) -> None:
        if name in self._policies or len(name) > MAX_NAME:
            self._draft.wrong(
                document, "metadata.name", f"the VerificationPolicy's name {name} is taken or too long; rename"
            )
            return
        self._policies[name] = document, spec
