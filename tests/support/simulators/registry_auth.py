"""Authentication of a simulated registry: none, password, or token."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.support.simulators.http_messages import Answer, json_answer, registry_error

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import RecordedRequest


def scope_of(method: str, repository: str) -> str:
    """Return the token scope of an action on a repository, as docker-registry asks for it."""
    rights = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(method, "pull,push")
    return f"repository:{repository}:{rights}"


@dataclass(slots=True)
class Auth:
    """Required authentication of the registry; it can change while the registry runs.

    Attributes:
        mode: "none", "basic" or "bearer".
        users: passwords by user name.
        pull_only: users whose tokens permit no push; "" for callers without credentials.
        identity_tokens: OAuth2 refresh tokens that the token endpoint takes by POST.
        anonymous: whether the token endpoint gives tokens to callers without credentials.
        realm: the token endpoint named in challenges; None for this registry's own `/token`.
        service: as named in challenges.
        expires_in: what token answers say; None leaves it out.
        token_member: "token" or "access_token".
        post: whether the token endpoint knows the OAuth2 POST (else 404).
        issued: every token given out, with the scopes it is good for. Clear it to revoke them all.
        challenge: the exact WWW-Authenticate header instead of the one that follows from the above.
    """

    mode: str = "none"
    users: dict[str, str] = field(default_factory=dict)
    pull_only: set[str] = field(default_factory=set)
    identity_tokens: set[str] = field(default_factory=set)
    anonymous: bool = False
    realm: str | None = None
    service: str = "simulator"
    expires_in: int | None = 300
    token_member: str = "token"
    post: bool = True
    issued: dict[str, tuple[str, ...]] = field(default_factory=dict)
    challenge: str | None = None

    def refusal(self, request: RecordedRequest, scope: str, url: str) -> Answer | None:
        """Return the response that refuses a request; None if the request is permitted.

        Args:
            request: the request to check.
            scope: scope that a token must cover ("repository:team/app:pull"); empty for any token.
            url: URL of the registry, which issues tokens unless `realm` names another service.
        """
        given = request.headers.get("authorization", "")
        if self.mode == "basic" and self._user(given) is None:
            return self._challenge('Basic realm="simulator"')
        if self.mode == "bearer" and not self._covers(given, scope):
            text = f'Bearer realm="{self.realm or f"{url}/token"}",service="{self.service}"'
            if scope:
                text += f',scope="{scope}"'
            return self._challenge(text + (',error="insufficient_scope"' if given else ""))
        return None

    def token(self, request: RecordedRequest, port: int) -> Answer:
        """Return the token endpoint's response.

        Args:
            request: what arrived there.
            port: the registry's, so that no two give out the same token.
        """
        if request.method == "POST":
            if not self.post:
                return Answer(404)
            form = parse_qsl(request.body.decode())
            scopes = [value for name, value in form if name == "scope"]
            if dict(form).get("refresh_token") not in self.identity_tokens:
                return registry_error(401, "UNAUTHORIZED")
        else:
            scopes = [value for name, value in request.query if name == "scope"]
            given = request.headers.get("authorization")
            user = self._user(given) if given else None
            if not (user if given else self.anonymous):
                return registry_error(401, "UNAUTHORIZED")
            if (user or "") in self.pull_only:
                scopes = [scope.replace("pull,push", "pull") for scope in scopes]
        token = f"token-{len(self.issued) + 1}-of-{port}"
        self.issued[token] = tuple(part for scope in scopes for part in scope.split(" "))
        document: dict[str, Any] = {self.token_member: token}
        if self.expires_in is not None:
            document["expires_in"] = self.expires_in
        return json_answer(document)

    def _covers(self, given: str, scope: str) -> bool:
        scopes = self.issued.get(given.removeprefix("Bearer "))
        return scopes is not None and (not scope or any(_covers(held, scope) for held in scopes))

    def _challenge(self, text: str) -> Answer:
        answer = registry_error(401, "UNAUTHORIZED")
        answer.headers["WWW-Authenticate"] = self.challenge or text
        return answer

    def _user(self, authorization: str) -> str | None:
        if not authorization.startswith("Basic "):
            return None
        name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        return name if name in self.users and self.users[name] == password else None


def _covers(held: str, scope: str) -> bool:
    name, _, actions = scope.rpartition(":")
    held_name, _, held_actions = held.rpartition(":")
    return held_name == name and set(actions.split(",")) <= set(held_actions.split(","))
