"""kubectl as the referee: `verify -f` sees the objects that kubectl would send."""

from __future__ import annotations

import codecs
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from sealgate.cli.inputs.files import list_directory, read_text
from sealgate.cli.inputs.items import items_of
from sealgate.cli.inputs.workloads import MANIFEST_RULES, SUFFIXES
from sealgate.parsing.documents import read_documents
from sealgate.workloads.images import identify
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: b\n"
JSON = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}}'
MARK = "\ufeff"

FILES: dict[str, str | bytes] = {
    "one.yaml": POD,
    "several.yaml": f"---\n{POD}---\n# comment\n---\n{DEPLOYMENT}---\n",
    "separators.yaml": f"{POD}--- # comment\n{DEPLOYMENT}---  \n{POD}",
    "returns.yaml": f"{POD}---\n{DEPLOYMENT}".replace("\n", "\r\n"),
    "row.json": f"{JSON}\n{JSON}{JSON}",
    "mixed.yaml": f"{JSON}\n---\n{POD}---\n{JSON}\n",
    "marks.yaml": f"{MARK}{POD}---\n{MARK}{DEPLOYMENT}",
    "little.yaml": codecs.BOM_UTF16_LE + f"{POD}---\n{DEPLOYMENT}".encode("utf-16-le"),
    "big.yaml": codecs.BOM_UTF16_BE + POD.encode("utf-16-be"),
    "empty.yaml": "apiVersion: v1\nkind: List\nitems: []\n",
    "null.yaml": "apiVersion: v1\nkind: List\nitems: null\n",
    "list.json": f'{{"apiVersion": "v1", "kind": "List", "items": [{JSON}, {JSON}]}}',
    "typed.json": '{"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "x"}}]}',
    "hidden.json": f'{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "x"}}, "items": [{JSON}]}}',
}


def kubectl(path: Path) -> list[str]:
    """Return what kubectl reads, as `kind.group/name`, without asking any server."""
    command = [require_tool("kubectl"), "label", "--local", "-f", str(path), "a=b", "-o", "name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def sealgate(path: Path) -> list[str]:
    return [
        f"{'.'.join(part for part in (kind.lower(), group) if part)}/{item.value['metadata']['name']}"
        for file in list_directory(str(path), SUFFIXES) or (str(path),)
        for document in read_documents(read_text(file, 1 << 20), file, MANIFEST_RULES)
        if not document.is_empty
        for item in items_of(document)
        for group, kind in [identify(item.value)]
    ]


@pytest.mark.parametrize("name", FILES)
def test_what_kubectl_reads_is_read(tmp_path: Path, name: str) -> None:
    content = FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    read = sealgate(path)

    # An object that kubectl takes for a list is looked at itself, too: others may take it for what it says it is.
    assert [found for found in read if found != "secret/x"] == kubectl(path)
    assert ("secret/x" in read) == (name == "hidden.json")


def test_of_a_directory_the_same_files_are_read(tmp_path: Path) -> None:
    for number, name in enumerate(["b.yaml", "a.yml", "c.json", "d.txt", "e", "f.yaml.orig"]):
        obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}}
        (tmp_path / name).write_text(json.dumps(obj), encoding="utf-8")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "g.yaml").write_text(POD, encoding="utf-8")

    assert sealgate(tmp_path) == kubectl(tmp_path)
