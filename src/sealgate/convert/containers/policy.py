"""Conversion of containers' `policy.json` (podman, skopeo, CRI-O, OpenShift nodes) to equivalent objects.

In a cluster the scopes of the `docker` transport apply. Those of `atomic`, the older name for OpenShift's registry, are
read as well if they require more. In `policy.json` only an image's narrowest scope applies, and in sealgate all
policies apply, so the policies of wide scopes exclude the narrower ones. All requirements of a scope must be met, and
one key may meet several of them, so each becomes a policy of its own.

A requirement without an equivalent never turns into admission: no policy covers its images, and `unmatched` is then
"deny". Selectors have no digests: a scope of one digest is omitted if that admits no more, and refused otherwise. A tag
beside a digest proves nothing, so a scope of one tag is rejected if the wider scope rejects.

`policy.json` does not say where signatures are stored; `registries.d` does, if it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.convert.containers.requirements import (
    ACCEPT,
    REJECT,
    SIGNED_BY,
    SIGSTORE_SIGNED,
    InvalidRequirementError,
    NoEquivalentError,
    check_requirement,
    cosign,
    read_keys,
    simple_signing,
)
from sealgate.convert.containers.scopes import NoSelectorError, Scope, narrower, parse_scope, wider
from sealgate.convert.results import Conversion, Note
from sealgate.errors import PolicyError, Problem
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealgate.convert.containers.requirements import Secret

#: The most selectors of one object.
MAX_SELECTORS = 256

_TRANSPORTS = ("docker", "atomic")
_OPENSHIFT: Mapping[str, Any] = {"openshift": {}}
_DEFAULT = "the default"
_PLATFORMS = (
    "of a multi-platform image, a node verifies only the manifest that it pulls; sealgate requires that the index is "
    "signed, or the manifest of every platform (acceptPlatformSignatures)"
)
_INDEXES = (
    "of a multi-platform image, a node verifies only the manifest that it pulls; sealgate requires the cosign "
    "signature of the index, which names the manifests by digest"
)
_AUTHENTICATOR, _POLICY = "Authenticator", "VerificationPolicy"


def convert_containers_policy(
    policy: object,
    *,
    read_file: Callable[[str], bytes] | None = None,
    registries: Mapping[str, Any] | None = None,
) -> Conversion:
    """Convert a `policy.json`.

    Args:
        policy: the parsed JSON of a `policy.json`, of any type.
        read_file: returns the content of a key file or raises `OSError`. If it is None or a file cannot be read,
            authenticators refer to Secrets, and notes say which keys to store there.
        registries: the parsed and merged YAML of `registries.d`, with the addresses of signature stores; if None,
            authenticators use OpenShift's extension of the image's registry.

    Raises:
        PolicyError: `policy` is not a valid policy.json; the tools that read it would reject it as well.
    """
    return _Converter(read_file, registries).convert([(policy, {})])


def convert_containers_policies(policies: Sequence[tuple[object, Mapping[str, Any]]]) -> Conversion:
    """Convert several `policy.json`, each of which holds somewhere else.

    Args:
        policies: the parsed JSON of each, and further fields of its VerificationPolicies, which say where it holds.

    Raises:
        PolicyError: one of them is not a valid policy.json.
    """
    return _Converter(None, None).convert(policies)


class _Converter:
    """State of one conversion: the objects and notes so far."""

    def __init__(self, read_file: Callable[[str], bytes] | None, registries: Mapping[str, Any] | None) -> None:
        self._read_file = read_file
        self._registries = registries or {}
        self._notes: list[Note] = []
        self._authenticators: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}  # the JSON of requirement and store -> the name of its authenticator
        self._used: set[tuple[str, str]] = set()
        self._lost: list[tuple[Scope, str, Sequence[object]]] = []  # scopes that no selector covers

    def convert(self, given: Sequence[tuple[object, Mapping[str, Any]]]) -> Conversion:
        """Return the objects."""
        found = [(self._outcomes(policy), common) for policy, common in given]
        rejects = any(outcome is None for outcomes, _ in found for outcome in outcomes.values())
        unmatched = "deny" if rejects else "admit"
        self._note("", f"images that no policy covers must be {_PAST[unmatched]}: set unmatchedImages: {unmatched}")
        policies: list[Mapping[str, Any]] = []
        for outcomes, common in found:
            for scope, names in outcomes.items():
                policies += self._policies(scope, names, list(outcomes), unmatched, common)
        return Conversion((*self._authenticators.values(), *policies), tuple(self._notes), unmatched)

    def _outcomes(self, policy: object) -> dict[Scope, list[str] | None]:
        """Return what the images of each scope must meet; see `_outcome`."""
        self._lost.clear()
        table = self._table(policy)
        outcomes = {scope: self._outcome(scope, field, given) for scope, (field, given) in table.items()}
        self._check_lost(table, outcomes)
        self._reject_tags(table, outcomes)
        return outcomes

    # Read the policy --------------------------------------------------------------------------------------------

    def _table(self, policy: object) -> dict[Scope, tuple[str, Sequence[object]]]:
        """Return the field path and the requirements of every scope that applies, the default first."""
        if not isinstance(policy, Mapping) or policy.keys() - {"default", "transports"}:
            raise _malformed(
                "", "a policy.json must be an object with default and, optionally, transports, and no other members"
            )
        table = {Scope("", ""): ("default", _requirements("default", policy.get("default")))}
        transports = policy.get("transports", {})
        if not isinstance(transports, Mapping):
            raise _malformed("transports", "must be an object")
        for transport, scopes in transports.items():
            field = f"transports.{quote(transport, 64)}"
            if not isinstance(scopes, Mapping):
                raise _malformed(field, "must be an object")
            for text, given in scopes.items():
                _requirements(f'{field}["{quote(text)}"]', given)
            if transport not in _TRANSPORTS:
                self._note(field, "images of a cluster are not pulled through this transport; left out")
        for transport in _TRANSPORTS:
            for text, given in transports.get(transport, {}).items():
                self._add_scope(table, transport, text, given)
        return table

    def _add_scope(
        self, table: dict[Scope, tuple[str, Sequence[object]]], transport: str, text: str, given: Sequence[object]
    ) -> None:
        field = f'transports.{transport}["{quote(text)}"]'
        try:
            scope = parse_scope(text)
        except NoSelectorError as error:
            self._note(field, f"left out: {error}")
            if error.scope is not None:
                self._lost.append((error.scope, field, given))
            return
        known = table.get(scope)
        if known is not None and known[0].startswith(f"transports.{transport}[") and known[1] != given:
            raise _malformed(field, f"contradicts {known[0]}, which is about the same images; keep one of them")
        if known is not None and known[0].startswith("transports.docker"):
            self._note(field, f"left out: {known[0]} is about the same images")
            return
        if transport == "atomic" and (why := _why_atomic_is_left_out(scope, given, table)):
            self._note(field, f"left out: {why}")
            return
        if scope.tag is not None:
            self._note(
                field, "a pod that names a digest or no tag must meet this tag's policy and that of the wider scope"
            )
        table[scope] = (field, given)

    def _check_lost(
        self, table: Mapping[Scope, tuple[str, Sequence[object]]], outcomes: Mapping[Scope, list[str] | None]
    ) -> None:
        """Refuse scopes that no selector covers, unless the same or fewer images are admitted without them."""
        for scope, field, given in self._lost:
            around = scope if scope in table else wider(scope, table)
            accepts = all(isinstance(one, Mapping) and one.get("type") == ACCEPT for one in given)
            if not accepts and outcomes[around] is not None and table[around][1] != given:
                why = f"requires something else than the wider scope, {table[around][0]}, and no selector covers it"
                raise _malformed(
                    field,
                    f"{why}; replace it by a scope of the repository (for Docker Hub: {DOCKER_HUB}) that requires both",
                )

    def _reject_tags(
        self, table: Mapping[Scope, tuple[str, Sequence[object]]], outcomes: dict[Scope, list[str] | None]
    ) -> None:
        """Reject the images of a tag if the wider scope rejects: a pod may name any tag, or none, beside a digest."""
        for scope, names in outcomes.items():
            if scope.tag is not None and names is not None and outcomes[around := wider(scope, table)] is None:
                why = f"a pod could name its tag beside any digest, and {table[around][0]} rejects those"
                self._note(
                    table[scope][0],
                    f"{why}; so its images are rejected too: name the repository instead to accept all of it",
                )
                outcomes[scope] = None

    def _outcome(self, scope: Scope, field: str, given: Sequence[object]) -> list[str] | None:
        """Return the names of all authenticators that a scope's images must meet; None if the images are rejected."""
        names: list[str] = []
        rejected = False
        for number, requirement in enumerate(given):
            item_field = f"{field}[{number}]"
            try:
                checked = check_requirement(requirement)
                if checked["type"] == REJECT:
                    rejected = True
                elif checked["type"] != ACCEPT:
                    names.append(self._authenticator(scope, item_field, checked))
            except InvalidRequirementError as error:
                raise _malformed(item_field, str(error)) from error
            except NoEquivalentError as error:
                self._note(item_field, f"has no equivalent, so its images are rejected: {error}")
                rejected = True
        if len(given) > 1 and any(isinstance(one, Mapping) and one.get("type") == ACCEPT for one in given):
            self._note(field, f"{ACCEPT} beside other requirements has no effect; left out")
        return None if rejected else names

    # Make the objects --------------------------------------------------------------------------------------------

    def _authenticator(self, scope: Scope, field: str, requirement: Mapping[str, Any]) -> str:
        """Return the name of the authenticator for a requirement; equal requirements share one."""
        kind = requirement["type"]
        if kind not in {SIGNED_BY, SIGSTORE_SIGNED}:
            raise NoEquivalentError(f"requirements of the type {quote(kind, 64)} are not supported")
        keys = read_keys(requirement, self._read_file)
        store = self._store(scope, field) if kind == SIGNED_BY else {}
        content = json.dumps([requirement, store], sort_keys=True)
        if content in self._names:
            return self._names[content]
        name = self._name(_AUTHENTICATOR, scope)
        secrets: Sequence[Secret]
        if kind == SIGNED_BY:
            spec, keyring = simple_signing(requirement, keys, store, name)
            secrets = [] if keyring is None else [keyring]
            self._note("", _PLATFORMS)
        else:
            spec, secrets = cosign(requirement, keys, name)
            self._note("", _INDEXES)
        for secret in secrets:
            files = " ".join(secret.paths) or "the key data"
            self._note(field, f"put {quote(files)} into the Secret {secret.name} under the key {secret.key}")
        self._names[content] = name
        self._authenticators[name] = _object(_AUTHENTICATOR, name, spec)
        return name

    def _policies(
        self,
        scope: Scope,
        names: list[str] | None,
        scopes: Sequence[Scope],
        unmatched: str,
        common: Mapping[str, Any],
    ) -> list[Mapping[str, Any]]:
        if names is None:
            return []
        spec: dict[str, Any] = {**common, "images": scope.selectors()}
        excluded = [selector for inside in narrower(scope, scopes) for selector in inside.selectors()]
        if len(excluded) > MAX_SELECTORS:
            raise _malformed(
                scope.text or _DEFAULT, f"more narrower scopes than fit into one policy ({MAX_SELECTORS} selectors)"
            )
        if excluded:
            spec["excludeImages"] = excluded
        if names:
            return [
                _object(_POLICY, self._name(_POLICY, scope), spec | {"require": {"authenticators": [name]}})
                for name in dict.fromkeys(names)
            ]
        return self._accepting(scope, spec, unmatched)

    def _accepting(self, scope: Scope, spec: Mapping[str, Any], unmatched: str) -> list[Mapping[str, Any]]:
        """Return policies that admit a scope's images unverified; empty if unmatched images are admitted anyway."""
        field = quote(scope.text or _DEFAULT)
        if unmatched == "admit":
            self._note(field, "images are admitted unverified, because no policy covers them")
            return []
        self._note(field, "images are admitted unverified, by a policy with action Exempt")
        return [_object(_POLICY, self._name(_POLICY, scope), {**spec, "action": "Exempt"})]

    def _store(self, scope: Scope, field: str) -> Mapping[str, Any]:
        """Return the signature store of a scope's images; OpenShift's extension if `registries.d` does not name one."""
        docker = self._registries.get("docker", {})
        found = [docker.get(name) for name in scope.settings_names()] + [self._registries.get("default-docker")]
        settings = next((one for one in found if isinstance(one, Mapping) and _address(one)), None)
        self._note_narrower_stores(scope, field, None if settings is None else _address(settings))
        if settings is not None:
            return {"lookaside": {"url": _address(settings)}}
        self._note(
            field,
            "policy.json does not say where signatures are stored; OpenShift's extension of the registry is assumed. "
            "If registries.d names a lookaside address, write store: {lookaside: {url: ...}}",
        )
        return _OPENSHIFT

    def _note_narrower_stores(self, scope: Scope, field: str, address: str | None) -> None:
        """Note which images of a scope have their signatures in another store; an authenticator has one store."""
        for name, settings in self._registries.get("docker", {}).items():
            elsewhere = _address(settings) if isinstance(settings, Mapping) else None
            if elsewhere is None or elsewhere == address:
                continue
            try:
                inside = scope.covers(parse_scope(name))
            except NoSelectorError:
                continue
            if inside:
                why = f"registries.d has the signatures of {quote(name)} at {quote(elsewhere)}, and one store is read"
                self._note(
                    field, f"{why}: give {quote(name)} a scope of its own in policy.json, or its images are refused"
                )

    def _name(self, kind: str, scope: Scope) -> str:
        """Return a name for an object, unique among the objects of its kind."""
        slug = re.sub(r"[^a-z0-9]+", "-", scope.text.lower()).strip("-")[:200].strip("-") or "default"
        names = (slug if number == 1 else f"{slug}-{number}" for number in count(1))
        name = next(name for name in names if (kind, name) not in self._used)
        self._used.add((kind, name))
        return name

    def _note(self, field: str, message: str) -> None:
        note = Note(field, message)
        if note not in self._notes:
            self._notes.append(note)


def _why_atomic_is_left_out(
    scope: Scope, given: Sequence[object], table: Mapping[Scope, tuple[str, Sequence[object]]]
) -> str:
    """Return why a scope of the atomic transport does not apply to images of the docker transport; empty if it does.

    Args:
        scope: a scope of the atomic transport.
        given: its requirements, at least one.
        table: the scopes before it, among them all of the docker transport, with field path and requirements.
    """
    if not scope.text:
        return "the default of the docker transport, or the global one, applies"
    around = next(
        (f for other, (f, _) in table.items() if f.startswith("transports.docker") and other.covers(scope)), ""
    )
    if around:
        return f"{around} is about the same images, which a cluster pulls through the docker transport"
    if all(isinstance(one, Mapping) and one.get("type") == ACCEPT for one in given):
        return "it accepts images through the atomic transport only"
    return ""


_PAST = {"admit": "admitted", "deny": "denied"}


def _requirements(field: str, given: object) -> Sequence[object]:
    if not isinstance(given, list) or not given:
        raise _malformed(field, "must be a list of at least one requirement")
    return given


def _address(settings: Mapping[str, Any]) -> str | None:
    """Return the address that signatures are read from; `sigstore` is the older name of `lookaside`."""
    for name in ("lookaside", "sigstore"):
        if isinstance(settings.get(name), str):
            return str(settings[name])
    return None


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def _malformed(field: str, message: str) -> PolicyError:
    problem = Problem("policy.json", 0, field, message)
    return PolicyError(f"{problem}", problems=[problem])
