"""Removes secrets from objects and texts that go into a support bundle. Pure.

Two rules, the second for what the first cannot know:

- Objects keep only the members that are listed here: of Pods and Deployments neither values of the environment nor
  arguments, of metadata neither annotations nor managed fields, of ConfigMaps only the settings of sealgate. A Secret
  is refused.
- In every text that is kept, what looks like a secret is replaced: private keys, `Authorization` and tokens, user names
  and queries in URLs, and values whose name says that they are secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sealgate.api.crds import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

#: What stands in place of a secret.
REDACTED: Final = "[redacted]"
#: The deepest nesting that is followed; what is deeper is replaced.
MAX_DEPTH: Final = 40

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
    r"(?:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|.*)",
    re.DOTALL,
)
#: A name that says that its value is a secret, in any spelling, alone or as a part of a longer one.
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)|token|secret|credential|authorization|cookie|private[-_]?key|(?:api|access|secret)[-_]?key"
    r"|^auths?$|^pwd$|signature$",
    re.IGNORECASE,
)
#: Names of the same sound whose values are names of objects, or public.
_PUBLIC_NAMES: Final = frozenset(
    {
        *("secretName", "tlsSecret", "caSecret", "selfTestSecret", "sharedCacheSecret", "dockerConfigSecret"),
        *("serviceSecrets", "credentialsSecret", "secretRef", "secretKeyRef", "imagePullSecrets", "pullSecrets"),
        *("automountServiceAccountToken", "lostKeys", "signature", "platformCredentials"),
    }
)
#: A header whose value has several words, up to the end of its line: schemes differ in where their secret is.
_HEADER = re.compile(r"(?i)((?:authorization|cookie)\s{0,3}[:=]\s{0,3})(?![\s\"'\\])[^\n]{1,65536}")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic|negotiate|digest)\s+[A-Za-z0-9+/=._~:-]{4,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){1,4}")
_CLOUD_KEY = re.compile(
    r"\b(?:AKIA|ASIA|LTAI|ghp_|gho_|ghs_|glpat-|dckr_pat_|xox[bpars]-|ya29\.|hv[bsr]\.)[A-Za-z0-9_-]{8,}"
)
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^/\s\"']{0,65536}@")
_QUERY = re.compile(r"(?i)\b(https?://[^\s\"'?]{0,1024})\?[^\s\"']*")
#: A query that names its values, of any URL or path.
_NAMED_QUERY = re.compile(r"\?[^\s\"'?=]{1,256}=[^\s\"']*")
_WORDS: Final = (
    r"(?:pass(?:word|wd|phrase|code)|token|secret|credential|authorization|cookie|private[-_]?key"
    r"|(?:api|access)[-_]?key)"
)
#: A value that begins with an escaped quote is in a JSON text inside another; the rest of its line goes too.
_VALUE: Final = (
    r"(?:\"(?:[^\"\\\n]|\\[^\n]){0,65536}\"?|'[^'\n]{0,65536}'?|\[[^\]\n]{0,65536}\]?"
    r"|\\{1,16}[\"'][^\n]{0,65536}|[^\s,;\"'{}\[\]\\]{1,65536})"
)
_SEPARATOR: Final = r"[a-z0-9_.-]{0,20}\\{0,16}[\"']?\s{0,3}[:=]\s{0,3}"
#: `name: value`, `name=value`, `"name": "value"`, and the same in a JSON text inside another.
_PAIR = re.compile(rf"(?i)({_WORDS}{_SEPARATOR})(?!{re.escape(REDACTED)}){_VALUE}")
#: `name: |` of YAML, with its lines, which are one line in a text that is escaped.
_BLOCK = re.compile(rf"(?i)({_WORDS}[a-z0-9_.-]{{0,20}}:[ ]{{0,3}}[|>])[^\n]*(?:\n[ \t]+[^\n]*)*")
#: `--name value`.
_OPTION = re.compile(rf"(?i)(--[a-z0-9-]{{0,30}}{_WORDS}[a-z0-9-]{{0,20}}\s{{1,3}}){_VALUE}")
#: The member of docker's configuration.
_AUTH = re.compile(rf"(?i)(\\{{0,16}}[\"']auths?\\{{0,16}}[\"']\s{{0,3}}:\s{{0,3}}){_VALUE}")


def redact_text(text: str) -> str:
    """Return a text in which what looks like a secret is replaced."""
    text = _PRIVATE_KEY.sub(REDACTED, text)
    text = _USER.sub(rf"\1{REDACTED}@", text)
    text = _QUERY.sub(rf"\1?{REDACTED}", text)
    text = _NAMED_QUERY.sub(f"?{REDACTED}", text)
    text = _HEADER.sub(rf"\1{REDACTED}", text)
    text = _AUTHORIZATION.sub(rf"\1 {REDACTED}", text)
    text = _JWT.sub(REDACTED, text)
    text = _CLOUD_KEY.sub(REDACTED, text)
    text = _BLOCK.sub(rf"\1 {REDACTED}", text)
    text = _OPTION.sub(rf"\1{REDACTED}", text)
    text = _AUTH.sub(rf"\1{REDACTED}", text)
    return _PAIR.sub(rf"\1{REDACTED}", text)


def redact_value(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value in which texts are redacted, and members whose name says that they are secret."""
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {redact_text(str(key)): _redact_member(str(key), member, depth) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item, depth + 1) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_object(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a Kubernetes object that a support bundle may have, redacted.

    Raises:
        ValueError: the object is a Secret, or of a kind that bundles do not have.
    """
    kind = str(obj.get("kind") or "")
    own = str(obj.get("apiVersion") or "").startswith(f"{GROUP}/")
    keep = _spec_and_status if own else _KEPT.get(kind)
    if keep is None:
        raise ValueError(f"a bundle does not have objects of this kind: {kind}")
    members = {"apiVersion": obj.get("apiVersion"), "kind": kind, "metadata": _metadata(obj.get("metadata") or {})}
    return redact_value({**members, **keep(obj)})  # type: ignore[no-any-return]  # a mapping stays one


def _redact_member(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    return _redact_all(value, depth + 1) if _is_secret(name) else redact_value(value, depth + 1)


def _redact_all(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value of which only the names of members are left."""
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        return {redact_text(str(key)): _redact_all(member, depth + 1) for key, member in value.items()}
    if isinstance(value, list | tuple) and depth <= MAX_DEPTH:
        return [_redact_all(item, depth + 1) for item in value]
    return value if value is None or isinstance(value, bool) else REDACTED


def _is_secret(name: str) -> bool:
    return name not in _PUBLIC_NAMES and _SECRET_NAME.search(name) is not None


# What is kept of each kind ----------------------------------------------------------------------------------------

_LABELS = ("app.kubernetes.io/", "helm.sh/", "pod-template-hash", "kubernetes.io/")


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp")
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key.startswith(_LABELS)}
    owners = [{key: one.get(key) for key in ("kind", "name")} for one in metadata.get("ownerReferences") or ()]
    schema = (metadata.get("annotations") or {}).get("sealgate.dev/schema")
    kept = {name: metadata[name] for name in names if name in metadata}
    return {**kept, "labels": labels, "ownerReferences": owners, "schema": schema}


def _spec_and_status(obj: Mapping[str, Any]) -> dict[str, Any]:
    spec = dict(obj.get("spec") or {})
    acr = (spec.get("grafeas") or {}).get("acr")
    if isinstance(acr, Mapping) and isinstance(acr.get("parameters"), Mapping):
        shown = {**acr, "parameters": dict.fromkeys(acr["parameters"], REDACTED)}
        spec["grafeas"] = {**spec["grafeas"], "acr": shown}
    return {"spec": spec, "status": obj.get("status")}


def _webhooks(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"webhooks": obj.get("webhooks")}


def _definition(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": obj.get("status")}


def _event(obj: Mapping[str, Any]) -> dict[str, Any]:
    names = ("type", "reason", "message", "note", "count", "involvedObject", "regarding", "firstTimestamp")
    more = ("lastTimestamp", "eventTime", "series", "source", "reportingComponent", "reportingController")
    return {name: obj[name] for name in (*names, *more) if name in obj}


def _config_map(obj: Mapping[str, Any]) -> dict[str, Any]:
    data = obj.get("data") or {}
    # As text: YAML can be made to expand without end.
    return {"data": {key: data[key] for key in ("config.yaml", "webhooks.yaml") if key in data}}


def _deployment(obj: Mapping[str, Any]) -> dict[str, Any]:
    spec = obj.get("spec") or {}
    template = ((spec.get("template") or {}).get("spec")) or {}
    return {
        "spec": {"replicas": spec.get("replicas"), "strategy": spec.get("strategy"), "template": _pod_spec(template)},
        "status": obj.get("status"),
    }


def _pod(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {"spec": _pod_spec(obj.get("spec") or {}), "status": obj.get("status")}


def _pod_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    names = ("nodeName", "serviceAccountName", "priorityClassName", "restartPolicy")
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return {
        **{name: spec[name] for name in names if name in spec},
        "containers": [_container(one) for one in containers],
    }


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "image", "imagePullPolicy", "resources", "ports")
    kept = {name: container[name] for name in names if name in container}
    variables = [{"name": one.get("name"), "value": REDACTED} for one in container.get("env") or ()]
    return {**kept, "env": variables}


_KEPT: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "ValidatingWebhookConfiguration": _webhooks,
    "MutatingWebhookConfiguration": _webhooks,
    "CustomResourceDefinition": _definition,
    "Event": _event,
    "ConfigMap": _config_map,
    "Deployment": _deployment,
    "Pod": _pod,
}
