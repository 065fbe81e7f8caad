"""Asks a signature store, with the credentials that its Authenticator names, for the signatures of an image.

The image is a reserved one that does not exist, and what the store lists does not count: that it lists something, or
nothing, shows that it accepts the credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.cloud.oracle import OCICredentials
from sealgate.formats.grafeas.verify import store_of
from sealgate.formats.interface import Image
from sealgate.formats.oracle.service import Caller
from sealgate.formats.oracle.verify import service_of
from sealgate.references import parse_digest, parse_reference

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
    from sealgate.formats.interface import Sources

_PROBE: Final = Image(parse_reference("sealgate.invalid/doctor/probe:1"), parse_digest("sha256:" + "0" * 64))


def list_signatures(spec: AuthenticatorSpec, sources: Sources) -> None:
    """Have a signature store list the signatures of an image that does not exist, as a verification would.

    Args:
        spec: an Authenticator whose store takes credentials from a Secret; with another one, nothing is asked.
        sources: how stores are reached, and the Secret.

    Raises:
        UnauthorizedError: the store refuses the credentials.
        NotFoundError: it does not know the project, note or compartment, or hides it from these credentials.
        UnavailableError: the Secret has no usable credentials (reason *AuthenticatorNotReady*), or the store could not
            be asked.
        VerificationError: its response cannot be understood.
    """
    if spec.grafeas is not None:
        store_of(spec.grafeas).pages(_PROBE, sources)("")
    if spec.oracle is not None and spec.oracle.credentials_secret is not None:
        name = spec.oracle.credentials_secret.name
        credentials = OCICredentials.from_secret(name, sources.secrets.read(name))
        service_of(spec.oracle).page("", _PROBE, Caller(sources.services, credentials, sources.clock))
