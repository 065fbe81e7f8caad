"""The fields of a key in AWS KMS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sealgate.api.v1alpha1.kms_provider import Endpoint, RegionalKey
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

#: A region, and no other label below amazonaws.com, where for example S3 has host names that its customers choose.
AWSRegion = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]{2,16}){1,3}-[0-9]{1,2}$", max_length=64)]
AWSKeyID = Annotated[
    str,
    StringConstraints(
        pattern=r"^(arn:aws[-a-z]{0,16}:kms:[-a-z0-9]{1,64}:[0-9]{12}:key/)?(mrk-)?[0-9A-Za-z][-0-9A-Za-z]{0,127}$"
    ),
]

#: Domains of services by the beginning of the region; all others are in amazonaws.com (botocore 1.44, partitions.json).
_DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


class AWSKMS(RegionalKey):
    """A key in AWS KMS, which has one version."""

    region: AWSRegion = Field(description="Region of the key, such as eu-central-1.")
    key_id: AWSKeyID = Field(
        max_length=255,
        description="The key's id, or its ARN when it belongs to another account; aliases are not taken.",
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Secret with accessKeyId and secretAccessKey, and sessionToken with temporary ones. Default: the "
        "IAM role of sealgate's ServiceAccount (IRSA, or EKS Pod Identity).",
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Address of the service. Default https://kms.REGION.amazonaws.com."
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the service, if it is private.")

    @property
    def url(self) -> str:
        """The endpoint, or the region's own, without a slash at its end."""
        return (self.endpoint or f"https://kms.{self.region}.{self.domain}").rstrip("/")

    @property
    def domain(self) -> str:
        """The domain of the services of the region's partition."""
        return next((name for start, name in _DOMAINS.items() if self.region.startswith(start)), "amazonaws.com")

    @property
    def name(self) -> str:
        """Region and key in one word."""
        return f"{self.region}/{self.key_id}"
