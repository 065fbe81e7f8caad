"""The canary: a standing proof that the webhook denies.

A process asks every minute, by a server-side dry run, for a Pod with an image of a reserved repository. The webhook
refuses every object that brings such an image, before it looks at a policy: no policy, exception or setting admits it,
in no namespace that is sent to the webhook. So only a webhook that is called, by an API server with the right
configuration, gives this answer, and only an API server that does not call it admits the Pod.

No registry can have the name: `invalid` is a top-level domain that is never assigned (RFC 2606). Replicas of two
releases run beside each other during an upgrade: the repository and the text stay as they are.
"""

from __future__ import annotations

from typing import Final, Literal

from sealgate.errors import InvalidReferenceError
from sealgate.references import Repository, parse_reference

#: The reserved repository; any tag and digest.
REPOSITORY: Final = Repository("sealgate.invalid", "canary")
#: Message with which the webhook denies it.
TEXT: Final = "sealgate canary: the webhook denies"

#: What the API server's answer to a dry run proves: the webhook has denied it; the webhook has not been asked, or has
#: admitted it; neither.
Proof = Literal["denied", "admitted", "unknown"]
#: What the API server says for a resource quota. Quotas are evaluated after the last webhook.
_QUOTA: Final = "exceeded quota"


def is_reserved(image: str) -> bool:
    """Return whether an image, as written, is of the reserved repository."""
    if REPOSITORY.path not in image:
        return False  # a path is in its reference as it is, so that most images need not be parsed
    try:
        return parse_reference(image).repository == REPOSITORY
    except InvalidReferenceError:
        return False


def judge(answer: str, webhook: str) -> Proof:
    """Return what the API server's answer to the dry run proves.

    Args:
        answer: its message; empty if it would create the Pod.
        webhook: name of the webhook in its webhook configuration.
    """
    refused, _, message = answer.partition(" denied the request: ")
    if refused == f'admission webhook "{webhook}"' and TEXT in message:
        return "denied"
    # The namespace permits no Pod at all, which is checked last.
    return "admitted" if not answer or _QUOTA in answer else "unknown"
