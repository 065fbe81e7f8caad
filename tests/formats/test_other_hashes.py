"""A signature by an accepted key with another hash is refused; the message names the algorithm to set."""

from __future__ import annotations

import inspect

import pytest

from sealgate.formats.other_hashes import MAX_CANDIDATES, MAX_TRIALS, HashTrials
from sealgate.keys.public_keys import PublicKey, load_public_key
from sealgate.reasons import Reason
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem, sign


def key_of(*kind_and_name: str) -> PublicKey:
    return load_public_key(public_pem(new_key(*kind_and_name)))


@pytest.mark.parametrize(
    ("kind", "made", "named"),
    [
        ("ECDSA P-384", "ECDSA_SHA_256", "set algorithm: ECDSA_SHA_256"),
        ("ECDSA P-521", "ECDSA_SHA_384", "set algorithm: ECDSA_SHA_384"),
        ("ECDSA P-256", "ECDSA_SHA_512", "set algorithm: ECDSA_SHA_512"),
        ("RSA 2048", "RSA_PSS_SHA_256", "set algorithm: RSA_PSS_SHA_256"),
        ("RSA 2048", "RSA_PKCS1_SHA_512", "set algorithm: RSA_PKCS1_SHA_512"),
    ],
)
def test_cosign_signature_with_another_hash_is_refused_with_a_hint(kind: str, made: str, named: str) -> None:
    key = new_key(kind)
    with CosignEnvironment() as environment:
        push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key, made))
        refusal = environment.refused(Reason.INVALID_SIGNATURE, key)
        assert named in refusal.message
        assert key_of(kind).fingerprint in refusal.message
        environment.verify({"pem": public_pem(key), "algorithm": made})


def test_a_strangers_signature_has_no_such_hint() -> None:
    with CosignEnvironment() as environment:
        push_classic(environment.registry, REPOSITORY, Classic(environment.digest, new_key("ECDSA P-384", "stranger")))
        refusal = environment.refused(Reason.INVALID_SIGNATURE, new_key("ECDSA P-384"))
        assert "set algorithm" not in refusal.message


def test_only_the_first_candidates_are_tried() -> None:
    key = new_key("ECDSA P-384")
    other = sign(key, b"signed", "ECDSA_SHA_256")
    for junk, hinted in ((MAX_CANDIDATES - 1, True), (MAX_CANDIDATES, False)):
        trials = HashTrials()
        for _ in range(junk):
            trials.keep([key_of("ECDSA P-384")], b"junk", b"signed")
        trials.keep([key_of("ECDSA P-384")], other, b"signed")
        assert bool(trials.hint()) is hinted


def test_number_of_checks_is_bounded_for_any_number_of_keys() -> None:
    key = new_key("ECDSA P-384")
    others = [key_of("ECDSA P-384", f"other {number}") for number in range(MAX_TRIALS // 2)]
    for keys, hinted in (
        ([*others[:-1], key_of("ECDSA P-384")], True),
        ([*others, key_of("ECDSA P-384")], False),
    ):
        trials = HashTrials()
        trials.keep(keys, sign(key, b"signed", "ECDSA_SHA_256"), b"signed")
        assert bool(trials.hint()) is hinted


def test_trials_return_only_text() -> None:
    # No result can be mistaken for a verification: no key, no finding and no error is returned.
    public = [member for name, member in inspect.getmembers(HashTrials, callable) if not name.startswith("_")]
    assert sorted(member.__name__ for member in public) == ["hint", "keep"]
    assert [inspect.signature(member).return_annotation for member in public] == ["str", "None"]
