"""A toy KMS provider, added to a copy of the sources as CONTRIBUTING.md says."""

from __future__ import annotations

from tests.seams.additions import Addition

PROVIDER = Addition(
    files={
        "src/sealgate/kms/providers/toy.py": '''
"""The toy KMS: GET /<key ID> returns the public key, POST /<key ID>/sign a signature over the body."""

from __future__ import annotations

from sealgate.keys.algorithms import Algorithm
from sealgate.kms.interface import KMSKey, SigningService
from sealgate.cloud.responses import Call, ask_object, base64_text, text


def fetch(source, secrets, services, clock):
    answer = ask_object(services, _call(source, secrets, "GET", ""), "the toy KMS")
    return (KMSKey("1", "ENABLED", text(answer, "pem", "the toy KMS"), text(answer, "kind", "the toy KMS")),)


def sign(source, task, secrets, services, clock):
    call = _call(source, secrets, "POST", "/sign", task.message)
    return base64_text(ask_object(services, call, "the toy KMS"), "signature", "the toy KMS")


SIGNING = SigningService(sign, {"ECDSA P-256": {Algorithm.ECDSA_SHA_256: "ECDSA"}}, "permission to sign")


def _call(source, secrets, method, action, body=None):
    secret = source.credentials_secret.name
    headers = {"authorization": f"Bearer {secrets.read(secret)['token'].decode()}"}
    return Call(method, f"{source.endpoint}/{source.key_id}{action}", headers, body, None, secret)
''',
    },
    lines={
        "src/sealgate/api/v1alpha1/kms.py": [
            (
                '    oracle: OracleKMS | None = Field(default=None, description="Oracle Cloud Vault.")',
                '    toy: ToyKMS | None = Field(default=None, description="A toy.")',
            ),
            (
                (
                    '        """The only versions that are accepted; empty for every version."""\n'
                    "        return self.key_version_ids"
                ),
                '''

class ToyKMS(ProviderKey):
    """A key in the toy KMS."""

    key_id: HuaweiID = Field(description="ID of the key.")
    endpoint: Endpoint = Field(description="Address of the service.")
    credentials_secret: CredentialsSecret = Field(description="Secret with a token.")

    @property
    def name(self) -> str:
        return self.key_id

    @property
    def address(self) -> str | None:
        return self.endpoint

    @property
    def service(self) -> str:
        return self.endpoint
''',
            ),
        ],
        "src/sealgate/kms/resolve.py": [
            (
                "from sealgate.kms.providers import alibaba, aws, azure, google, huawei, oracle, vault",
                "from sealgate.kms.providers import toy",
            ),
            ('    "oracle": oracle.fetch,', '    "toy": toy.fetch,'),
        ],
        "src/sealgate/kms/signing.py": [
            (
                "from sealgate.kms.providers import alibaba, aws, azure, google, huawei, oracle, vault",
                "from sealgate.kms.providers import toy",
            ),
            ('    "oracle": oracle.SIGNING,', '    "toy": toy.SIGNING,'),
        ],
        "src/sealgate/cli/inputs/cloud_credentials.py": [
            (
                "MAX_FILE_BYTES = 1 << 20",
                '''

def toy_credentials(environ):
    """Read `TOY_TOKEN`."""
    return CloudCredentials("the variable TOY_TOKEN", {"token": environ["TOY_TOKEN"].encode()})
''',
            ),
        ],
        "src/sealgate/cli/inputs/kms_keys.py": [
            ("from sealgate.cli.inputs.cloud_credentials import (", "    toy_credentials,"),
            ("_PROVIDERS = {", '    "toy": _Provider("toy", "toy:KEY", re.compile("(?P<keyId>.+)"), toy_credentials),'),
        ],
    },
)
