"""The chart as a whole: lints, fits every supported Kubernetes, and changes only with its recorded output."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import kubernetes_validate.utils  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from tests.chart.rendering import CHART, VALUE_SETS, Manifest, helm, render
from tests.support.rows import row

SNAPSHOTS = Path(__file__).parent / "snapshots"
VERSIONS = [version for version in kubernetes_validate.utils.all_versions() if int(version.split(".")[1]) >= 28]
#: Kinds that other people's CRDs bring.
FOREIGN_GROUPS = ("monitoring.coreos.com", "cert-manager.io")


@pytest.fixture(autouse=True)
def _read_schemas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate as ever, but read the schemas, and the folder that lists them, once and not for each object."""
    for name, function in _READERS.items():
        monkeypatch.setattr(kubernetes_validate.utils, name, function)


_READERS = {
    name: functools.cache(getattr(kubernetes_validate.utils, name)) for name in ("all_versions", "schema_contents")
}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_helm_lints_every_set_of_values(name: str) -> None:
    done = helm("lint", "--strict", str(CHART), values=VALUE_SETS[name])
    assert done.returncode == 0, done.stdout


def test_the_versions_go_up_to_the_newest() -> None:
    assert VERSIONS[0] == "1.28.0"
    assert len(VERSIONS) >= 10


def test_every_object_fits_the_schemas_of_every_kubernetes() -> None:
    # Most objects are the same with several values; each of them is validated once.
    validated = set()
    for name, values in VALUE_SETS.items():
        objects = [obj for obj in render(values) if obj["apiVersion"].partition("/")[0] not in FOREIGN_GROUPS]
        assert len(objects) >= 10
        for obj in objects:
            text = json.dumps(obj, sort_keys=True)
            if text in validated:
                continue
            validated.add(text)
            for version in VERSIONS:
                with row(name, obj["kind"], obj["metadata"]["name"], version):
                    kubernetes_validate.validate(obj, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"portz": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(obj, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_objects_are_as_in_the_snapshot(name: str) -> None:
    """With UPDATE_SNAPSHOTS=1 in the environment, what is rendered becomes the snapshot; read the difference."""
    rendered = _dump(render(VALUE_SETS[name]))
    snapshot = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(rendered, encoding="utf-8")
    assert rendered == snapshot.read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    assert {path.stem for path in SNAPSHOTS.iterdir()} == set(VALUE_SETS)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_objects_have_distinct_names_and_the_release_s_labels(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    names = [_identity(obj) for obj in manifests]
    assert len(set(names)) == len(names)
    for obj in manifests:
        labels = obj["metadata"]["labels"]
        if obj["kind"] != "CustomResourceDefinition":  # they stay when the release is uninstalled
            assert labels["app.kubernetes.io/instance"] == "sealgate", obj["metadata"]["name"]
        assert labels["app.kubernetes.io/part-of"] == "sealgate"


def test_names_stay_short_enough_whatever_the_release_is_called() -> None:
    done = helm("template", "r" * 53, str(CHART), "--namespace", "n" * 63)
    assert done.returncode == 0, done.stderr
    for obj in yaml.load_all(done.stdout, yaml.CSafeLoader):
        assert len(obj["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in obj["metadata"]["labels"].values())


def _dump(manifests: tuple[Manifest, ...]) -> str:
    # test_signing.py compares the CRDs with the generated ones.
    objects = [obj for obj in manifests if obj["kind"] != "CustomResourceDefinition"]
    return yaml.dump_all(sorted(objects, key=_identity), Dumper=_Dumper, sort_keys=True, width=120)


def _identity(obj: Manifest) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", "")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True
