"""Requests to services of clouds and their responses: bounded, parsed strictly.

The text of an error may repeat the request, signatures included, so only status and code of an error are reported.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.reasons import Reason
from sealgate.service_secrets import describe_secret, text_member

if TYPE_CHECKING:
    from sealgate.http.interface import Response, Services

#: Limit for one response in bytes; a key has about 1,000, a page of versions about 50,000.
MAX_ANSWER_BYTES = 256 << 10

# Some APIs answer with 201 (Created) when they issue a token.
_OK = frozenset({200, 201})
_PEM_LINE = 64
_REFUSED = frozenset({401, 403})
_NOT_FOUND = 404
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_CODE_MEMBERS = ("Code", "code", "error_code", "__type")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, signed.

    Attributes:
        method: "GET".
        url: the whole of it.
        headers: all that have to be sent.
        body: the bytes, if any.
        ca: PEM bundle of CA certificates for the service; None for the system's.
        secret: name of the Secret that the credentials are from, for messages.
        codes: what an error is by its code, for services whose status does not say it.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None
    ca: str | None
    secret: str
    codes: Mapping[str, type[UnavailableError]] = field(default_factory=dict)


def ask(services: Services, call: Call, what: str) -> object:
    """Send a request and return the JSON value that is the answer.

    Args:
        services: how it is sent.
        call: the request.
        what: who is asked, for messages ("Huawei DEW").

    Raises:
        NotFoundError: the service has no such key or version, or hides it from these credentials.
        UnauthorizedError: it does not take the credentials.
        UnavailableError: it did not answer, or nothing that makes sense.
    """
    return _parse(send(services, call, what), what)


def send(services: Services, call: Call, what: str) -> Response:
    """Send a request and return the successful response; for services that answer in headers too. See `ask`.

    Raises:
        UnavailableError: as there, except that the body is not parsed.
    """
    response = _send(services, call, what)
    if response.status not in _OK:
        raise _refusal(response, call, what)
    return response


def ask_object(services: Services, call: Call, what: str) -> Mapping[str, object]:
    """Send a request and return the JSON object that is the answer; see `ask`.

    Raises:
        UnavailableError: as there, or the response is not an object.
    """
    value = ask(services, call, what)
    if not isinstance(value, Mapping):
        raise unexpected(what, "not a JSON object")
    return value


def object_of(response: Response, what: str) -> Mapping[str, object]:
    """Return the JSON object in a response that was not asked for by `ask`.

    Raises:
        UnavailableError: its status is not 200, or it is something else.
    """
    if response.status not in _OK:
        code = _code(response.body)
        raise UnavailableError(f"{what} answers {response.status}{f' {code}' if code else ''}")
    try:
        return strict_json.parse_object(response.body, "it", limit=MAX_ANSWER_BYTES)
    except strict_json.MalformedError:
        # Without the cause, which may quote a token.
        raise unexpected(what, "not a JSON object") from None


def text(answer: Mapping[str, object], name: str, what: str) -> str:
    """Return a member that must be text.

    Raises:
        UnavailableError: it is missing or something else.
    """
    value = answer.get(name)
    if not isinstance(value, str):
        raise unexpected(what, f"{name} is missing or no text")
    return value


def member(answer: Mapping[str, object], name: str, what: str) -> Mapping[str, object]:
    """Return a member that must be an object.

    Raises:
        UnavailableError: it is missing or something else.
    """
    value = answer.get(name)
    if not isinstance(value, Mapping):
        raise unexpected(what, f"{name} is missing or not an object")
    return value


def whole_number(answer: Mapping[str, object], name: str, what: str) -> int:
    """Return a member that must be a whole number.

    Raises:
        UnavailableError: it is missing or something else.
    """
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise unexpected(what, f"{name} is missing or not a number")
    return value


def bearer(answer: Mapping[str, object], what: str) -> tuple[str, float]:
    """Return the token of an OAuth2 answer, and its lifetime in seconds (RFC 6749, 5.1).

    Raises:
        UnavailableError: one of them is missing or something else.
    """
    seconds = whole_number(answer, "expires_in", what)
    found = {"access_token": text(answer, "access_token", what).encode()}
    return text_member(f"the response of {what}", found, "access_token"), seconds


def base64_text(answer: Mapping[str, object], name: str, what: str) -> bytes:
    """Return the bytes of a member that must be base64, not empty.

    Raises:
        UnavailableError: it is missing or something else.
    """
    try:
        value = b64decode(text(answer, name, what), validate=True)
    except ValueError as error:
        raise unexpected(what, f"{name} is not base64") from error
    if not value:
        raise unexpected(what, f"{name} is empty")
    return value


def pem_of(der: bytes) -> str:
    """Return a public key in PEM that a service returned as DER (SubjectPublicKeyInfo); it is not parsed here."""
    body = b64encode(der).decode()
    lines = (body[at : at + _PEM_LINE] for at in range(0, len(body), _PEM_LINE))
    return "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))


def objects(value: object, what: str) -> tuple[Mapping[str, object], ...]:
    """Return the items of a list of objects.

    Raises:
        UnavailableError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise unexpected(what, "it does not list objects")
    return tuple(value)


def word(found: str, what: str) -> str:
    """Return an ID that becomes a part of a URL or of a status: one short word.

    Raises:
        UnavailableError: it is something else.
    """
    if _WORD.fullmatch(found) is None:
        raise unexpected(what, f"{quote(found, 128)} is not an ID")
    return found


def same(found: str, wanted: str, what: str) -> None:
    """See that an answer is about what was asked for.

    Raises:
        UnavailableError: it is about something else.
    """
    if found != wanted:
        raise unexpected(what, f"it is about {quote(found, 128)}, not {quote(wanted, 128)}")


def _send(services: Services, call: Call, what: str) -> Response:
    try:
        return services.request(
            call.method, call.url, headers=call.headers, body=call.body, limit=MAX_ANSWER_BYTES, ca=call.ca
        )
    except VerificationError as error:  # too large: not evidence, but a service that gave no usable response
        raise unexpected(what, error.message) from error


def _parse(response: Response, what: str) -> object:
    try:
        return strict_json.parse(response.body, "it", limit=MAX_ANSWER_BYTES)
    except strict_json.MalformedError as error:
        raise unexpected(what, str(error)) from error


def _refusal(response: Response, call: Call, what: str) -> UnavailableError:
    code = _code(response.body)
    answer = f"{what} answers {response.status}{f' {code}' if code else ''}"
    meant = call.codes.get(code)
    if response.status == _NOT_FOUND or meant is NotFoundError:
        return NotFoundError(answer)
    if response.status in _REFUSED or meant is UnauthorizedError:
        return UnauthorizedError(
            f"{answer}; check the credentials in {describe_secret(call.secret)}, and what they may do"
        )
    return UnavailableError(answer)


def _code(body: bytes) -> str:
    """Return the code of an error, from its `error` object or the top level; empty if there is none."""
    try:
        document = strict_json.parse_object(body, "it")
    except strict_json.MalformedError:
        return ""
    inner = document.get("error", document.get("Error"))
    candidates = (inner, document) if isinstance(inner, Mapping) else (document,)
    for candidate in candidates:
        for name in _CODE_MEMBERS:
            value = candidate.get(name)
            # AWS may put the name of the service before it ("com.amazonaws.kms#NotFoundException").
            code = value.rpartition("#")[2] if isinstance(value, str) else ""
            if _CODE.fullmatch(code):
                return code
    return ""


def unexpected(what: str, why: str) -> UnavailableError:
    """Return the error for a response that is not what it should be.

    Args:
        what: who was asked.
        why: what is wrong; foreign text in it is escaped.
    """
    return UnavailableError(f"unexpected response from {what}: {why}", reason=Reason.AUTHENTICATOR_NOT_READY)
