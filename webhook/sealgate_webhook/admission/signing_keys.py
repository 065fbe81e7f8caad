"""What an Authenticator that a SigningPolicy names says against the policy, when the policy is applied.

With `key.authenticator` a policy signs with the Authenticator's key. Only what is known for certain refuses a policy:
an Authenticator that does not exist yet, or whose key the operator has not read yet, may turn out to be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError, KeyRefusedError, SigningError, UnavailableError
from sealgate.keys.status_keys import StatusKeys
from sealgate.messages import quote
from sealgate.policies.signing_keys import kms_entry

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate_webhook.admission.sources import KnownAuthenticator


def signing_key_problem(policy: SigningPolicySpec, named: KnownAuthenticator, now: datetime) -> str:
    """Return why the key of an Authenticator cannot sign under a policy; empty if that is not known.

    Args:
        policy: a policy whose `key.authenticator` names it.
        named: the Authenticator, with its status.
        now: the time, timezone-aware.
    """
    name = named.object.metadata.name
    try:
        entry = kms_entry(policy, {name: named.object.spec}.get)
        StatusKeys(named.status, now).public_keys(entry)
    except SigningError as error:
        return error.message
    except (KeyRefusedError, InvalidKeyError) as error:
        return f"the key of Authenticator {quote(name)} cannot sign: {error.message}"
    except UnavailableError:
        return ""
    return ""
