"""Bodies of events, of every kind of source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate.parsing.strict_json import MalformedError, TooLargeError, parse_object
from sealgate_webhook.events.bodies import acr, docker, harbor, oracle
from sealgate_webhook.events.pushes import Ignored, IgnoredEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sealgate_webhook.events.config import Kind
    from sealgate_webhook.events.pushes import Push

#: The most bytes of one body, and events in it. Registries send one event, or those of one push.
MAX_BODY_BYTES: Final = 1 << 20
MAX_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of source writes its bodies: the events of a body, and the push of an event."""

    events: Callable[[Mapping[str, object]], Sequence[object]]
    read: Callable[[object, str], Push]


_SHAPES: Final[Mapping[Kind, _Shape]] = {
    "docker": _Shape(docker.events, docker.read),
    "harbor": _Shape(harbor.events, harbor.read),
    "swr": _Shape(harbor.events, harbor.read),
    "acr": _Shape(acr.events, acr.read),
    "oci": _Shape(oracle.events, oracle.read),
}


@dataclass(frozen=True, slots=True)
class ReadBody:
    """The events of a body.

    Attributes:
        pushes: each once, in their order.
        ignored: all other events.
    """

    pushes: tuple[Push, ...]
    ignored: tuple[IgnoredEventError, ...]


def read_body(kind: Kind, body: bytes, registry: str) -> ReadBody:
    """Read the events of a body. An event that cannot be read does not keep the others from being read.

    Registries send an event again, and no later one, until it is taken: a single event that can never be read must not
    block them.

    Args:
        kind: of the source.
        body: at most `MAX_BODY_BYTES`.
        registry: of the source, normalised.

    Raises:
        TooLargeError: it is larger, or has more than `MAX_EVENTS` events.
        MalformedError: it is not unambiguous JSON, or not what this kind of source sends.
    """
    shape = _SHAPES[kind]
    events = shape.events(parse_object(body, "the body", limit=MAX_BODY_BYTES))
    if len(events) > MAX_EVENTS:
        raise TooLargeError(f"the body has more than {MAX_EVENTS} events")
    pushes: dict[Push, None] = {}
    ignored: list[IgnoredEventError] = []
    for event in events:
        try:
            pushes[shape.read(event, registry)] = None
        except IgnoredEventError as error:
            ignored.append(error)
        except MalformedError as error:
            ignored.append(IgnoredEventError(Ignored.UNREADABLE, str(error)))
    return ReadBody(tuple(pushes), tuple(ignored))
