"""Damaged material and damaged trusted roots: refused, and nothing but the declared errors is raised."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.parsing.evidence import parse_object
from sealgate.sigstore.identities import Exactly, Identity
from sealgate.sigstore.material import read_bundle_material, read_classic_material
from sealgate.sigstore.trusted_root import parse_trusted_root
from sealgate.sigstore.verify import Keyless
from tests.support.examples import examples
from tests.support.signers.sigstore import ISSUER, SUBJECT, Recipe, make_sigstore

SIGSTORE = make_sigstore()
ROOT = json.dumps(SIGSTORE.trusted_root()).encode()
RULES = Keyless(parse_trusted_root(ROOT), (Identity(Exactly(ISSUER), Exactly(SUBJECT)),), require_log=True)
MESSAGE = b"a message"
SIGNED = [SIGSTORE.sign(MESSAGE, Recipe()), SIGSTORE.sign(MESSAGE, Recipe(log="rekor2", timestamp=True))]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-1, 2**63), st.text(max_size=8), st.just([]), st.just({}))


def damage(data: st.DataObject, value: Any) -> Any:
    """Return a JSON value with one part replaced, or with one byte of a base64 text changed."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 9)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: damage(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 9)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], damage(data, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and len(value) > 20 and data.draw(st.integers(0, 9)):
        try:
            raw = bytearray(base64.b64decode(value, validate=True))
        except ValueError:
            return value[:-1] + "!"
        raw[data.draw(st.integers(0, 4000)) % len(raw)] ^= data.draw(st.integers(1, 255))
        return base64.b64encode(raw).decode()
    return data.draw(VALUES)


@settings(max_examples=examples(200), deadline=None)
@given(st.data())
def test_damaged_bundle_is_refused_and_raises_nothing_else(data: st.DataObject) -> None:
    signed = data.draw(st.sampled_from(SIGNED))
    version = data.draw(st.sampled_from(["0.1", "0.2", "0.3"]))
    written = json.dumps(damage(data, signed.material(version))).encode()
    try:
        material = read_bundle_material(parse_object(written, "the bundle"), version)
        if material.certificate:
            # What is not read, or not needed, may have changed.
            assert RULES.verify(material, signed.made.signature, MESSAGE, None)[0].subject == SUBJECT
    except VerificationError:
        return


@settings(deadline=None)
@given(st.data())
def test_damaged_annotations_are_refused_and_raise_nothing_else(data: st.DataObject) -> None:
    signed = SIGNED[0]
    annotations = {**signed.annotations()}
    name = data.draw(st.sampled_from(sorted(annotations)))
    text = annotations[name]
    at = data.draw(st.integers(0, len(text) - 1))
    annotations[name] = text[:at] + data.draw(st.characters(codec="utf-8")) + text[at + 1 :]
    try:
        material = read_classic_material(annotations)
        if material.certificate:
            assert RULES.verify(material, signed.made.signature, MESSAGE, None)[0].subject == SUBJECT
    except VerificationError:
        return


@settings(deadline=None)
@given(st.data())
def test_damaged_trusted_root_raises_only_its_error(data: st.DataObject) -> None:
    written = json.dumps(damage(data, json.loads(ROOT))).encode()
    try:
        parse_trusted_root(written)
    except InvalidKeyError:
        return
