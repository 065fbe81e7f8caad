"""Signing by records in Oracle Cloud's registry, as `oci artifacts container image-signature sign-upload` does.

A record belongs to one image in the registry, by the image's OCID, so it is gone with that push. It is a record of its
own, so that no writer can replace another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.cloud.oracle import OCICredentials
from sealgate.errors import InvalidKeyError, NotFoundError, SigningError, UnauthorizedError
from sealgate.formats.listing import list_records
from sealgate.formats.oracle.claims import Expectations
from sealgate.formats.oracle.keys import TrustedKey, TrustedKeys
from sealgate.formats.oracle.service import Caller
from sealgate.formats.oracle.verify import build_from
from sealgate.formats.oracle.wire import (
    ALGORITHMS,
    AVAILABLE,
    SignedText,
    repository_name,
    require_description,
    require_metadata,
)
from sealgate.formats.read_back import sign_once
from sealgate.formats.signing import SigningResult
from sealgate.keys.signing_keys import sign_verified
from sealgate.messages import quote
from sealgate.parsing.evidence import as_object, text_member

if TYPE_CHECKING:
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.oracle.service import SignatureService
    from sealgate.formats.oracle.verify import OracleCheck
    from sealgate.formats.signing import SigningContext
    from sealgate.keys.signing_keys import SigningKey

_NAMES = {ours: name for name, ours in ALGORITHMS.items()}


@dataclass(frozen=True, slots=True)
class OracleSigner:
    """A key of a vault and the service of image signatures; see `Signer`. Immutable, thread-safe.

    Attributes:
        service: stores the records.
        credentials: the Secret with the API key.
        key: signs; one version of a key in a vault.
        text: what signatures say beside the image.
        format: "oracle".
    """

    service: SignatureService
    credentials: str
    key: SigningKey
    text: SignedText
    format: str = "oracle"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return an empty name: records are added one by one."""
        del image
        return ""

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Sign an image, unless this version of the key has signed the same text; see `Signer.sign`.

        Raises:
            SigningError: the key cannot sign, or the service refuses the record.
            VerificationError: there are too many signatures, or the new one does not verify.
            NotFoundError: the compartment has no such image.
            UnavailableError: the vault or the service could not be asked (and its subclasses).
        """
        sources, public = context.sources, self.key.public
        outcome, location = sign_once(
            self._check(), self.fingerprint, image, sources, lambda: self._upload(image, sources)
        )
        where = f"{self.service.host}: {location}"
        return SigningResult(outcome, public.fingerprint, public.version, public.algorithm.value, where)

    def _upload(self, image: Image, sources: Sources) -> str:
        credentials = OCICredentials.from_secret(self.credentials, sources.secrets.read(self.credentials))
        caller = Caller(sources.services, credentials, sources.clock)
        image_id = self._image_id(image, caller, sources)
        message = self.text.message(image)
        signature = sign_verified(self.key, message, sources.deadline)
        try:
            return self.service.upload(self.text.record(self.service.compartment, image_id, message, signature), caller)
        except (NotFoundError, UnauthorizedError) as error:
            msg = f"{error.message}; signing needs a policy that allows to manage repos in {self.service.compartment}"
            raise type(error)(msg) from error

    def _image_id(self, image: Image, caller: Caller, sources: Sources) -> str:
        """Return the OCID of the image, which is that of one push."""
        name, found = repository_name(image), []
        for number, item in enumerate(
            list_records(lambda token: self.service.image_page(token, image, caller), sources.deadline), 1
        ):
            what = f"image {number}"
            listed = as_object(item, what)
            # The service's filters may be prefixes or patterns.
            wanted = {"digest": image.digest, "repositoryName": name, "lifecycleState": AVAILABLE}
            if all(text_member(listed, member, what) == value for member, value in wanted.items()):
                found.append(text_member(listed, "id", what))
        if not found:
            msg = f"{self.service.compartment} has no image {image.digest} in {quote(name)}; push it, or name the "
            raise NotFoundError(f"{msg}compartment that the repository belongs to")
        if len(found) > 1:
            named = ", ".join(quote(ocid, 128) for ocid in found[:3])
            raise SigningError(f"{name}@{image.digest} is there {len(found)} times ({named}); delete all but one")
        return found[0]

    def _check(self) -> OracleCheck:
        text, public = self.text, self.key.public
        trusted = TrustedKey(text.key_id, frozenset({text.key_version_id}), {text.algorithm: (public,)})
        expectations = Expectations(text.region, text.description, {}, text.metadata)
        return build_from(self.service, TrustedKeys((trusted,)), expectations, self.credentials)


def build_signer(  # noqa: PLR0913 - the key, the store, and what the signature says
    service: SignatureService,
    credentials: str,
    key: SigningKey,
    key_id: str,
    *,
    region: str,
    description: str = "",
    metadata: str = "",
) -> OracleSigner:
    """Return a signer for one version of a vault's key.

    Args:
        service: stores the records.
        credentials: the Secret with the API key.
        key: one version of a key in a vault.
        key_id: OCID of the key.
        region: of the registry ("us-phoenix-1").
        description: of images, as the console shows it; empty for none.
        metadata: JSON text about images; empty for none.

    Raises:
        InvalidKeyError: image signatures do not have the key's algorithm, or the key has no version.
        InvalidInputError: description or metadata does not have the form that Oracle requires.
    """
    algorithm = key.public.algorithm
    if algorithm not in _NAMES or not key.public.version:
        wanted = f"image signatures are made by one version of an RSA key in a vault, with one of {', '.join(_NAMES)}"
        raise InvalidKeyError(f"{quote(key.name, 600)} signs with {algorithm}; {wanted}")
    require_description(description)
    require_metadata(metadata)
    text = SignedText(region, key_id, key.public.version, _NAMES[algorithm], description, metadata)
    return OracleSigner(service, credentials, key, text)
