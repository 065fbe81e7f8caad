"""Images that Connaisseur or Portieris refuse by Notary stay refused, compared with plain implementations of both.

The rules are those of `internal/validator/notaryv1` of sse-secure-systems/connaisseur and of `pkg/verifier/trust` of
IBM/portieris. The repositories have really been signed, and the converted authenticators really verify them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.convert.files import convert_texts
from sealgate.convert.portieris.trust import UNKNOWN_ROOT
from sealgate.errors import VerificationError
from sealgate.formats.notary.verify import build
from sealgate.keys.resolvers import FileKeys
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.convert.test_portieris import policy
from tests.support.environments.notary import PATH, TAG, NotaryEnvironment
from tests.support.examples import examples
from tests.support.signers.notary import certified
from tests.support.simulators.notary import NotaryRepository

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TARGETS, RELEASES = "targets", "targets/releases"
ROLES = (TARGETS, RELEASES, "targets/a", "targets/b")


@dataclass(frozen=True)
class Role:
    """A role: the image that it gives the tag ("this", "other" or none), its key, and whether it has expired."""

    names: str
    key: str
    expired: bool

    def says(self, image: str) -> bool:
        return not self.expired and self.names == image


roles = st.builds(
    Role,
    st.sampled_from(["this", "this", "other", ""]),
    st.sampled_from(["alice", "alice", "mallory"]),
    st.sampled_from([False, False, False, True]),
)
repositories = st.dictionaries(st.sampled_from(ROLES[1:]), roles).flatmap(
    lambda delegated: roles.map(lambda targets: {TARGETS: targets, **delegated})
)


class Notary:
    """A registry with a notary server, and the keys of a repository in it."""

    def __init__(self, environment: NotaryEnvironment) -> None:
        self.environment = environment
        gun = environment.repository.gun
        self.roots = {name: certified(gun) for name in ("first", "second")}
        self.signers = {"alice": environment.alice.bare, "mallory": environment.mallory.bare}

    def serve(self, described: Mapping[str, Role], roots: set[str]) -> None:
        """Serve a repository as it is described, whose root these keys have signed."""
        dtr = self.environment.dtr
        images = {"this": self.environment.manifest, "other": dtr.manifest(PATH, self.environment.other)[1]}
        signers = [self.roots[name] for name in sorted(roots)]
        repository = NotaryRepository(self.environment.repository.gun, root=signers[0])
        repository.set_keys("root", *signers)
        for name, role in described.items():
            if name != TARGETS:
                repository.delegate(name, self.signers[role.key])
            if role.names:
                repository.sign_tag(TAG, images[role.names], name)
            if role.expired:
                repository.expire(name)
        dtr.host_repository(repository.publish())

    def admits(self, *objects: Any) -> bool:
        """Whether converted objects admit the image that is called "this"; its root is written where none is known."""
        text = "".join(f"---\n{json.dumps(one)}\n" for one in objects)
        found = convert_texts([("source.yaml", text)]).objects
        specs = [one["spec"]["notary"] for one in found if one["kind"] == "Authenticator"]
        assert all(one["spec"]["images"] for one in found if one["kind"] != "Authenticator")
        return bool(specs) and all(map(self._verifies, specs))

    def _verifies(self, spec: Mapping[str, Any]) -> bool:
        if spec["root"] == {"keyId": UNKNOWN_ROOT}:
            spec = {**spec, "root": {"keyId": self.roots["first"].canonical_id}}
        check = build(NotarySpec.model_validate_json(json.dumps(spec)), FileKeys({}))
        self.environment.state = MemoryTrustedState()
        try:
            check.verify(self.environment.image(), self.environment.sources())
        except VerificationError:
            return False
        return True


@pytest.fixture(scope="module")
def notary() -> Iterator[Notary]:
    with NotaryEnvironment() as environment:
        yield Notary(environment)


def connaisseur(notary: Notary, trust_root: str, delegations: list[str]) -> dict[str, Any]:
    trust_roots = [{"name": name, "key": root.public_pem} for name, root in notary.roots.items()]
    url = notary.environment.dtr.url
    validator = {"name": "default", "type": "notaryv1", "host": url, "trustRoots": trust_roots}
    rule = {"pattern": "*:*", "with": {"trustRoot": trust_root, "delegations": delegations}}
    return {"application": {"validators": [validator], "policy": [rule]}}


def connaisseur_admits(described: Mapping[str, Role], roots: set[str], trust_root: str, delegations: list[str]) -> bool:
    wanted = {"first", "second"} if trust_root == "*" else {trust_root}
    delegated = len(described) > 1
    asked = [f"targets/{name}" for name in delegations] or ([RELEASES] if delegated else [TARGETS])
    return (
        wanted <= roots
        and not described[TARGETS].expired
        and all(name in described and described[name].says("this") for name in asked)
    )


@settings(max_examples=examples(200), deadline=None)
@given(
    described=repositories,
    roots=st.sampled_from([{"first"}, {"second"}, {"first", "second"}]),
    trust_root=st.sampled_from(["first", "first", "*"]),
    delegations=st.lists(st.sampled_from(["a", "b", "releases"]), max_size=2, unique=True),
)
def test_connaisseur_would_have_admitted_the_image(
    notary: Notary, described: dict[str, Role], roots: set[str], trust_root: str, delegations: list[str]
) -> None:
    notary.serve(described, roots)
    expected = connaisseur_admits(described, roots, trust_root, delegations)
    assert notary.admits(connaisseur(notary, trust_root, delegations)) is expected


def portieris(notary: Notary, signers: Mapping[str, str]) -> list[dict[str, Any]]:
    secrets = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-key", "namespace": "shop"},
            "stringData": {"name": name, "publicKey": notary.signers[key].public_pem},
        }
        for name, key in signers.items()
    ]
    named = [{"name": f"{name}-key"} for name in signers]
    trust = {"enabled": True, "trustServer": notary.environment.dtr.url, "signerSecrets": named}
    return [policy({"name": "*", "policy": {"trust": trust}}), *secrets]


def portieris_admits(described: Mapping[str, Role], signers: Mapping[str, str]) -> bool:
    """Whether the digest that Portieris runs is that of the image, and all signers name it."""
    if described[TARGETS].expired:
        return False
    naming = {name: role for name, role in described.items() if role.names and not role.expired}
    released = naming.get(RELEASES) or naming.get(TARGETS)
    return (
        released is not None
        and released.names == "this"
        and all(
            f"targets/{name}" in naming
            and naming[f"targets/{name}"].key == key
            and naming[f"targets/{name}"].names == "this"
            for name, key in signers.items()
        )
    )


@settings(max_examples=examples(200), deadline=None)
@given(
    described=repositories,
    signers=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["alice", "mallory"])),
)
def test_portieris_would_have_admitted_the_image(
    notary: Notary, described: dict[str, Role], signers: dict[str, str]
) -> None:
    notary.serve(described, {"first"})
    assert notary.admits(*portieris(notary, signers)) is portieris_admits(described, signers)
