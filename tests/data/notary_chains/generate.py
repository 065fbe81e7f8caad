"""Makes `chains.json`: certificate chains with one peculiarity each, judged by Go's x509 and by openssl.

Run `python -m tests.data.notary_chains.generate` with Go and openssl installed. Private keys are thrown away, so every
run gives other bytes of the same kinds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from tests.support.signers.notary import key_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

HERE = Path(__file__).parent
GUN = "dtr.example.org/dev/nginx"
DAY = timedelta(days=1)
#: When the chains are judged: later than now, since certificates of openssl begin when they are made.
NOW = datetime.now(UTC).replace(microsecond=0) + DAY
ODD = ObjectIdentifier("1.3.6.1.4.1.55555.1.2")


def purposes(*oids: ObjectIdentifier) -> x509.ExtendedKeyUsage:
    """Return an extended key usage."""
    return x509.ExtendedKeyUsage(oids)


def names(*, permitted: str | None = None, excluded: str | None = None) -> x509.NameConstraints:
    """Return name constraints for DNS names."""
    return x509.NameConstraints(
        [x509.DNSName(permitted)] if permitted else None, [x509.DNSName(excluded)] if excluded else None
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a key of the usual kind."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Plan:
    """One certificate to be made.

    Attributes:
        subject: its common name.
        extensions: each with whether it is critical.
        issuer_name: the issuer that it names; None for the subject of the one above.
    """

    subject: str
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    private: CertificateIssuerPrivateKeyTypes = field(default_factory=new_key)
    begins: datetime = NOW - 30 * DAY
    ends: datetime = NOW + 300 * DAY
    issuer_name: str | None = None
    digest: Any = field(default_factory=SHA256)
    rsa_padding: Any = None

    def having(self, *extensions: x509.ExtensionType, critical: bool = True) -> Plan:
        """Return the plan with those extensions instead of, or beside, what it has."""
        kinds = {extension.oid for extension in extensions}
        kept = tuple(item for item in self.extensions if item[0].oid not in kinds)
        return replace(self, extensions=(*kept, *((extension, critical) for extension in extensions)))

    def lacking(self, kind: type[x509.ExtensionType]) -> Plan:
        """Return the plan without an extension."""
        return replace(self, extensions=tuple(item for item in self.extensions if item[0].oid != kind.oid))


def issuing(subject: str, path_length: int | None = None) -> Plan:
    """Return the plan of a CA's certificate as most have it."""
    return Plan(subject).having(x509.BasicConstraints(True, path_length), key_usage("key_cert_sign", "crl_sign"))


def leaf() -> Plan:
    """Return the plan of a root key's certificate."""
    return Plan(GUN).having(x509.BasicConstraints(False, None))


def make(plan: Plan, above: Plan | None) -> x509.Certificate:
    """Return the certificate of a plan, signed by the plan above, or by itself."""
    signer = above or plan
    issuer = plan.issuer_name or signer.subject
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, plan.subject)]),
        public_key=plan.private.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=plan.begins,
        not_valid_after=plan.ends,
    )
    for extension, critical in plan.extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(signer.private, ed25519.Ed25519PrivateKey) else plan.digest
    return builder.sign(signer.private, digest, rsa_padding=plan.rsa_padding)


@dataclass(frozen=True)
class Chain:
    """A leaf, what is between, and the pinned CA, the leaf first.

    Attributes:
        missing: which certificate does not come with the bundle; 0 for none.
        swap: whether the leaf comes last.
    """

    plans: tuple[Plan, ...]
    missing: int = 0
    swap: bool = False

    def pem(self) -> dict[str, str]:
        """Return the bundle and the pinned CA in PEM."""
        made = [make(plan, above) for plan, above in zip(self.plans, (*self.plans[1:], None), strict=True)]
        *bundle, root = [certificate.public_bytes(Encoding.PEM).decode() for certificate in made]
        if self.missing:
            del bundle[self.missing]
        if self.swap:
            bundle.reverse()
        return {"bundle": "".join(bundle), "roots": root}


def two(between: Plan | None = None, **fields: Any) -> Chain:
    """Return a chain of leaf, one CA between and the root."""
    top, below = fields.pop("root", issuing("root")), fields.pop("leaf", leaf())
    return Chain((below, between or issuing("between"), top), **fields)


def one(below: Plan | None = None, top: Plan | None = None) -> Chain:
    """Return a chain of leaf and root."""
    return Chain((below or leaf(), top or issuing("root")))


def chains() -> Mapping[str, Chain]:
    """Return every chain by what is peculiar about it."""
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    code, anything = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    no_sign = key_usage("digital_signature")
    good = issuing("between")
    unknown = x509.UnrecognizedExtension(ODD, b"\x05\x00")
    san = x509.SubjectAlternativeName([x509.DNSName("dtr.example.org")])
    other_san = x509.SubjectAlternativeName([x509.DNSName("other.example.net")])
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to show that it is refused
    long = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
    return {
        "good": two(),
        "good, no CA between": one(),
        "good, three CAs": Chain((leaf(), issuing("b2"), issuing("b1"), issuing("root"))),
        "good, no key usage anywhere": two(good.lacking(x509.KeyUsage), root=issuing("root").lacking(x509.KeyUsage)),
        "good, basic constraints not critical": two(good.having(x509.BasicConstraints(True, None), critical=False)),
        "good, key usage not critical": two(good.having(key_usage("key_cert_sign"), critical=False)),
        "good, leaf without basic constraints": one(leaf().lacking(x509.BasicConstraints)),
        "good, leaf with key usage of signatures": one(leaf().having(no_sign)),
        "good, RSA": Chain((leaf(), issuing("between"), replace(issuing("root"), private=long))),
        "good, RSA-PSS": Chain((replace(leaf(), rsa_padding=pss), replace(issuing("root"), private=long))),
        "good, P-384": two(replace(good, private=ec.generate_private_key(ec.SECP384R1()), digest=SHA384())),
        "good, Ed25519 CA": two(replace(good, private=ed25519.Ed25519PrivateKey.generate())),
        "good, purposes of servers": one(leaf().having(purposes(server), critical=False)),
        "good, any purpose": one(leaf().having(purposes(anything), critical=False)),
        "good, CA for servers": two(good.having(purposes(server, client), critical=False)),
        "good, unknown extensions not critical": two(
            good.having(unknown, critical=False), leaf=leaf().having(unknown, critical=False)
        ),
        "good, path length just enough": two(issuing("between", 0), root=issuing("root", 1)),
        "good, name permitted": two(good.having(names(permitted="example.org")), leaf=leaf().having(san)),
        "leaf for code": one(leaf().having(purposes(code), critical=False)),
        "leaf for clients": one(leaf().having(purposes(client), critical=False)),
        "leaf of an unknown purpose": one(leaf().having(purposes(ODD), critical=True)),
        "CA between for code": two(good.having(purposes(code), critical=False)),
        "CA between for clients, leaf for servers": two(
            good.having(purposes(client), critical=False), leaf=leaf().having(purposes(server), critical=False)
        ),
        "root for code": one(top=issuing("root").having(purposes(code), critical=False)),
        "CA between without keyCertSign": two(good.having(no_sign)),
        "CA between without keyCertSign, not critical": two(good.having(no_sign, critical=False)),
        "CA between for lists only": two(good.having(key_usage("crl_sign"))),
        "root without keyCertSign": one(top=issuing("root").having(no_sign)),
        "root without keyCertSign, above another": two(root=issuing("root").having(no_sign)),
        "CA between is not a CA": two(good.having(x509.BasicConstraints(False, None))),
        "CA between without basic constraints": two(good.lacking(x509.BasicConstraints)),
        "CA between without any extension": two(Plan("between")),
        "root is not a CA": one(top=issuing("root").having(x509.BasicConstraints(False, None))),
        "root without basic constraints": one(top=issuing("root").lacking(x509.BasicConstraints)),
        "leaf is a CA": one(issuing(GUN)),
        "path length of the root exceeded": Chain((leaf(), issuing("between"), issuing("root", 0))),
        "path length of a CA exceeded": Chain((leaf(), issuing("b2"), issuing("b1", 0), issuing("root"))),
        "leaf expired": one(replace(leaf(), ends=NOW - DAY)),
        "leaf not valid yet": one(replace(leaf(), begins=NOW + 3 * DAY)),
        "CA between expired": two(replace(good, ends=NOW - DAY)),
        "CA between not valid yet": two(replace(good, begins=NOW + 3 * DAY)),
        "root expired": two(root=replace(issuing("root"), ends=NOW - DAY)),
        "root not valid yet": two(root=replace(issuing("root"), begins=NOW + 3 * DAY)),
        "leaf names another issuer": one(replace(leaf(), issuer_name="another")),
        "CA between names another issuer": two(replace(good, issuer_name="another")),
        "CA between missing": two(missing=1),
        "leaf not first": two(swap=True),
        "leaf with an unknown critical extension": one(leaf().having(unknown)),
        "CA between with an unknown critical extension": two(good.having(unknown)),
        "root with an unknown critical extension": two(root=issuing("root").having(unknown)),
        "name not permitted": two(good.having(names(permitted="example.org")), leaf=leaf().having(other_san)),
        "name excluded": two(good.having(names(excluded="example.org")), leaf=leaf().having(san)),
        "name not permitted by the root": one(
            leaf().having(other_san), issuing("root").having(names(permitted="example.org"))
        ),
        "name constraints not critical, not permitted": two(
            good.having(names(permitted="example.org"), critical=False), leaf=leaf().having(other_san)
        ),
        "CA between with a short RSA key": two(replace(good, private=short)),
        "root with a short RSA key": one(top=replace(issuing("root"), private=short)),
        "leaf with key usage of certificates": one(leaf().having(key_usage("key_cert_sign"))),
        "leaf with empty subject alternative names of another": one(leaf().having(other_san)),
        "CA between on secp256k1": two(replace(good, private=ec.generate_private_key(ec.SECP256K1()))),
        "CA between on P-521": two(replace(good, private=ec.generate_private_key(ec.SECP521R1()))),
    }


def special() -> Mapping[str, dict[str, str]]:
    """Return chains that are put together of several, or that only openssl makes."""
    ours, theirs = one().pem(), one().pem()
    made = {"leaf by a stranger of the same name": {"bundle": theirs["bundle"], "roots": ours["roots"]}}
    for name, arguments in {
        "leaf signed with SHA-1": ("leaf", ["-sha1"]),
        "CA between signed with SHA-1": ("between", ["-sha1"]),
        "leaf signed with MD5": ("leaf", ["-md5"]),
        "leaf's key with explicit curve parameters": ("leaf", ["explicit"]),
        "CA between's key with explicit curve parameters": ("between", ["explicit"]),
        "root's key with explicit curve parameters": ("root", ["explicit"]),
    }.items():
        made[name] = by_openssl(*arguments)
    return made


def by_openssl(which: str, options: list[str]) -> dict[str, str]:
    """Return a chain of three, one certificate of which openssl makes with those options."""
    explicit = options == ["explicit"]
    parents = {"leaf": "between", "between": "root", "root": "root"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def openssl(*arguments: str) -> None:
            subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

        # Notary's certificates by RSA keys can be signed with any hash; EC keys can have explicit parameters.
        for role in ("root", "between", "leaf"):
            if explicit:
                encoding = "explicit" if role == which else "named_curve"
                openssl("ecparam", "-name", "prime256v1", "-param_enc", encoding, "-genkey", "-noout", "-out", role)
            else:
                openssl("genrsa", "-out", role, "2048")
            extensions = "basicConstraints=critical,CA:" + ("FALSE" if role == "leaf" else "TRUE,keyUsage:keyCertSign")
            extensions = extensions.replace(",keyUsage:keyCertSign", "\nkeyUsage=critical,keyCertSign")
            (folder / "extensions").write_text(extensions + "\n")
            subject = GUN.replace("/", r"\/") if role == "leaf" else role
            openssl("req", "-new", "-key", role, "-subj", f"/CN={subject}", "-out", "request")
            digest = options if role == which and not explicit else ["-sha256"]
            signed = ["-signkey", role] if role == "root" else ["-CA", f"{parents[role]}.pem", "-CAkey", parents[role]]
            fixed = ["-days", "30000", "-set_serial", "7", "-extfile", "extensions", "-out", f"{role}.pem"]
            openssl("x509", "-req", "-in", "request", *signed, *digest, *fixed)
        texts = {role: (folder / f"{role}.pem").read_text() for role in parents}
        return {"bundle": texts["leaf"] + texts["between"], "roots": texts["root"]}


def openssl_verdict(chain: Mapping[str, str]) -> str:
    """Return why openssl refuses a chain; empty if it does not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = chain["bundle"].split("-----BEGIN", 2)
        (folder / "leaf").write_text("-----BEGIN" + bundle[1])
        (folder / "between").write_text("-----BEGIN" + bundle[2] if len(bundle) > 2 else "")
        (folder / "roots").write_text(chain["roots"])
        command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", "roots", "-no-CApath"]
        between = ["-untrusted", "between"] if len(bundle) > 2 else []
        done = subprocess.run([*command, *between, "leaf"], cwd=folder, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["refused"])[0]


def main() -> None:
    """Write `chains.json`."""
    found = {name: chain.pem() for name, chain in chains().items()} | dict(special())
    given = json.dumps({"now": NOW.isoformat(), "chains": found})
    program = ["go", "run", str(HERE / "referee.go")]
    go = json.loads(subprocess.run(program, input=given, capture_output=True, text=True, check=True).stdout)
    recorded = [
        {"name": name, **chain, "go": go[name], "openssl": openssl_verdict(chain)}
        for name, chain in sorted(found.items())
    ]
    document = {"gun": GUN, "now": NOW.isoformat(), "chains": recorded}
    (HERE / "chains.json").write_text(json.dumps(document, indent=1) + "\n")
    for entry in recorded:
        sys.stdout.write(f"{entry['name']:<60} go: {entry['go'] or 'good'} | openssl: {entry['openssl'] or 'good'}\n")


if __name__ == "__main__":
    main()
