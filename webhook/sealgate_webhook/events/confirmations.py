"""Confirmation of a subscription of Oracle Notifications: an HTTPS subscription sends nothing until it is confirmed.

The first message names a URL to be asked. Only an authenticated source of kind oci is heard, only for the topic of its
settings, and only Oracle's own notification service of that topic's region is asked: the endpoint must not be made to
send requests anywhere else. Source: docs.oracle.com, "Confirming a Subscription", and the SDK's endpoints
(`notification.{region}.oci.{secondLevelDomain}`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.errors import ForbiddenAddressError, SealgateError, UnavailableError
from sealgate.http.client import Follow, Request, RequestPolicy
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.oracle_realms import REALM_DOMAINS, realm_of
from sealgate.parsing.strict_json import MalformedError, optional_text, parse_object

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from sealgate.clocks import Clock
    from sealgate.http.client import HTTPClient
    from sealgate.http.urls import URL

#: Seconds that the notification service has for its response.
CONFIRM_SECONDS: Final = 5.0
_MAX_RESPONSE_BYTES: Final = 1 << 16
_OK: Final = range(200, 300)

_TYPE: Final = "X-OCI-NS-MessageType"
_TOPIC: Final = "X-OCI-NS-TopicOcid"
_URL: Final = "X-OCI-NS-ConfirmationURL"

#: Regions that OCIDs name by a key.
_REGIONS: Final = {
    "phx": "us-phoenix-1",
    "iad": "us-ashburn-1",
    "fra": "eu-frankfurt-1",
    "lhr": "uk-london-1",
    "yyz": "ca-toronto-1",
}


class RefusedConfirmationError(SealgateError):
    """A subscription is not confirmed: it is another topic's, or its URL is not that of the notification service."""


def is_confirmation(headers: Headers) -> bool:
    """Return whether a message asks for the confirmation of a subscription."""
    return headers.get(_TYPE) == "SubscriptionConfirmation"


class Confirmations:
    """Confirms subscriptions.

    Args:
        http: sends the request.
        clock: measures its deadline.
    """

    def __init__(self, http: HTTPClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    def confirm(self, topic: str, headers: Headers, body: bytes) -> None:
        """Confirm the subscription that a message is about.

        Args:
            topic: OCID of the only topic that is confirmed.
            headers: of the message.
            body: of the message; read only where the headers have no URL.

        Raises:
            RefusedConfirmationError: it is another topic's, or its URL is not that of the notification service.
            UnavailableError: the service could not be asked, or did not confirm.
        """
        named = headers.get(_TOPIC, "")
        if named != topic:
            raise RefusedConfirmationError(f"the subscription is of the topic {quote(named)}, not of {quote(topic)}")
        url = notification_url(topic, headers.get(_URL) or _url_of(body))
        policy = RequestPolicy(Deadline.after(self._clock, CONFIRM_SECONDS), frozenset())
        request = Request(url, limit=_MAX_RESPONSE_BYTES, follow=Follow.NOWHERE)
        status = self._http.send(request, policy).response.status
        if status not in _OK:
            raise UnavailableError(f"{url.origin.authority} answered {status} to the confirmation of the subscription")


def notification_url(topic: str, text: str) -> URL:
    """Return a URL of the notification service of a topic's region.

    Args:
        topic: OCID of the topic: `ocid1.onstopic.REALM.REGION.ID`.
        text: foreign text.

    Raises:
        RefusedConfirmationError: it is another URL, or not one.
    """
    region = topic.split(".")[3]
    region = _REGIONS.get(region, region)
    domain = REALM_DOMAINS.get(realm_of(topic), "")
    hosts = re.compile(rf"(cell[0-9]{{1,3}}\.)?notification\.{re.escape(region)}\.(oci\.)?{re.escape(domain)}")
    try:
        url = parse_url(text)
    except ForbiddenAddressError as error:
        raise RefusedConfirmationError(error.message) from error
    if not domain or url.origin.scheme != "https" or not hosts.fullmatch(url.origin.authority):
        raise RefusedConfirmationError(
            f"{quote(url.origin.authority)} is not the notification service of {quote(region)}; confirm by hand"
        )
    return url


def _url_of(body: bytes) -> str:
    try:
        return optional_text(parse_object(body, "the body"), "ConfirmationURL", "the body") or ""
    except MalformedError as error:
        raise RefusedConfirmationError(str(error)) from error
