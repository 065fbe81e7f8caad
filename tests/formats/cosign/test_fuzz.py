"""Fuzzing of signatures: the outcome is verified or a SealgateError, never another exception.

Everything here is signed by the accepted key where it can be, so that the parsers behind the signature are reached.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealgate.errors import NotFoundError, SealgateError, UnavailableError, VerificationError
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment, cosign_check
from tests.support.examples import examples
from tests.support.signers.cosign import (
    BUNDLE_TYPE,
    BundleOf,
    Classic,
    push_bundle,
    push_classic,
    push_referrer,
    signature_tag,
)
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.findings import Verified
    from sealgate.references import Digest

KEY = new_key("ECDSA P-256")
CHECK = cosign_check(KEY, annotations={"env": "prod"}, matchRepository=True)
SOME = settings(
    max_examples=examples(60),
    deadline=None,
    # Duration is not a criterion here, and the fixture is shared on purpose.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["", "prod", BUNDLE_TYPE, OCI_MANIFEST, "sha256:" + "0" * 64, "\ud800", "\x00\x1b[31m", "A" * 300]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["digest", "sha256", "sig", "size", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(document: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a document."""
    children = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for name, child in children:
        yield (*here, name)
        yield from paths(child, (*here, name))


def spoilt(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return the document with one value replaced, removed, added or doubled, or with one byte changed."""
    ways = list(paths(document))

    @st.composite
    def make(draw: st.DrawFn) -> bytes:
        changed = copy.deepcopy(document)
        way = draw(st.sampled_from(ways))
        parent: Any = changed
        for name in way[:-1]:
            parent = parent[name]
        what = draw(st.sampled_from(["replace", "remove", "add", "double", "byte"]))
        if what == "replace":
            parent[way[-1]] = draw(VALUES)
        elif what == "remove":
            del parent[way[-1]]
        elif what == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=5))] = draw(VALUES)
        data = json.dumps(changed).encode()
        if what == "double":
            return data[:-1] + b"," + data[1:]
        if what == "byte":
            # Signatures are new each time and not all of one length; what is drawn must not depend on that.
            position = draw(st.integers(0, 5000)) % len(data)
            return data[:position] + bytes((draw(st.integers(0, 255)),)) + data[position + 1 :]
        return data

    return make()


@pytest.fixture(scope="module")
def shared() -> Iterator[CosignEnvironment]:
    """One registry for all examples; each replaces the manifests of the previous one."""
    with CosignEnvironment() as environment:
        yield environment


def ask(environment: CosignEnvironment) -> Verified | SealgateError:
    """Verify; fail on every exception that is not a SealgateError."""
    try:
        return environment.ask(CHECK)
    except SealgateError as error:
        answer = error
    assert isinstance(answer, VerificationError | UnavailableError)
    assert not isinstance(answer, NotFoundError)
    texts = [answer.message]
    for seen in answer.signatures if isinstance(answer, VerificationError) else ():
        texts += [seen.source, seen.message]
    assert all(text.isprintable() for text in texts)
    return answer


def classic(environment: CosignEnvironment) -> Classic:
    return Classic(environment.digest, KEY, reference=environment.repository, optional={"env": "prod"})


def bundle(environment: CosignEnvironment) -> BundleOf:
    own = {"digest": {"sha256": environment.digest.removeprefix("sha256:")}, "name": environment.repository}
    return BundleOf(environment.digest, KEY, subjects=[{**own, "annotations": {"env": "prod"}}])


def clear(environment: CosignEnvironment) -> None:
    """Take away everything but the image."""
    stored = environment.registry.repositories[REPOSITORY]
    stored.tags = {"v1": environment.digest}
    stored.manifests = {environment.digest: stored.manifests[environment.digest]}


@SOME
@given(st.data())
def test_any_signed_payload(shared: CosignEnvironment, data: st.DataObject) -> None:
    clear(shared)
    right = classic(shared).document()
    payload = data.draw(spoilt(right))
    push_classic(shared.registry, REPOSITORY, Classic(shared.digest, KEY, payload=payload))
    if not isinstance(ask(shared), SealgateError):
        # What still verifies differs at most in members that no requirement covers.
        said = json.loads(payload)
        assert said["critical"] == right["critical"]
        assert said["optional"]["env"] == "prod"


@SOME
@given(st.data())
def test_any_signed_statement(shared: CosignEnvironment, data: st.DataObject) -> None:
    clear(shared)
    right = bundle(shared)
    right.payload = data.draw(spoilt(right.statement()))
    push_bundle(shared.registry, REPOSITORY, right)
    if not isinstance(ask(shared), SealgateError):
        said = json.loads(right.payload)
        assert said["subject"][0]["digest"]["sha256"] == shared.digest.removeprefix("sha256:")
        assert said["subject"][0]["annotations"]["env"] == "prod"
        assert said["predicateType"] == right.predicate_type


@SOME
@given(st.data())
def test_any_bundle(shared: CosignEnvironment, data: st.DataObject) -> None:
    clear(shared)
    push_bundle(shared.registry, REPOSITORY, bundle(shared), data=data.draw(spoilt(bundle(shared).document())))
    ask(shared)


@SOME
@given(st.data(), st.sampled_from(["tag", "referrer", "bundle"]))
def test_any_manifest(shared: CosignEnvironment, data: st.DataObject, layout: str) -> None:
    clear(shared)
    registry = shared.registry
    digest = push_undamaged(shared, layout)
    body = data.draw(spoilt(json.loads(registry.manifest(REPOSITORY, digest)[1])))
    clear(shared)
    if layout == "tag":
        registry.push_manifest(REPOSITORY, signature_tag(shared.digest), body)
        ask(shared)
        return
    # Listed as before, regardless of its changed subject.
    entry = {"mediaType": OCI_MANIFEST, "digest": registry.push_manifest(REPOSITORY, None, body), "size": len(body)}
    registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, index_of(entry))
    try:
        ask(shared)
    finally:
        registry.faults.clear()


@SOME
@given(st.data())
def test_any_list_of_referrers(shared: CosignEnvironment, data: st.DataObject) -> None:
    clear(shared)
    digest = push_bundle(shared.registry, REPOSITORY, bundle(shared))
    entry = {
        "mediaType": OCI_MANIFEST,
        "digest": digest,
        "size": 10,
        "artifactType": BUNDLE_TYPE,
        "annotations": {"dev.sigstore.bundle.predicateType": bundle(shared).predicate_type},
    }
    body = data.draw(spoilt(json.loads(index_of(entry))))
    shared.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, body)
    try:
        ask(shared)
    finally:
        shared.registry.faults.clear()


def index_of(*entries: dict[str, Any]) -> bytes:
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


@pytest.mark.parametrize("layout", ["tag", "referrer", "bundle"])
def test_without_a_defect_it_verifies(shared: CosignEnvironment, layout: str) -> None:
    clear(shared)
    push_undamaged(shared, layout)
    assert not isinstance(ask(shared), SealgateError)


def push_undamaged(environment: CosignEnvironment, layout: str) -> Digest:
    if layout == "bundle":
        return push_bundle(environment.registry, REPOSITORY, bundle(environment))
    push = push_classic if layout == "tag" else push_referrer
    return push(environment.registry, REPOSITORY, classic(environment))
