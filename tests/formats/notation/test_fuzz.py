"""Envelopes with any bytes changed: never verified, and refused as evidence, not as a fault of sealgate."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.formats.notation.envelopes import EnvelopeRules
from sealgate.formats.notation.identities import TrustedIdentities
from sealgate.formats.notation.revocation import RevocationRules
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE, Scheme
from tests.support.examples import examples
from tests.support.signers.notation import Authority, EnvelopeOf, payload_for

AUTHORITY = Authority("root")
KEY, CHAIN = AUTHORITY.issue()
GOOD = EnvelopeOf(KEY, CHAIN, payload_for(b"{}", "sha256:" + "4a" * 32))
ENVELOPES = {JWS_TYPE: GOOD.jws(), COSE_TYPE: GOOD.cose()}
RULES = EnvelopeRules(
    trusted=dict.fromkeys(Scheme, frozenset({AUTHORITY.certificate.fingerprint(SHA256()).hex()})),
    identities=TrustedIdentities(None),
    authorities=None,
    timestamp_after_expiry_only=False,
    accept_expired=False,
    annotations={},
    revocation=RevocationRules((), frozenset(), accept_unknown=False),
)


@pytest.mark.parametrize("kind", ENVELOPES)
@given(data=st.data())
@settings(max_examples=examples(300))
def test_changed_envelope_is_never_authentic(kind: str, data: st.DataObject) -> None:
    good = ENVELOPES[kind]
    start = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(start, min(len(good), start + 8)))
    changed = good[:start] + data.draw(st.binary(max_size=8)) + good[end:]
    with suppress(VerificationError):
        found = RULES.authenticate(kind, changed)
        # White space between members of JSON, and attributes that are not signed, may differ.
        assert found.envelope.signed == RULES.authenticate(kind, good).envelope.signed
        assert found.chain == RULES.authenticate(kind, good).chain


@pytest.mark.parametrize("kind", ENVELOPES)
@given(noise=st.binary(max_size=200))
@settings(max_examples=examples(300))
def test_noise_is_refused(kind: str, noise: bytes) -> None:
    with pytest.raises(VerificationError):
        RULES.authenticate(kind, noise)
