"""`sealgate signatures`: what is stored for an image, judged by the authenticators of policy files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.cli.shop import QA, RELEASE, RELEASE_FINGERPRINT, STRANGER
from tests.support.builders.objects import authenticator
from tests.support.real_tools.openssl import openssl_verifies
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic, push_referrer, signature_tag
from tests.support.signers.private_keys import fingerprint, public_pem

if TYPE_CHECKING:
    from click.testing import Result

    from tests.cli.shop import Shop
    from tests.support.simulators.registry import RegistrySimulator

ROOT = Path(__file__).parents[2]


def signatures(registry: RegistrySimulator, *arguments: object) -> Result:
    return sealgate("signatures", "--insecure-registry", registry.host, *arguments)


def documents(ran: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def entries(ran: Result) -> list[dict[str, Any]]:
    """Return the signatures of the image that was named."""
    found: list[dict[str, Any]] = documents(ran)[0]["signatures"]
    return found


def test_every_storage_is_listed_with_digest_and_size(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE, optional={"env": "prod"}))
    referrer = push_referrer(registry, "shop/web", Classic(digest, QA))
    bundle = push_bundle(registry, "shop/web", BundleOf(digest, STRANGER))
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "-o", "json")
    assert ran.exit_code == 0, ran.output
    found = {entry["location"]: entry for entry in entries(ran)}
    name = f"{registry.host}/shop/web"
    assert set(found) == {f"{name}:{signature_tag(digest)}", f"{name}@{referrer}", f"{name}@{bundle}"}
    classic = found[f"{name}:{signature_tag(digest)}"]
    assert (classic["outcome"], classic["metadata"]) == ("notChecked", {"env": "prod"})
    manifest = json.loads(registry.manifest("shop/web", signature_tag(digest))[1])
    assert [(layer["digest"], layer["size"]) for layer in manifest["layers"]] == [(classic["digest"], classic["size"])]
    assert found[f"{name}@{bundle}"]["statedKey"] == fingerprint(STRANGER)


def test_authenticators_judge_every_signature(shop: Shop) -> None:
    ran = signatures(shop.registry, shop.image("both"), "--policies", shop.policies, "-o", "json")
    assert ran.exit_code == 0, ran.output
    stranger, qa, release = entries(ran)
    assert (stranger["outcome"], stranger["reason"]) == ("refused", "InvalidSignature")
    assert [each["name"] for each in stranger["authenticators"]] == ["qa-key", "release-key"]
    assert (qa["outcome"], qa["keyFingerprint"]) == ("verified", fingerprint(QA))
    assert (release["outcome"], release["algorithm"]) == ("verified", "ECDSA_SHA_256")
    assert {each["name"]: each["outcome"] for each in release["authenticators"]} == {
        "qa-key": "refused",
        "release-key": "verified",
    }


def test_exit_code_says_whether_a_signature_counts(shop: Shop) -> None:
    judged = {
        name: signatures(shop.registry, shop.image(name), "--policies", shop.policies).exit_code
        for name in ("signed", "unsigned", "foreign", "copied")
    }
    assert judged == {"signed": 0, "unsigned": 1, "foreign": 1, "copied": 1}
    listed = {
        name: signatures(shop.registry, shop.image(name)).exit_code
        for name in ("signed", "unsigned", "foreign", "copied")
    }
    assert listed == {"signed": 0, "unsigned": 1, "foreign": 0, "copied": 1}


def test_copied_signature_is_named_without_any_key(shop: Shop) -> None:
    (entry,) = entries(signatures(shop.registry, shop.image("copied"), "-o", "json"))
    assert (entry["outcome"], entry["reason"]) == ("refused", "DigestMismatch")


def test_unreadable_sources_are_listed_with_the_reason(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE))
    registry.faults.answer("/referrers/", 500, {}, b"")
    registry.faults.answer("/blobs/", 500, {}, b"")
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "--timeout", 5, "-o", "json")
    assert ran.exit_code == 3
    layer, referrers = entries(ran)
    assert (layer["outcome"], layer["location"]) == (
        "unavailable",
        f"{registry.host}/shop/web:{signature_tag(digest)}",
    )
    assert layer["digest"] is not None
    assert (referrers["outcome"], referrers["source"]) == ("unavailable", f"referrers of {digest}")


def test_both_levels_of_an_index_are_listed(registry: RegistrySimulator, tmp_path: Path) -> None:
    amd64, arm64 = (registry.push_image("shop/web", content=name.encode()) for name in ("amd64", "arm64"))
    index = registry.push_index("shop/web", "1.0", (amd64, arm64))
    push_classic(registry, "shop/web", Classic(index, RELEASE))
    push_classic(registry, "shop/web", Classic(amd64, RELEASE))
    policies = write(tmp_path / "release.yaml", authenticator("release-key", public_pem(RELEASE)))
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "--policies", policies, "-o", "json")
    assert ran.exit_code == 0, ran.output
    found = {image["subject"]: image for image in documents(ran)}
    assert {digest: len(image["signatures"]) for digest, image in found.items()} == {index: 1, amd64: 1, arm64: 0}
    assert [found[digest]["index"] for digest in (index, amd64, arm64)] == [None, index, index]
    assert found[amd64]["image"] == f"{registry.host}/shop/web@{amd64}"
    assert found[amd64]["signatures"][0]["outcome"] == "verified"


def test_index_with_a_missing_manifest_is_listed_itself(registry: RegistrySimulator) -> None:
    amd64 = registry.push_image("shop/web", content=b"amd64")
    index = registry.push_index("shop/web", "1.0", (amd64,))
    registry.faults.answer(f"/manifests/{amd64}", 404, {}, b"")
    push_classic(registry, "shop/web", Classic(index, RELEASE))
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "-o", "json")
    assert ran.exit_code == 3
    (image,) = documents(ran)
    assert (len(image["signatures"]), image["platformsReason"]) == (1, "NotFound")


def test_signatures_in_another_repository_are_listed_with_their_authenticator(
    registry: RegistrySimulator, tmp_path: Path
) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/signatures", Classic(digest, RELEASE))
    push_classic(registry, "shop/web", Classic(digest, STRANGER))
    elsewhere = authenticator(
        "release-key", public_pem(RELEASE), signatureRepository=f"{registry.host}/shop/signatures"
    )
    policies = write(tmp_path / "release.yaml", elsewhere)
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "--policies", policies, "-o", "json")
    assert [(entry["outcome"], entry["location"].split(":sha256")[0]) for entry in entries(ran)] == [
        ("verified", f"{registry.host}/shop/signatures"),
        ("notChecked", f"{registry.host}/shop/web"),
    ]


def test_unjudged_signature_does_not_count_where_authenticators_judge(
    registry: RegistrySimulator, tmp_path: Path
) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, STRANGER))
    elsewhere = authenticator(
        "release-key", public_pem(RELEASE), signatureRepository=f"{registry.host}/shop/signatures"
    )
    policies = write(tmp_path / "release.yaml", elsewhere)
    assert signatures(registry, f"{registry.host}/shop/web:1.0", "--policies", policies).exit_code == 1


def test_table_shows_key_and_why_a_signature_does_not_count(shop: Shop) -> None:
    ran = signatures(shop.registry, shop.image("both"), "--policies", shop.policies)
    assert f"verified  cosign  {RELEASE_FINGERPRINT[:19]}" in " ".join(ran.stdout.split("│")).replace("   ", "  ")
    assert "refused by authenticator release-key: none of the authenticator's keys made it" in ran.stdout


def test_foreign_text_is_escaped(registry: RegistrySimulator) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE, optional={"note": "\x1b[2J[red]"}))
    ran = signatures(registry, f"{registry.host}/shop/web:1.0")
    assert "note=\\x1b[2J[red]" in ran.stdout
    assert "\x1b" not in ran.output


def test_json_keeps_to_the_published_schema(shop: Shop) -> None:
    schema = json.loads(sealgate("signatures", "--schema").stdout)
    assert json.loads((ROOT / "docs/signatures.schema.json").read_text()) == schema
    for more in ((), ("--policies", shop.policies)):
        ran = signatures(shop.registry, shop.image("both"), "-o", "json", *more)
        jsonschema.Draft202012Validator(schema).validate(documents(ran))


def test_tags_of_a_repository_are_signed_or_not(registry: RegistrySimulator, tmp_path: Path) -> None:
    digests = {tag: registry.push_image("shop/web", tag, content=tag.encode()) for tag in ("1.0", "1.1", "1.2")}
    push_classic(registry, "shop/web", Classic(digests["1.0"], RELEASE))
    push_classic(registry, "shop/web", Classic(digests["1.1"], STRANGER))
    policies = write(tmp_path / "release.yaml", authenticator("release-key", public_pem(RELEASE)))
    name = f"{registry.host}/shop/web"
    ran = signatures(registry, name, "--policies", policies)
    assert ran.exit_code == 1
    rows = {
        cells[1]: cells
        for cells in ([cell.strip() for cell in line.split("│")] for line in ran.stdout.splitlines())
        if len(cells) > 1
    }
    assert [rows[tag][0] for tag in digests] == ["yes", "no", "no"]
    assert rows["1.0"][3] == f"{RELEASE_FINGERPRINT[:19]} (release-key)"
    assert "3 tags: 1 signed" in ran.stdout
    found = documents(signatures(registry, name, "--policies", policies, "-o", "json"))
    assert {image["image"]: image["subject"] for image in found} == {
        f"{name}:{tag}": digest for tag, digest in digests.items()
    }


def test_tag_that_cannot_be_read_is_listed(shop: Shop) -> None:
    shop.registry.faults.status("/manifests/1.0", 500)
    ran = signatures(shop.registry, f"{shop.registry.host}/shop/signed", "--timeout", 5, "-o", "json")
    assert ran.exit_code == 3
    (tag,) = documents(ran)
    assert (tag["subject"], tag["reason"]) == (None, "RegistryUnavailable")
    schema = json.loads(sealgate("signatures", "--schema").stdout)
    jsonschema.Draft202012Validator(schema).validate([tag])


def test_whole_repository_is_not_downloaded(shop: Shop, tmp_path: Path) -> None:
    ran = signatures(shop.registry, f"{shop.registry.host}/shop/signed", "--download", tmp_path / "signatures")
    assert ran.exit_code == 2
    assert "needs an image with a tag or a digest" in ran.stderr


def test_missing_image_could_not_be_determined(registry: RegistrySimulator) -> None:
    assert signatures(registry, f"{registry.host}/shop/gone:1.0").exit_code == 3


def test_downloaded_signature_is_accepted_by_openssl(registry: RegistrySimulator, tmp_path: Path) -> None:
    digest = registry.push_image("shop/web", "1.0")
    push_classic(registry, "shop/web", Classic(digest, RELEASE))
    folder = tmp_path / "signatures"
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "--download", folder, "-o", "json")
    assert ran.exit_code == 0, ran.output
    content, signature = (folder / name for name in entries(ran)[0]["files"])
    assert content.parent == folder / digest.replace(":", "-")
    assert json.loads(content.read_bytes())["critical"]["image"]["docker-manifest-digest"] == digest
    assert openssl_verifies(
        tmp_path, public_pem(RELEASE), "ECDSA_SHA_256", signature.read_bytes(), content.read_bytes()
    )


def test_download_overwrites_nothing(registry: RegistrySimulator, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    ran = signatures(registry, f"{registry.host}/shop/web:1.0", "--download", tmp_path)
    assert ran.exit_code == 2
    assert "is not empty" in ran.stderr
    assert registry.requests == []
