"""EXPERIMENTAL: occurrences from the metadata service of Alibaba Cloud Container Registry.

Alibaba's hook asks the registry for the occurrences of an image, by requests and responses without public
documentation. The form and the signing of calls of Alibaba's APIs are documented; action, parameters, and the path of
the list in the response are configuration. This module is not tested with the real service. Its responses are parsed as
strictly as those of a Grafeas server, so a wrong configuration verifies no image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sealgate.cloud.alibaba import AlibabaCredentials, RPCCall, sign_call
from sealgate.formats.grafeas.stores import MAX_PAGE_BYTES
from sealgate.formats.grafeas.wire import read_occurrence
from sealgate.formats.listing import Page, require_success
from sealgate.messages import quote
from sealgate.parsing.evidence import as_object, malformed, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.formats.grafeas.wire import Entry
    from sealgate.formats.interface import Image, Sources

_WHAT = "the list of occurrences"


@dataclass(frozen=True, slots=True)
class ACRStore:
    """The metadata service; see `OccurrenceStore`, and `ACRSpec` for what the fields mean.

    Attributes:
        endpoint: without a slash at its end.
        ca: PEM bundle of CA certificates for the service; None for the system's.
        note: whose occurrences count.
        action: of the API.
        version: of the API.
        parameters: of the action, with placeholders.
        records: path to the list in the answer.
        page_parameter: asks for a further page.
        next_page: path to its value.
        resource_uri: what occurrences call the image, with placeholders.
        credentials: the Secret with the access key.
    """

    endpoint: str
    ca: str | None
    note: str
    action: str
    version: str
    parameters: Mapping[str, str]
    records: str
    page_parameter: str
    next_page: str
    resource_uri: str
    credentials: str

    @property
    def host(self) -> str:
        """The service's host."""
        return urlsplit(self.endpoint).netloc

    def pages(self, image: Image, sources: Sources) -> Callable[[str], Page]:
        """Return what fetches a page; see `OccurrenceStore.pages`."""
        credentials = AlibabaCredentials.from_secret(self.credentials, sources.secrets.read(self.credentials))
        return lambda token: self._page(token, image, sources, credentials)

    def _page(self, token: str, image: Image, sources: Sources, credentials: AlibabaCredentials) -> Page:
        parameters = {name: _fill_in(text, image) for name, text in self.parameters.items()}
        if token:
            parameters[self.page_parameter] = token
        call = RPCCall(self.endpoint, self.action, self.version, parameters)
        headers = sign_call(call, credentials, sources.clock.now())
        response = sources.services.request("POST", call.url, headers=headers, limit=MAX_PAGE_BYTES, ca=self.ca)
        body = require_success(response, f"{self.action} of {quote(self.host)}")
        answer = parse_object(body, _WHAT, limit=MAX_PAGE_BYTES)
        records, following = _at(answer, self.records), _at(answer, self.next_page)
        if not isinstance(records, list) or not isinstance(following, str | None):
            raise malformed(_WHAT, f"there is no list at {self.records}, or no text at {self.next_page}")
        return Page(records, following or "")

    def signatures(self, record: object, image: Image, number: int) -> Iterator[Entry]:
        """Yield the signatures of an occurrence; see `OccurrenceStore.signatures`."""
        spelt = _decapitalised(as_object(record, f"occurrence {number}"))
        yield from read_occurrence(spelt, self.note, _fill_in(self.resource_uri, image), number)


def _fill_in(text: str, image: Image) -> str:
    """Replace placeholders once, so that nothing in a name is taken for one."""
    repository = image.reference.repository
    namespace, _, name = repository.path.rpartition("/")
    values = {
        "{repository}": repository.name,
        "{path}": repository.path,
        "{namespace}": namespace,
        "{name}": name,
        "{digest}": image.digest,
    }
    # No name has braces in it, so the order does not matter.
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _at(answer: Mapping[str, object], path: str) -> object:
    value: object = answer
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _decapitalised(value: object) -> object:
    """Return a value with members spelt as Grafeas has them: Alibaba's APIs write `NoteName`."""
    if isinstance(value, list):
        return [_decapitalised(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    members = {f"{name[:1].lower()}{name[1:]}": _decapitalised(member) for name, member in value.items()}
    if len(members) != len(value):
        raise malformed("an occurrence", "it has a member in two spellings")
    return members
