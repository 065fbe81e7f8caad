"""`sealgate signatures delete`: what is chosen goes, everything else stays, and nothing goes without a question."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sealgate.signing import deleting
from tests.cli.objects import write
from tests.cli.running import SEALGATE, sealgate
from tests.cli.shop import QA, RELEASE, RELEASE_FINGERPRINT, STRANGER
from tests.support.builders.objects import authenticator
from tests.support.signers.cosign import (
    BundleOf,
    Classic,
    push_bundle,
    push_classic,
    push_referrer,
    signature_tag,
)
from tests.support.signers.private_keys import fingerprint, public_pem

if TYPE_CHECKING:
    from click.testing import Result

    from tests.cli.shop import Shop
    from tests.support.simulators.registry import RegistrySimulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for signatures that were stored again at once; `tests/signing` has the time."""
    monkeypatch.setattr(deleting, "RECHECK_SECONDS", 0.0)


def run(registry: RegistrySimulator, *arguments: object) -> Result:
    return sealgate("signatures", *arguments, "--insecure-registry", registry.host)


def delete(registry: RegistrySimulator, *arguments: object) -> Result:
    return sealgate("signatures", "delete", *arguments, "--insecure-registry", registry.host, "--yes")


def entries(registry: RegistrySimulator, image: str, *arguments: object) -> list[dict[str, Any]]:
    """Return the signatures that are listed for an image."""
    found: list[dict[str, Any]] = json.loads(run(registry, image, "-o", "json", *arguments).stdout)[0]["signatures"]
    return found


def ids(registry: RegistrySimulator, image: str) -> list[str]:
    return [entry["id"] for entry in entries(registry, image)]


def test_every_signature_of_a_key_is_deleted(shop: Shop) -> None:
    push_bundle(shop.registry, "shop/both", BundleOf(shop.digests["both"], RELEASE))
    before = {entry["id"]: entry for entry in entries(shop.registry, shop.image("both"), "--policies", shop.policies)}
    ran = delete(shop.registry, shop.image("both"), "--key", RELEASE_FINGERPRINT, "--policies", shop.policies)
    assert ran.exit_code == 0, ran.output
    after = {entry["id"]: entry for entry in entries(shop.registry, shop.image("both"), "--policies", shop.policies)}
    gone = [entry for entry in before.values() if entry["id"] not in after]
    assert [entry["keyFingerprint"] for entry in gone] == [RELEASE_FINGERPRINT] * 2
    assert {entry["keyFingerprint"] for entry in after.values()} == {None, fingerprint(QA)}
    assert shop.verify(shop.image("both")).exit_code == 1


def test_one_signature_is_deleted_by_the_beginning_of_its_id(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE), Classic(digest, QA))
    image = f"{registry.host}/shop/web:1.0"
    first, second = ids(registry, image)
    assert delete(registry, image, "--id", first[:12].upper()).exit_code == 0
    assert ids(registry, image) == [second]
    document = json.loads(registry.manifest("shop/web", signature_tag(digest))[1])
    config = json.loads(registry.repositories["shop/web"].blobs[document["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in document["layers"]]
    assert len(config["history"]) == 1


def test_last_signature_takes_the_manifest_with_it(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE))
    image = f"{registry.host}/shop/web:1.0"
    assert delete(registry, image, "--id", *ids(registry, image)).exit_code == 0
    assert set(registry.repositories["shop/web"].tags) == {"1.0"}
    assert digest in registry.repositories["shop/web"].manifests
    assert run(registry, image).exit_code == 1


@pytest.mark.parametrize("listed_by", ["api", "tag"])
def test_referrers_and_bundles_are_deleted_alone(registry: RegistrySimulator, listed_by: str) -> None:
    registry.referrers_api = listed_by == "api"
    digest = registry.push_image("shop/web", "1.0")
    classic, bundle, other = (
        push_referrer(registry, "shop/web", Classic(digest, QA)),
        push_bundle(registry, "shop/web", BundleOf(digest, RELEASE)),
        push_bundle(registry, "shop/web", BundleOf(digest, STRANGER)),
    )
    image = f"{registry.host}/shop/web:1.0"
    by_digest = {entry["location"].partition("@")[2]: entry["id"] for entry in entries(registry, image)}
    ran = delete(registry, image, "--id", by_digest[classic], "--id", by_digest[bundle])
    assert ran.exit_code == 0, ran.output
    assert ids(registry, image) == [by_digest[other]]
    assert not {classic, bundle} & set(registry.repositories["shop/web"].manifests)


def test_registry_without_deletes_says_what_helps_and_changes_nothing(registry: RegistrySimulator) -> None:
    registry.deletes = False
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE))
    push_bundle(registry, "shop/web", BundleOf(digest, QA))
    image = f"{registry.host}/shop/web:1.0"
    before = ids(registry, image)
    ran = delete(registry, image, "--id", before[0], "--id", before[1], "-o", "json")
    assert ran.exit_code == 1
    assert [(entry["outcome"], "allow deletes there" in entry["message"]) for entry in json.loads(ran.stdout)] == [
        ("refused", True)
    ] * 2
    assert ids(registry, image) == before


def test_fallback_index_needs_no_deletes(registry: RegistrySimulator) -> None:
    registry.deletes, registry.referrers_api = False, False
    digest = registry.push_image("shop/web", "1.0")
    push_bundle(registry, "shop/web", BundleOf(digest, RELEASE))
    image = f"{registry.host}/shop/web:1.0"
    assert delete(registry, image, "--id", *ids(registry, image)).exit_code == 0
    assert ids(registry, image) == []


def test_immutable_tag_stays_as_it_is(registry: RegistrySimulator) -> None:
    registry.immutable_tags = r"sha256-.*"
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE), Classic(digest, QA))
    image = f"{registry.host}/shop/web:1.0"
    before = ids(registry, image)
    ran = delete(registry, image, "--id", before[0])
    assert ran.exit_code == 1
    assert "Nothing was changed. Exempt sha256-*" in ran.stderr
    assert "--storage" not in ran.stderr
    assert ids(registry, image) == before


def test_signature_of_another_digest_is_not_deleted(registry: RegistrySimulator) -> None:
    first, second = (registry.push_image("shop/web", tag, content=tag.encode()) for tag in ("1.0", "1.1"))
    for digest in (first, second):
        push_classic(registry, "shop/web", Classic(digest, RELEASE))
    (other,) = ids(registry, f"{registry.host}/shop/web:1.1")
    ran = delete(registry, f"{registry.host}/shop/web:1.0", "--id", other)
    assert ran.exit_code == 2
    assert "no signature of this digest has the ID" in ran.stderr
    assert ids(registry, f"{registry.host}/shop/web:1.1") == [other]


def test_signatures_of_platforms_stay(registry: RegistrySimulator) -> None:
    amd64 = registry.push_image("shop/web", content=b"amd64")
    index = registry.push_index("shop/web", "1.0", (amd64,))
    for digest in (amd64, index):
        push_classic(registry, "shop/web", Classic(digest, RELEASE))
    image = f"{registry.host}/shop/web:1.0"
    (of_platform,) = ids(registry, f"{registry.host}/shop/web@{amd64}")
    assert delete(registry, image, "--id", of_platform).exit_code == 2
    assert delete(registry, image, "--id", *ids(registry, image)).exit_code == 0
    assert ids(registry, f"{registry.host}/shop/web@{amd64}") == [of_platform]


def test_signatures_stored_as_one_go_together_or_not_at_all(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    bundle = BundleOf(digest, RELEASE)
    push_bundle(registry, "shop/web", replace(bundle, signatures=[bundle.signature(RELEASE), bundle.signature(QA)]))
    image = f"{registry.host}/shop/web:1.0"
    both = ids(registry, image)
    assert len(set(both)) == 2
    ran = delete(registry, image, "--id", both[0])
    assert ran.exit_code == 1
    assert f"would go with them: {both[1][:12]} " in ran.stderr
    assert ids(registry, image) == both
    assert delete(registry, image, "--id", both[0], "--id", both[1]).exit_code == 0
    assert ids(registry, image) == []


def test_key_is_only_known_from_an_authenticator(registry: RegistrySimulator, tmp_path: Path) -> None:
    digest = registry.push_image("shop/web", "1.0")
    hint = b64encode(bytes.fromhex(RELEASE_FINGERPRINT.removeprefix("sha256:"))).decode()
    push_bundle(registry, "shop/web", BundleOf(digest, STRANGER, hint=hint))
    image = f"{registry.host}/shop/web:1.0"
    policies = write(tmp_path / "release.yaml", authenticator("release-key", public_pem(RELEASE)))
    for more in ((), ("--policies", policies)):
        ran = delete(registry, image, "--key", RELEASE_FINGERPRINT, *more)
        assert ran.exit_code == 2
        assert "no signature is known to be by the key" in ran.stderr
    assert len(ids(registry, image)) == 1


def test_short_fingerprint_is_refused(shop: Shop) -> None:
    for text in ("", "sha256:", RELEASE_FINGERPRINT[:18], RELEASE_FINGERPRINT[7:18]):
        ran = delete(shop.registry, shop.image("signed"), "--key", text, "--policies", shop.policies)
        assert ran.exit_code == 2
        assert "is too short; give 12 characters or more" in ran.stderr
    assert len(ids(shop.registry, shop.image("signed"))) == 1


def test_fingerprint_is_taken_as_tables_show_it(shop: Shop) -> None:
    for text in (RELEASE_FINGERPRINT[7:19].upper(), fingerprint(QA)[:19]):
        ran = delete(shop.registry, shop.image("both"), "--key", text, "--policies", shop.policies)
        assert ran.exit_code == 0, ran.output
    assert len(ids(shop.registry, shop.image("both"))) == 1


def test_nothing_is_deleted_by_key_while_something_cannot_be_read(shop: Shop) -> None:
    shop.registry.faults.status("/referrers/", 500)
    arguments = ("--key", RELEASE_FINGERPRINT, "--policies", shop.policies, "--timeout", 5)
    assert delete(shop.registry, shop.image("both"), *arguments).exit_code == 3
    shop.registry.faults.clear()
    assert len(ids(shop.registry, shop.image("both"))) == 3


def test_without_a_terminal_yes_is_needed(shop: Shop) -> None:
    found = ids(shop.registry, shop.image("signed"))
    requests = len(shop.registry.requests)
    ran = run(shop.registry, "delete", shop.image("signed"), "--id", *found)
    assert ran.exit_code == 2
    assert "give --yes to delete without a question" in ran.stderr
    assert len(shop.registry.requests) == requests


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 130)])
def test_terminal_is_asked_with_what_will_be_deleted(shop: Shop, tmp_path: Path, answer: bytes, code: int) -> None:
    (found,) = ids(shop.registry, shop.image("signed"))
    ours, theirs = pty.openpty()
    command = [str(SEALGATE), "signatures", "delete", shop.image("signed"), "--insecure-registry", shop.registry.host]
    with subprocess.Popen(
        [*command, "--id", found[:12]],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
        start_new_session=True,
    ) as process:
        errors_of = process.stderr
        assert errors_of is not None
        asked = b"".join(iter(lambda: errors_of.read(1), b"?"))
        os.write(ours, answer)
        process.communicate()
    os.close(theirs)
    os.close(ours)
    assert process.returncode == code
    assert found[:12].encode() in asked
    assert shop.digests["signed"].encode() in asked
    assert ids(shop.registry, shop.image("signed")) == ([] if code == 0 else [found])


def test_json_keeps_to_the_published_schema(shop: Shop) -> None:
    schema = json.loads(sealgate("signatures", "delete", "--schema").stdout)
    assert json.loads((ROOT / "docs/signatures-delete.schema.json").read_text()) == schema
    shop.registry.deletes = False
    found = ids(shop.registry, shop.image("both"))
    chosen = [part for each in found for part in ("--id", each)]
    ran = delete(shop.registry, shop.image("both"), *chosen, "-o", "json")
    documents = json.loads(ran.stdout)
    jsonschema.Draft202012Validator(schema).validate(documents)
    assert [entry["outcome"] for entry in documents] == ["deleted", "deleted", "refused"]
    assert [entry["id"] for entry in documents] == found


def test_table_of_the_listing_shows_what_delete_takes(shop: Shop) -> None:
    shown = run(shop.registry, shop.image("signed")).stdout
    (found,) = ids(shop.registry, shop.image("signed"))
    assert f"{found[:12]} " in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("shop/web:1.0",),
        ("shop/web:1.0", "--id", "4a4a4a4a", "--key", "sha256:4a4a"),
        ("shop/web", "--id", "4a4a4a4a"),
        ("shop/web:1.0@sha256:short", "--id", "4a4a4a4a"),
        (),
    ],
)
def test_unclear_requests_are_usage_errors(arguments: tuple[str, ...]) -> None:
    assert sealgate("signatures", "delete", *arguments, "--yes").exit_code == 2


def test_image_that_is_called_delete_is_not_lost(registry: RegistrySimulator) -> None:
    ran = sealgate("signatures", "delete")
    assert ran.exit_code == 2
    assert "write docker.io/library/delete:latest:TAG" not in ran.stderr
    assert "write docker.io/library/delete:TAG" in ran.stderr
    digest = registry.push_image("delete", "1.0")
    push_classic(registry, "delete", Classic(digest, RELEASE))
    assert run(registry, f"{registry.host}/delete:1.0").exit_code == 0
