"""Fields of services that formats and key sources share: address, CA and credentials."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sealgate.api.v1alpha1.model import Model, ObjectName

#: A web address without user name, query and fragment.
ServiceURL = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$", max_length=512)]


class ServiceCA(Model):
    """CA certificates for the TLS certificate of a service."""

    pem: str = Field(max_length=262144, description="PEM bundle of CA certificates; it replaces the system's.")


class CredentialsSecret(Model):
    """A Secret, in sealgate's own namespace, with credentials for a service.

    In standalone mode and on the command line it is a Secret among the policy files.
    """

    name: ObjectName = Field(description="Name of the Secret.")
