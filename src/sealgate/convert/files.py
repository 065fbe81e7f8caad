"""Files of other tools' policies: detect the format and convert it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from sealgate.convert.connaisseur.policies import convert_connaisseur, is_configuration
from sealgate.convert.containers.policy import convert_containers_policy
from sealgate.convert.kritis.objects import GROUP, KINDS, convert_kritis
from sealgate.convert.kyverno import policies as kyverno
from sealgate.convert.kyverno import validating
from sealgate.convert.openshift import policies as openshift
from sealgate.convert.policy_controller import policies as policy_controller
from sealgate.convert.portieris import policies as portieris
from sealgate.convert.ratify import executors as ratify
from sealgate.convert.ratify import gatekeeper
from sealgate.convert.ratify import resources as ratify_1
from sealgate.convert.results import Note
from sealgate.errors import PolicyError
from sealgate.messages import quote
from sealgate.parsing.documents import read_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sealgate.convert.results import Conversion
    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

_HINT = (
    f"accepted are {', '.join(KINDS)} of {GROUP}, {policy_controller.KIND} of {policy_controller.GROUP}, "
    f"{' and '.join(kyverno.KINDS)} of {kyverno.GROUP}, {validating.KINDS[0]} of {validating.GROUP}, "
    f"{' and '.join(portieris.KINDS)} of {portieris.GROUP} or {openshift.GROUP}, {ratify.KINDS[0]} of "
    f"{ratify.GROUP}, {', '.join(ratify_1.KINDS)} of {ratify_1.GROUP}, Connaisseur's Helm values, or one containers "
    "policy.json"
)

#: The kinds that can be converted, by their API group.
_KINDS: Mapping[str, tuple[str, ...]] = {
    GROUP: KINDS,
    policy_controller.GROUP: (policy_controller.KIND,),
    kyverno.GROUP: kyverno.KINDS,
    validating.GROUP: validating.KINDS,
    openshift.GROUP: openshift.KINDS,
    portieris.GROUP: portieris.KINDS,
    ratify.GROUP: ratify.KINDS,
    ratify_1.GROUP: ratify_1.KINDS,
}
#: The groups of other objects that decide beside those of a tool.
_BESIDE: Mapping[str, tuple[str, ...]] = {ratify_1.GROUP: gatekeeper.GROUPS, portieris.GROUP: ("v1",)}


def convert_texts(
    texts: Iterable[tuple[str, str]],
    *,
    server: str | None = None,
    namespace: str = "default",
    read_file: Callable[[str], bytes] | None = None,
    registries: Mapping[str, Any] | None = None,
    trusted_root: str | None = None,
) -> Conversion:
    """Convert the objects of other tools.

    Args:
        texts: pairs of the name and the content of a file, YAML or JSON.
        server: URL of the Grafeas server with kritis's attestations, or None; see `convert_kritis`.
        namespace: namespace of kritis objects without one.
        read_file: reads a key file that a policy.json names; see `convert_containers_policy`.
        registries: merged content of `registries.d`; see `convert_containers_policy`.
        trusted_root: the JSON of the trusted root of sigstore's public services, for identities; None for that
            which sealgate ships.

    Raises:
        PolicyError: there is nothing to convert, or an object cannot be converted.
    """
    problems: list[Problem] = []
    documents: list[Document] = []
    for name, text in texts:
        for document in read_documents(text, name):
            problems.extend(document.problems)
            if document.value is not None:
                documents.extend(_items(document))
    if problems:
        raise PolicyError("this cannot be converted", problems=problems)
    alone = next((one for one in documents if _is_containers_policy(one.value) or is_configuration(one.value)), None)
    if alone is not None and len(documents) > 1:
        raise PolicyError(
            f"{quote(alone.file)}, a policy.json or Connaisseur's values, must be converted alone: convert the other "
            "files in a separate run"
        )
    if alone is not None and is_configuration(alone.value):
        return convert_connaisseur(alone, trusted_root=trusted_root)
    if alone is not None:
        return convert_containers_policy(alone.value, read_file=read_file, registries=registries)
    group, objects = _objects_of_one_tool(documents)
    converters: Mapping[str, Callable[[Sequence[Document]], Conversion]] = {
        GROUP: partial(convert_kritis, server=server, namespace=namespace),
        kyverno.GROUP: partial(kyverno.convert_kyverno, trusted_root=trusted_root),
        validating.GROUP: partial(validating.convert_image_validating_policies, trusted_root=trusted_root),
        policy_controller.GROUP: partial(policy_controller.convert_cluster_image_policies, trusted_root=trusted_root),
        openshift.GROUP: openshift.convert_openshift,
        portieris.GROUP: portieris.convert_portieris,
        ratify.GROUP: partial(ratify.convert_ratify, trusted_root=trusted_root),
        ratify_1.GROUP: partial(ratify_1.convert_ratify_resources, trusted_root=trusted_root),
    }
    conversion = converters[group](objects)
    others = [_left_out(document) for document in documents if _group(document) not in _groups(group)]
    return replace(conversion, notes=(*conversion.notes, *dict.fromkeys(others)))


def to_yaml(conversion: Conversion) -> str:
    """Return the objects as `kubectl apply` takes them, with the notes as comments before them."""
    notes = "".join(f"# {line}\n" for note in conversion.notes for line in _lines(str(note)))
    return notes + "".join(
        "---\n" + yaml.dump(_plain(obj), Dumper=_Dumper, sort_keys=False, width=110) for obj in conversion.objects
    )


def _objects_of_one_tool(documents: list[Document]) -> tuple[str, list[Document]]:
    """Return the API group of the tool whose objects are there, and its objects with those that decide beside them.

    Raises:
        PolicyError: there are none, or those of several tools.
    """
    tools = sorted(
        {
            group
            for document in documents
            for group, kinds in _KINDS.items()
            if _group(document) == group and document.value.get("kind") in kinds
        }
    )
    if not tools:
        raise PolicyError(f"there is nothing to convert; {_HINT}")
    if len(tools) > 1:
        raise PolicyError(f"the objects of {' and '.join(tools)} must be converted in separate runs")
    return tools[0], [document for document in documents if _group(document) in _groups(tools[0])]


def _groups(tool: str) -> tuple[str, ...]:
    return (tool, *_BESIDE.get(tool, ()))


def _left_out(document: Document) -> Note:
    value = document.value
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping):
        return Note("", f"a document of {quote(document.file)} is not an object; left out")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    kind, version = quote(value.get("kind"), 64), quote(value.get("apiVersion"), 100)
    return Note("", f"{kind} {quote(name, 64)} of {version} is not converted; left out")


def _items(document: Document) -> Iterator[Document]:
    value = document.value
    if (
        isinstance(value, Mapping)
        and str(value.get("kind", "")).endswith("List")
        and isinstance(value.get("items"), list)
    ):
        for index, item in enumerate(value["items"]):
            yield document.item(f"items[{index}]", item)
    else:
        yield document


def _is_containers_policy(value: object) -> bool:
    return isinstance(value, Mapping) and "default" in value and "kind" not in value


def _group(document: Document) -> str:
    value = document.value
    return str(value.get("apiVersion", "")).partition("/")[0] if isinstance(value, Mapping) else ""


def _lines(text: str) -> list[str]:
    # Untrusted text in messages is quoted; a line break in a comment would end the comment.
    return [quote(line, 2000) for line in text.splitlines()]


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of an object
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list | tuple) else value


#: The emitter in C, where PyYAML has it.
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[misc]  # either is a SafeDumper
    """Writes keys as literal blocks, and repeats equal values instead of using anchors and aliases."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
