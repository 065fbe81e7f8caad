"""Strict JSON for evidence about an image: the functions of `strict_json`, raising `VerificationError`.

A registry's manifest, a payload or a signature record that does not parse is a refusal with reason
*MalformedEvidence*, or *EvidenceTooLarge*. This is the only translation of `strict_json`'s errors to refusals. A
response that is not evidence (a token, a key of a KMS) is read with `strict_json` itself.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sealgate.errors import VerificationError
from sealgate.parsing import strict_json
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _refusing(read: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function of `strict_json` that raises `VerificationError` instead of `MalformedError`."""

    @wraps(read)
    def refusing(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return read(*args, **kwargs)
        except strict_json.MalformedError as error:
            raise _refusal(error) from error

    return refusing


def _refusal(error: strict_json.MalformedError) -> VerificationError:
    too_large = isinstance(error, strict_json.TooLargeError)
    reason = Reason.EVIDENCE_TOO_LARGE if too_large else Reason.MALFORMED_EVIDENCE
    return VerificationError(str(error), reason=reason)


def malformed(what: str, why: str) -> VerificationError:
    """Return the refusal of malformed evidence; see `strict_json.malformed`."""
    return _refusal(strict_json.malformed(what, why))


parse = _refusing(strict_json.parse)
parse_object = _refusing(strict_json.parse_object)
as_object = _refusing(strict_json.as_object)
object_member = _refusing(strict_json.object_member)
list_member = _refusing(strict_json.list_member)
text_member = _refusing(strict_json.text_member)
optional_text = _refusing(strict_json.optional_text)
base64_member = _refusing(strict_json.base64_member)
decode_base64 = _refusing(strict_json.decode_base64)
only_members = _refusing(strict_json.only_members)
