"""Objects that the API server must refuse by the CRDs alone, each with text of its message."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tests.support.builders.objects import authenticator, exception, policy

PEM = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEm1qsFMRF2yX7qTz2mLUGkNGaGxVO\n"
    "0Zi2v0WyrKzfcG3VQx5C5SZ7e8tJvOP1uLD2sNmm2mGmGhnDJDfKJ3xvKw==\n"
    "-----END PUBLIC KEY-----\n"
)

AUTHENTICATOR = authenticator("release-key", PEM)
HUAWEI: dict[str, Any] = {
    "region": "cn-north-4",
    "projectId": "0a1b",
    "keyId": "b1c2",
    "credentialsSecret": {"name": "dew"},
}
PGP = (
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEawFzRBYJKwYBBAHaRw8BAQdADsg54lZ6\n-----END PGP PUBLIC KEY BLOCK-----\n"
)
CERTIFICATE = PEM.replace("PUBLIC KEY", "CERTIFICATE")
KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.abyh"
VAULT: dict[str, Any] = {
    "keyId": KEY_ID,
    "endpoint": "https://vault-management.kms.us-phoenix-1.oraclecloud.com",
    "credentialsSecret": {"name": "oci"},
}
#: A good spec of each further format, with every option that a rule of the CRD is about.
FORMATS: dict[str, dict[str, Any]] = {
    "simpleSigning": {
        "keyring": {"inline": PGP},
        "store": {"lookaside": {"url": "https://signatures.example.org", "ca": {"pem": CERTIFICATE}}},
        "signedIdentity": {
            "matchPolicy": "RemapIdentity",
            "remapIdentity": {"prefix": "mirror.example.org", "signedPrefix": "vendor.example.com"},
        },
    },
    "notary": {
        "server": "https://dtr.example.org",
        "ca": {"pem": CERTIFICATE},
        "root": {"keyId": "0a" * 32},
        "roles": [{"name": "targets/releases", "keys": [{"pem": CERTIFICATE}, {"keyId": "0b" * 32}]}],
    },
    "grafeas": {
        "server": "https://grafeas.example.org",
        "ca": {"pem": CERTIFICATE},
        "note": "projects/prod/notes/qa",
        "keys": [{"id": "kms-key-id", "pem": PEM, "algorithm": "RSA_PSS_SHA_256"}, {"pgp": PGP}],
        "credentialsSecret": {"name": "grafeas"},
    },
    "notation": {
        "trustStores": {
            "ca": [{"pem": CERTIFICATE}, {"secretRef": {"name": "notation", "key": "ca.pem"}}],
            "signingAuthority": [{"pem": CERTIFICATE}],
            "tsa": [{"pem": CERTIFICATE}],
        },
        "trustedIdentities": ["x509.subject: C=US, ST=WA, O=acme"],
        "verifyTimestamp": "AfterCertExpiry",
        "annotations": {"env": "prod"},
        "acceptExpired": True,
        "revocation": {
            "hosts": ["ocsp.example.org", "crl.example.org:8080"],
            "lists": [{"pem": PEM.replace("PUBLIC KEY", "X509 CRL")}],
            "acceptUnknown": True,
        },
    },
    "oracle": {
        "region": "us-phoenix-1",
        "endpoint": "https://artifacts.example.org",
        "ca": {"pem": CERTIFICATE},
        "compartmentId": "ocid1.compartment.oc1..aaaaaaaa23",
        "credentialsSecret": {"name": "oci"},
        "trustedKeys": [
            {"keyId": KEY_ID, "keyVersionIds": ["ocid1.keyversion.oc1.phx.bbqehaq3aadfa.acy6"], "pem": PEM},
            {"keyId": KEY_ID, "kms": {"oracle": VAULT}},
        ],
        "description": "nightly",
        "metadata": {"buildnumber": "8447"},
    },
}


def of_format(name: str) -> dict[str, Any]:
    """Return a good Authenticator of a further format."""
    return {**AUTHENTICATOR, "metadata": {"name": name.lower()}, "spec": {name: FORMATS[name]}}


POLICY = policy(
    "production",
    authenticators=["release-key", "security-team"],
    count=2,
    namespaceSelector={"matchLabels": {"env": "production"}},
    images=[{"repository": "registry.example.org/library/{nginx, redis}-*", "tags": ["v*", "{1, 2}.?"]}],
    excludeImages=[{"repository": "**/scratch"}],
)

EXCEPTION = exception(
    "urgent",
    {"repository": "registry.example.org/shop/{web, api}", "tags": ["1.*"]},
    {"digest": "sha256:" + "0a" * 32},
    namespaces=["shop", "team-a"],
    ticket="OPS-1",
)


@dataclass(frozen=True)
class Wrong:
    """One change that makes a valid object invalid.

    Attributes:
        name: what is wrong.
        path: where in the object.
        value: the replacement; `...` removes the member.
        says: what the refusal must say.
        base: the good object: "policy", "exception", "authenticator" (cosign), or a further format.
    """

    name: str
    path: str
    value: Any
    says: str
    base: str = "policy"

    def object(self) -> dict[str, Any]:
        good = {"policy": POLICY, "exception": EXCEPTION, "authenticator": AUTHENTICATOR}
        obj = copy.deepcopy(good[self.base] if self.base in good else of_format(self.base))
        *parents, last = self.path.split(".")
        parent: Any = obj
        for part in parents:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        key: Any = int(last) if isinstance(parent, list) else last
        if self.value is ...:
            del parent[key]
        else:
            parent[key] = self.value
        return obj


def _pattern(name: str, value: str, says: str) -> Wrong:
    return Wrong(name, "spec.images.0.repository", value, says)


KEYLESS: dict[str, Any] = {
    "identities": [{"issuer": "https://accounts.example.com", "subjectRegExp": ".*@example.com"}],
}


def _keyless(name: str, says: str, **cosign: Any) -> Wrong:
    spec = {"keyless": KEYLESS, "trustedRoot": {"inline": "{}"}, **cosign}
    written = {field: value for field, value in spec.items() if value is not ...}
    return Wrong(name, "spec.cosign", written, says, "authenticator")


def _identity(name: str, says: str, **identity: str) -> Wrong:
    return _keyless(name, says, keyless={"identities": [identity]})


WRONG = (
    _keyless("keyless without a trusted root", "trustedRoot belongs to keyless", trustedRoot=...),
    _keyless("trusted root without a use", "trustedRoot belongs to keyless", keyless=..., keys=[{"pem": PEM}]),
    _keyless("neither keys nor identities", "write keys, keyless or both", keyless=..., requireTransparencyLog=True),
    _keyless("no identity", "should have at least 1 items", keyless={"identities": []}),
    _keyless("two trusted roots", "exactly one", trustedRoot={"inline": "{}", "secretRef": {"name": "a", "key": "b"}}),
    _keyless("two sources of the root", "exactly one", trustedRoot={"inline": "{}", "source": "PublicGood"}),
    _keyless("unknown source of the root", "Unsupported value", trustedRoot={"source": "Staging"}),
    _identity("identity without an issuer", "exactly one of issuer and issuerRegExp", subject="a"),
    _identity("identity without a subject", "exactly one of subject and subjectRegExp", issuer="a"),
    _identity("identity with two issuers", "exactly one of issuer", issuer="a", issuerRegExp="a", subject="a"),
    _identity("identity with two subjects", "exactly one of subject", issuer="a", subject="a", subjectRegExp="a"),
    Wrong("exception for all images", "spec.images", ..., "spec.images: Required value", "exception"),
    Wrong("exception for no image", "spec.images", [], "should have at least 1 items", "exception"),
    Wrong("exception for all namespaces", "spec.namespaces", ..., "spec.namespaces: Required value", "exception"),
    Wrong("exception for no namespace", "spec.namespaces", [], "should have at least 1 items", "exception"),
    Wrong("pattern of namespaces", "spec.namespaces.0", "*", "should match", "exception"),
    Wrong("exception without an end", "spec.expiresAt", ..., "spec.expiresAt: Required value", "exception"),
    Wrong("end that is no time", "spec.expiresAt", "tomorrow", "should match", "exception"),
    Wrong("exception without a reason", "spec.reason", "", "should be at least 1 chars long", "exception"),
    Wrong("repository and digest", "spec.images.1.repository", "a/b", "exactly one of repository", "exception"),
    Wrong("tags of a digest", "spec.images.1.tags", ["1"], "remove tags", "exception"),
    Wrong("neither repository nor digest", "spec.images.1", {}, "exactly one of repository", "exception"),
    Wrong("half a digest", "spec.images.1.digest", "sha256:0a", "should match", "exception"),
    Wrong("pattern without a registry", "spec.images.0.repository", "web", "write docker.io/library", "exception"),
    Wrong("no spec", "spec", ..., "spec: Required value"),
    Wrong("unknown field", "spec.excludeImage", [], 'unknown field "spec.excludeImage"'),
    Wrong("unknown field deep down", "spec.images.0.tag", "v1", 'unknown field "spec.images[0].tag"'),
    Wrong("unknown action", "spec.action", "Block", 'supported values: "Enforce", "Warn", "Audit"'),
    Wrong("no images", "spec.images", ..., "spec.images: Required value"),
    Wrong("empty images", "spec.images", [], "should have at least 1 items"),
    Wrong("empty tags", "spec.images.0.tags", [], "should have at least 1 items"),
    Wrong("no requirement", "spec.require", ..., "name the authenticators that must verify, or write action: Exempt"),
    Wrong("a requirement of an exemption", "spec.action", "Exempt", "remove require, or choose another action"),
    Wrong("no authenticators", "spec.require.authenticators", [], "should have at least 1 items"),
    Wrong("count of nothing", "spec.require.count", 0, "should be greater than or equal to 1"),
    Wrong("count too high", "spec.require.count", 3, "lower count, or list more authenticators"),
    Wrong("same authenticator twice", "spec.require.authenticators", ["a", "a"], "remove the duplicate"),
    Wrong("name that no object has", "spec.require.authenticators", ["Release_Key"], "should match"),
    Wrong(
        "In without values",
        "spec.namespaceSelector.matchExpressions",
        [{"key": "a", "operator": "In"}],
        "In and NotIn need values",
    ),
    Wrong(
        "Exists with values",
        "spec.namespaceSelector.matchExpressions",
        [{"key": "a", "operator": "Exists", "values": ["b"]}],
        "Exists and DoesNotExist take none",
    ),
    _pattern("empty pattern", "", "should be at least 1 chars long"),
    _pattern("digest in pattern", "registry.example.org/a@sha256:00", "digests cannot be selected"),
    _pattern("nested braces", "registry.example.org/{a,{b,c}}", "not nested"),
    _pattern("open brace", "registry.example.org/{a,b", "braces must be closed"),
    _pattern("closing brace", "registry.example.org/a}", "braces must be closed"),
    _pattern("empty option", "registry.example.org/{a,}", "an option between braces is empty"),
    _pattern("blank option", "registry.example.org/{a, ,b}", "an option between braces is empty"),
    _pattern("comma outside braces", "registry.example.org/a,registry.example.org/b", "between braces only"),
    _pattern("letter outside ASCII", "registry.example.org/\u0430pp", "a repository pattern is made of"),
    _pattern("backslash", "registry.example.org/a\\b", "a repository pattern is made of"),
    _pattern("no registry", "nginx", "write docker.io/library/nginx"),
    _pattern("too long", "registry.example.org/" + "a" * 512, "Too long"),
    Wrong("slash in tag", "spec.images.0.tags", ["a/b"], "a tag pattern is made of"),
    Wrong("nested braces in tag", "spec.images.0.tags", ["{a,{b}}"], "a tag pattern is made of"),
    Wrong("too many images", "spec.images", [{"repository": "**"}] * 257, "must have at most 256 items"),
    Wrong("no format", "spec", {}, "set exactly one format", "authenticator"),
    Wrong("unknown format", "spec", {"pgp": {}}, 'unknown field "spec.pgp"', "authenticator"),
    Wrong("nothing required", "spec.cosign.signatures", "NotRequired", "needs attestations", "authenticator"),
    Wrong(
        "words for another type",
        "spec.cosign.attestations",
        [{"predicateType": "https://spdx.dev/Document", "slsa": {"builder": "https://ci.example.org"}}],
        "slsa needs a predicateType",
        "authenticator",
    ),
    Wrong(
        "tag without a source",
        "spec.cosign.attestations",
        [
            {
                "predicateType": "https://slsa.dev/provenance/v1",
                "slsa": {"builder": "https://ci.example.org", "tag": "v1"},
            }
        ],
        "tag needs source",
        "authenticator",
    ),
    Wrong("no keys", "spec.cosign.keys", [], "should have at least 1 items", "authenticator"),
    Wrong("no source", "spec.cosign.keys.0", {"algorithm": "ED25519"}, "set exactly one source", "authenticator"),
    Wrong(
        "two sources",
        "spec.cosign.keys.0.secretRef",
        {"name": "a", "key": "b"},
        "set exactly one source of the key: pem or secretRef",
        "authenticator",
    ),
    Wrong(
        "private key",
        "spec.cosign.keys.0.pem",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        "this is a private key",
        "authenticator",
    ),
    Wrong("no PEM", "spec.cosign.keys.0.pem", "MFkwEwYHKoZIzj0CAQ==", "-----BEGIN", "authenticator"),
    Wrong("unknown algorithm", "spec.cosign.keys.0.algorithm", "RSA_SHA1", "supported values", "authenticator"),
    Wrong(
        "Secret without a key", "spec.cosign.keys.0", {"secretRef": {"name": "a"}}, "Required value", "authenticator"
    ),
    Wrong("number for a string", "spec.cosign.annotations", {"env": 1}, "must be of type string", "authenticator"),
    Wrong("no KMS", "spec.cosign.keys.0", {"kms": {}}, "set exactly one KMS", "authenticator"),
    Wrong(
        "two KMSs",
        "spec.cosign.keys.0",
        {"kms": {"huawei": HUAWEI, "alibaba": {name: HUAWEI[name] for name in HUAWEI if name != "projectId"}}},
        "set exactly one KMS: huawei or alibaba or oracle or aws or google or azure or vault",
        "authenticator",
    ),
    Wrong(
        "Vault without a way to log in",
        "spec.cosign.keys.0",
        {"kms": {"vault": {"endpoint": "https://vault.example.org", "key": "release"}}},
        "set exactly one of kubernetes and credentialsSecret",
        "authenticator",
    ),
    Wrong(
        "alias of an AWS key",
        "spec.cosign.keys.0",
        {"kms": {"aws": {"region": "eu-central-1", "keyId": "alias/release"}}},
        "should match",
        "authenticator",
    ),
    Wrong(
        "region that is a host",
        "spec.cosign.keys.0",
        {"kms": {"huawei": {**HUAWEI, "region": "a.example.org/"}}},
        "should match",
        "authenticator",
    ),
    Wrong(
        "signer's id without SM2",
        "spec.cosign.keys.0.distinguishingId",
        "release@example.org",
        "distinguishingId belongs to algorithm SM2",
        "authenticator",
    ),
    Wrong(
        "no keyring",
        "spec.simpleSigning.keyring",
        {},
        "set exactly one source of the keyring: inline or secretRef",
        "simpleSigning",
    ),
    Wrong("no store", "spec.simpleSigning.store", {}, "set exactly one store", "simpleSigning"),
    Wrong("two stores", "spec.simpleSigning.store.openshift", {}, "set exactly one store", "simpleSigning"),
    Wrong(
        "identity without its parameter",
        "spec.simpleSigning.signedIdentity.remapIdentity",
        ...,
        "remapIdentity belongs to matchPolicy RemapIdentity: set both or neither",
        "simpleSigning",
    ),
    Wrong(
        "parameter of another identity",
        "spec.simpleSigning.signedIdentity.matchPolicy",
        "MatchExact",
        "remapIdentity belongs to matchPolicy RemapIdentity: set both or neither",
        "simpleSigning",
    ),
    Wrong(
        "short fingerprint", "spec.simpleSigning.fingerprints", ["0780065DCF8431C7"], "should match", "simpleSigning"
    ),
    Wrong(
        "lookaside over ftp",
        "spec.simpleSigning.store.lookaside.url",
        "ftp://signatures.example.org",
        "should match",
        "simpleSigning",
    ),
    Wrong("no pin", "spec.notary.root", {}, "set exactly one pin of the root: pem or keyId or ca", "notary"),
    Wrong("trust on first use", "spec.notary.root", ..., "spec.notary.root: Required value", "notary"),
    Wrong(
        "two pins",
        "spec.notary.root.pem",
        CERTIFICATE,
        "set exactly one pin of the root: pem or keyId or ca",
        "notary",
    ),
    Wrong("role that is none", "spec.notary.roles.0.name", "releases", "should match", "notary"),
    Wrong("role of unknown signers", "spec.notary.roles.0.keys", ..., "write either keys or anyPermittedKey", "notary"),
    Wrong(
        "any key beside keys",
        "spec.notary.roles.0.anyPermittedKey",
        True,
        "write either keys or anyPermittedKey",
        "notary",
    ),
    Wrong("releases beside roles", "spec.notary.releasesOnly", True, "releasesOnly is not for use", "notary"),
    Wrong("role without keys", "spec.notary.roles.0.keys", [], "should have at least 1 items", "notary"),
    Wrong(
        "no CA of signers", "spec.notation.trustStores", {"tsa": [{"pem": CERTIFICATE}]}, "a CA of signers", "notation"
    ),
    Wrong("no identities", "spec.notation.trustedIdentities", ..., "Required value", "notation"),
    Wrong("identity of another kind", "spec.notation.trustedIdentities", ["acme"], "should match", "notation"),
    Wrong(
        "any identity beside others",
        "spec.notation.trustedIdentities",
        ["*", "x509.subject: C=US, ST=WA, O=acme"],
        "write it alone, or remove it",
        "notation",
    ),
    Wrong(
        "two sources of a CA", "spec.notation.trustStores.ca.1.pem", CERTIFICATE, "set exactly one source", "notation"
    ),
    Wrong("host with a path", "spec.notation.revocation.hosts", ["crl.example.org/"], "should match", "notation"),
    Wrong("level that skips", "spec.notation.verifyTimestamp", "Never", "supported values", "notation"),
    Wrong("no server and no adapter", "spec.grafeas.server", ..., "set exactly one of server and acr", "grafeas"),
    Wrong(
        "server and adapter",
        "spec.grafeas.acr",
        {"endpoint": "https://cr.example.org"},
        "set exactly one of server and acr",
        "grafeas",
    ),
    Wrong("note without a project", "spec.grafeas.note", "qa", "projects/PROJECT/notes/NOTE", "grafeas"),
    Wrong("no attestors", "spec.grafeas.keys", [], "should have at least 1 items", "grafeas"),
    Wrong(
        "PGP and PEM",
        "spec.grafeas.keys.1.pem",
        PEM,
        "set exactly one source of the key: pem or secretRef or kms or pgp",
        "grafeas",
    ),
    Wrong("unknown API", "spec.grafeas.apiVersion", "v2", 'supported values: "v1", "v1beta1"', "grafeas"),
    Wrong("server with a query", "spec.grafeas.server", "https://grafeas.example.org/?a", "should match", "grafeas"),
    Wrong("no compartment", "spec.oracle.compartmentId", ..., "spec.oracle.compartmentId: Required value", "oracle"),
    Wrong("compartment that is a user", "spec.oracle.compartmentId", "ocid1.user.oc1..a", "should match", "oracle"),
    Wrong("no trusted keys", "spec.oracle.trustedKeys", [], "should have at least 1 items", "oracle"),
    Wrong("key without its OCID", "spec.oracle.trustedKeys.0.keyId", ..., "Required value", "oracle"),
    Wrong("key and vault", "spec.oracle.trustedKeys.1.pem", PEM, "set exactly one source of the key", "oracle"),
    Wrong("region with a slash", "spec.oracle.region", "us/phoenix", "should match", "oracle"),
)
