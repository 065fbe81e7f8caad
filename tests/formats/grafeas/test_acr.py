"""The experimental store of Alibaba Cloud, against assumed responses."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.errors import UnauthorizedError
from sealgate.reasons import Reason
from tests.support.environments.grafeas import (
    DIGEST,
    KEY,
    OTHER_DIGEST,
    REPOSITORY,
    STRANGER,
    GrafeasEnvironment,
    key_entry,
    uri,
)
from tests.support.signers.private_keys import fingerprint
from tests.support.simulators.grafeas import payload_of
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = {"acr": {"accessKeyId": b"LTAI", "accessKeySecret": b"s3cret"}}
NOTE = "namespaces/demo"
PARAMETERS = {"InstanceId": "cri-1", "ResourceUri": "https://{repository}@{digest}", "RepoName": "{namespace}/{name}"}
_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")


def pascal(value: Any) -> Any:
    """Return a document in the spelling of Alibaba's APIs."""
    if isinstance(value, list):
        return [pascal(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name[:1].upper() + name[1:]: pascal(member) for name, member in value.items()}


class ACREnvironment(GrafeasEnvironment):
    """The registry's API, as it could be; occurrences are those of the Grafeas server."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets = SECRET
        self.per_page = 10
        self.server.respond = self._respond  # type: ignore[method-assign]  # another service on the same port

    def _respond(self, request: RecordedRequest) -> Answer:
        query = dict(request.query)
        if (request.method, request.path) != ("POST", "/") or not self._is_signed(request):
            return json_answer({"Code": "SignatureDoesNotMatch"}, 403)
        start = int(query.get("NextToken", "0"))
        found = self.server.occurrences[start : start + self.per_page]
        more = {"NextToken": str(start + self.per_page)} if start + self.per_page < len(self.server.occurrences) else {}
        body = {"RequestId": "1", "Data": {"Occurrences": pascal(found), **more}}
        return json_answer(body)

    @staticmethod
    def _is_signed(request: RecordedRequest) -> bool:
        match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            return False
        names = match[1].split(";")
        lines = "".join(f"{name}:{request.headers[name]}\n" for name in names)
        encoded = {
            name: value.replace(":", "%3A").replace("/", "%2F").replace("@", "%40") for name, value in request.query
        }
        query = "&".join(f"{name}={encoded[name]}" for name in sorted(encoded))
        content = hashlib.sha256(request.body).hexdigest()
        canonical = f"POST\n/\n{query}\n{lines}\n{match[1]}\n{content}"
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.new(b"s3cret", text.encode(), hashlib.sha256).hexdigest() == match[2]

    def fields(self, **acr: Any) -> dict[str, Any]:
        """Return the fields of the spec; `acr` replaces some of its."""
        written = {
            "endpoint": self.server.url,
            "parameters": PARAMETERS,
            "occurrences": "Data.Occurrences",
            "nextPage": "Data.NextToken",
            **acr,
        }
        return {"server": None, "acr": written, "note": NOTE, "credentialsSecret": {"name": "acr"}}


@pytest.fixture
def acr() -> Iterator[ACREnvironment]:
    with ACREnvironment() as environment:
        yield environment


def test_attestations_are_found_by_a_signed_call(acr: ACREnvironment) -> None:
    acr.attest(noteName=NOTE)
    check = acr.check(**acr.fields())
    assert acr.verify(check).fingerprints == (fingerprint(KEY),)
    (request,) = acr.server.requests
    assert dict(request.query) == {"InstanceId": "cri-1", "ResourceUri": uri(), "RepoName": "ns/app"}
    assert request.headers["x-acs-action"] == "ListMetadataOccurrences"
    assert request.headers["x-acs-version"] == "2018-12-01"
    assert check.budget_host(acr.image()) == acr.server.host


def test_every_page_is_followed(acr: ACREnvironment) -> None:
    acr.per_page = 1
    acr.attest(STRANGER, noteName=NOTE)
    acr.attest(noteName=NOTE)
    acr.verify(acr.check(**acr.fields()))
    assert [dict(request.query).get("NextToken") for request in acr.server.requests] == [None, "1"]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"noteName": "namespaces/other"}, Reason.NO_SIGNATURE),
        ({"noteName": NOTE, "uri": uri(OTHER_DIGEST)}, Reason.NO_SIGNATURE),
        ({"noteName": NOTE, "kind": "BUILD"}, Reason.NO_SIGNATURE),
        ({"noteName": NOTE, "key_id": "stranger"}, Reason.UNKNOWN_KEY),
        ({"noteName": NOTE, "payload": payload_of(OTHER_DIGEST, REPOSITORY)}, Reason.DIGEST_MISMATCH),
    ],
)
def test_occurrences_are_read_as_strictly_as_from_grafeas(
    acr: ACREnvironment, members: dict[str, Any], reason: Reason
) -> None:
    acr.attest(**members)
    acr.refuses(reason, acr.check(**acr.fields()))


def test_a_member_in_two_spellings_is_refused(acr: ACREnvironment) -> None:
    acr.attest(noteName=NOTE, NoteName=NOTE)
    body = json.dumps({"Data": {"Occurrences": acr.server.occurrences}}).encode()
    acr.server.faults.answer("InstanceId", body=body)
    acr.refuses(Reason.MALFORMED_EVIDENCE, acr.check(**acr.fields()))


@pytest.mark.parametrize("path", ["Occurrences", "Data.Items", "Data.Occurrences.List", "RequestId"])
def test_wrong_list_location_verifies_nothing(acr: ACREnvironment, path: str) -> None:
    acr.attest(noteName=NOTE)
    error = acr.refuses(Reason.MALFORMED_EVIDENCE, acr.check(**acr.fields(occurrences=path)))
    assert path in error.message


def test_a_wrong_access_key_makes_it_unavailable(acr: ACREnvironment) -> None:
    acr.secrets = {"acr": {"accessKeyId": b"LTAI", "accessKeySecret": b"other"}}
    assert isinstance(acr.unavailable(acr.check(**acr.fields())), UnauthorizedError)


def test_resource_uri_of_occurrences_is_configurable(acr: ACREnvironment) -> None:
    acr.attest(uri=f"{REPOSITORY}@{DIGEST}", noteName=NOTE)
    acr.refuses(Reason.NO_SIGNATURE, acr.check(**acr.fields()))
    acr.verify(acr.check(**acr.fields(resourceUri="{repository}@{digest}")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server": "https://grafeas.example.org"}, "exactly one"),
        ({"acr": None}, "has no store"),
        ({"credentialsSecret": None}, "without credentialsSecret"),
    ],
)
def test_invalid_settings_are_refused(acr: ACREnvironment, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        acr.authenticator(**{**acr.fields(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"A": "{tag}"}}, "which is not known"),
        ({"resourceUri": "https://{repository}"}, "it must name one image"),
        ({"occurrences": "Data..Items"}, "occurrences"),
        ({"action": "List&Version=1"}, "action"),
    ],
)
def test_texts_that_cannot_be_filled_in_are_refused(acr: ACREnvironment, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        acr.authenticator(**acr.fields(**change))


def test_content_covers_every_deciding_field(acr: ACREnvironment) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"parameters": {}},
        {"occurrences": "A"},
        {"nextPage": "A"},
        {"pageParameter": "A"},
        {"action": "A"},
        {"version": "A"},
        {"resourceUri": "{digest}"},
        {"endpoint": "https://cr.example.org"},
    ]
    checks = [acr.check(key_entry(KEY), **acr.fields(**change)) for change in changes]
    assert len({check.content for check in checks}) == len(checks)
