"""Credentials of signature stores: from the policy files, or from nowhere."""

from __future__ import annotations

import pytest

from sealgate.errors import UnavailableError
from sealgate.reasons import Reason
from sealgate.service_secrets import MappingServiceSecrets, NoServiceSecrets, ServiceSecrets


@pytest.mark.parametrize("secrets", [NoServiceSecrets(), MappingServiceSecrets({})], ids=["none", "files"])
def test_a_secret_that_is_not_there_makes_the_authenticator_not_ready(secrets: ServiceSecrets) -> None:
    with pytest.raises(UnavailableError, match=r"Secret a\\nb ") as caught:
        secrets.read("a\nb")
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_a_secret_among_the_files_is_read_whole() -> None:
    assert MappingServiceSecrets({"oci": {"user": b"u"}}).read("oci") == {"user": b"u"}
