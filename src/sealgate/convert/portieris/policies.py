"""Conversion of Portieris' policies to VerificationPolicies that admit no more.

The ImagePolicies of a namespace hide all ClusterImagePolicies there. Of the repositories that match an image the most
specific one applies, and an image that none matches is denied. A repository whose policy asks for something without
equivalent denies its images.

Portieris verifies what the image's reference names: the index of an image for several platforms, not its manifests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.containers.requirements import (
    InvalidRequirementError,
    Keys,
    simple_signing,
)
from sealgate.convert.containers.requirements import (
    NoEquivalentError as NoIdentityError,
)
from sealgate.convert.portieris.patterns import RepositoryName, parse_name
from sealgate.convert.portieris.trust import SignerSecrets, is_secret, notary_specs
from sealgate.convert.precedence import Rule, put_policies
from sealgate.convert.results import Draft, is_name
from sealgate.convert.selectors import NoSelectorError
from sealgate.convert.signers import NoEquivalentError, checked, mapping, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

GROUP = "portieris.cloud.ibm.com"
KINDS = ("ClusterImagePolicy", "ImagePolicy")

_POLICY = frozenset({"trust", "simple", "vulnerability", "mutateImage"})
_SIMPLE = frozenset({"requirements", "storeURL", "storeSecret"})
_REQUIREMENT = frozenset({"type", "keySecret", "keySecretNamespace", "signedIdentity"})
#: The types of identities, and those of policy.json that are the same.
_IDENTITIES = {
    "": "matchRepoDigestOrExact",
    "matchExact": "matchExact",
    "matchRepository": "matchRepository",
    "matchExactReference": "exactReference",
    "matchExactRepository": "exactRepository",
    "remapIdentity": "remapIdentity",
}
_UNSET: tuple[object, ...] = (None, [], {}, "", False)


def convert_portieris(documents: Sequence[Document]) -> Conversion:
    """Convert ClusterImagePolicies and ImagePolicies.

    Args:
        documents: objects of the group `portieris.cloud.ibm.com`, and Secrets of signers; other kinds are skipped.

    Raises:
        PolicyError: an object is not valid, or something that decides which images it is about has no equivalent.
    """
    return _Converter().convert(documents)


class _Converter:
    """State of one conversion."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._secrets = SignerSecrets(())

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        self._secrets = SignerSecrets(documents)
        spaces: defaultdict[str, list[Document]] = defaultdict(list)
        for document in documents:
            space = self._space(document)
            if space is not None:
                spaces[space].append(document)
        own = sorted(space for space in spaces if space)
        for space, found in spaces.items():
            operator, values = ("In", [space]) if space else ("NotIn", own)
            expressions = [{"key": NAME_LABEL, "operator": operator, "values": values}]
            selector = {"namespaceSelector": {"matchExpressions": expressions}} if values else {}
            rules: list[Rule] = []
            names: list[RepositoryName] = []
            for document in sorted(found, key=lambda one: str(one.value["metadata"]["name"])):
                for rule, name in self._rules(document, space):
                    rules.append(rule)
                    names.append(name)
            put_policies(self._draft, rules, _chosen(names), selector)
        self._draft.note("", "images that no policy covers must be denied: set unmatchedImages: deny")
        return self._draft.conversion("deny")

    def _space(self, document: Document) -> str | None:
        """Return the namespace of a policy, the empty text for a ClusterImagePolicy; None if it is left out."""
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        if is_secret(value):
            return None
        if value.get("kind") not in KINDS:
            self._draft.note(
                "", f"{quote(value.get('kind'), 64)} {quote(metadata.get('name'), 64)} has no equivalent; left out"
            )
            return None
        space = metadata.get("namespace") if value["kind"] == KINDS[1] else ""
        listed = spec.get("repositories") if isinstance(spec, Mapping) else None
        if not is_name(metadata.get("name")) or not isinstance(space, str) or (space and not is_name(space)):
            self._draft.wrong(document, "metadata", "needs a valid name, and an ImagePolicy its namespace")
            return None
        unlisted = not isinstance(spec, Mapping) or not isinstance(listed or [], list)
        if unlisted or (not space and value["kind"] == KINDS[1]):
            self._draft.wrong(document, "", "needs spec.repositories, and an ImagePolicy its namespace")
            return None
        return space

    def _rules(self, document: Document, space: str) -> Iterator[tuple[Rule, RepositoryName]]:
        owner = ".".join(part for part in (space, document.value["metadata"]["name"]) if part)
        for index, repository in enumerate(document.value["spec"].get("repositories") or ()):
            field, name = f"spec.repositories[{index}]", f"{owner}.{index}"
            if not isinstance(repository, Mapping) or repository.keys() - {"name", "policy"}:
                self._draft.wrong(document, field, "must have a name, and nothing besides but policy")
                continue
            try:
                parsed = parse_name(str(repository.get("name") or ""))
            except NoSelectorError as error:
                self._draft.wrong(document, f"{field}.name", str(error))
                continue
            requires: tuple[Mapping[str, Any], ...] | None
            try:
                requires = self._requires(document, field, name, space, repository.get("policy") or {}, parsed)
            except NoEquivalentError as error:
                self._draft.note(f"{owner}, {field}", f"its images are denied: {error}")
                requires = None
            if requires and parsed.is_tag:
                shown = quote(parsed.text)
                self._draft.note(
                    f"{owner}, {field}",
                    f"its images are denied: {shown} matches no digest there, and here a digest's tag is not known; "
                    f"write {shown}*, or the repository",
                )
                requires = None
            if requires is not None and not parsed.is_tag and not parsed.matches_digests:
                here = (
                    ", and a digest beside a tag is denied; here digests that are signed as it asks are admitted"
                    if requires
                    else "; here digests are exempt as well"
                )
                self._draft.note(
                    f"{owner}, {field}",
                    f"{quote(parsed.text)} matches no digest without a tag there, so that another name or none applies "
                    f"to it{here}",
                )
            found = parsed.selectors
            yield Rule(document, field, name, quote(parsed.text), found, found, requires), parsed

    def _requires(
        self, document: Document, field: str, name: str, space: str, policy: object, parsed: RepositoryName
    ) -> tuple[Mapping[str, Any], ...] | None:
        """Return what the images of a repository must meet; None if they are denied.

        Raises:
            NoEquivalentError: something in the policy has no equivalent.
        """
        policy = mapping(policy, "policy")
        only_members(policy, _POLICY, "policy.", _UNSET)
        trust = mapping(policy.get("trust") or {}, "policy.trust")
        scans = mapping(policy.get("vulnerability") or {}, "policy.vulnerability")
        only_members(scans, frozenset({"ICCRVA"}), "policy.vulnerability.", _UNSET)
        if mapping(scans.get("ICCRVA") or {}, "policy.vulnerability.ICCRVA").get("enabled") not in (None, False):
            raise NoEquivalentError("vulnerability reports of IBM Cloud have no equivalent")
        simple = mapping(policy.get("simple") or {}, "policy.simple")
        only_members(simple, _SIMPLE, "policy.simple.", _UNSET)
        listed = simple.get("requirements") or []
        if not isinstance(listed, list):
            raise NoEquivalentError("policy.simple.requirements must be a list")
        if trust.get("enabled") not in (None, False):
            if listed:
                raise NoEquivalentError("Portieris denies all images for which both simple and trust are asked")
            return self._trusted(document, field, name, space, trust, parsed)
        found: list[Mapping[str, Any]] = []
        for number, given in enumerate(listed):
            requirement = mapping(given, "policy.simple.requirements")
            only_members(requirement, _REQUIREMENT, "policy.simple.requirements.", _UNSET)
            if requirement.get("type") == "reject":
                return None
            if requirement.get("type") == "insecureAcceptAnything":
                continue
            spec = self._signed_by(f"{name}, {field}", space, requirement, simple)
            self._draft.put(document, field, "Authenticator", f"{name}.{number}", spec)
            found.append({"authenticators": [f"{name}.{number}"]})
        return tuple(found)

    def _trusted(
        self, document: Document, field: str, name: str, space: str, trust: Mapping[str, Any], parsed: RepositoryName
    ) -> tuple[Mapping[str, Any], ...]:
        notes: list[str] = []
        repository = str(parsed.selectors[0]["repository"])
        found = []
        for end, spec in notary_specs(trust, repository, space, self._secrets, notes).items():
            self._draft.put(document, field, "Authenticator", f"{name}.{end}", spec)
            found.append({"authenticators": [f"{name}.{end}"]})
        for note in notes:
            self._draft.note(f"{name}, {field}", note)
        return tuple(found)

    def _signed_by(
        self, where: str, space: str, requirement: Mapping[str, Any], simple: Mapping[str, Any]
    ) -> dict[str, Any]:
        secret = requirement.get("keySecret")
        if requirement.get("type") != "signedBy" or not isinstance(secret, str) or not secret:
            raise NoEquivalentError("a requirement must be signedBy with a keySecret, reject or insecureAcceptAnything")
        identity = dict(mapping(requirement.get("signedIdentity") or {}, "signedIdentity"))
        kind = str(identity.get("type") or "")
        if kind not in _IDENTITIES:
            raise NoEquivalentError(f"signedIdentity of the unknown type {quote(kind, 64)}")
        identity = {**identity, "type": _IDENTITIES[kind]}
        url = simple.get("storeURL")
        store: dict[str, Any] = {"lookaside": {"url": url}} if url else {"openshift": {}}
        wanted = {"type": "signedBy", "keyType": "GPGKeys", "signedIdentity": identity}
        try:
            spec, _ = simple_signing(wanted, Keys(None, (secret,)), store, secret)
        except (InvalidRequirementError, NoIdentityError) as error:
            raise NoEquivalentError(str(error)) from error
        owner = requirement.get("keySecretNamespace") or space
        name = f"{owner}.{secret}" if owner else secret
        self._draft.note(
            where,
            f"copy the Secret {quote(secret, 64)} of {quote(owner or 'the namespaces of the workloads', 64)} into "
            f"sealgate's namespace as {quote(name, 140)}" + ("" if owner else "; one holds for all namespaces here"),
        )
        if simple.get("storeSecret"):
            self._draft.note(where, "storeSecret has no equivalent: signatures are read without credentials")
        made = {**spec["simpleSigning"], "keyring": {"secretRef": {"name": name, "key": "key"}}}
        del made["acceptPlatformSignatures"]
        return checked(made, "simpleSigning")


def _chosen(names: Sequence[RepositoryName]) -> Any:  # noqa: ANN401 - a function
    return lambda one, other: names[one].loses_to(names[other], later=other > one)
