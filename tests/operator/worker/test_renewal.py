"""A resync renews the delegations of a notary server that the policy's key has signed and that end soon."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.operator.environment import threads_end
from tests.operator.objects import secret
from tests.operator.worker.environment import SECRETS, Shop, running
from tests.support.clocks import FakeClock
from tests.support.environments.notary_signing import PATH, RELEASES, NotarySigning, only
from tests.support.signers.notary import certified
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from pathlib import Path

#: So long ago that what was signed then ends in ten days.
AGO = timedelta(days=1085)


def test_delegation_is_renewed_before_it_ends(tmp_path: Path) -> None:
    then = datetime.now(UTC).replace(microsecond=0) - AGO
    with (
        threads_end(),
        NotarySigning(tmp_path, clock=FakeClock(then)) as signing,
        KubernetesSimulator() as cluster,
    ):
        signing.alice = certified("alice", begins=then)
        signing.delegated(RELEASES)
        signing.sign(keys=only(signing.alice))
        before = signing.trust.signed[RELEASES]
        shop = Shop(cluster, signing.dtr)
        cluster.put(SECRETS, secret("alice", key_pem=signing.alice.private_pem))
        shop.put_policy(
            images=[{"repository": f"{signing.dtr.host}/{PATH}"}],
            cosign=None,
            notary={"server": signing.dtr.url, "root": {"pem": _root_certificate(signing)}},
            key={"secretRef": {"name": "alice", "key": "key.pem"}},
        )
        with running(shop, secrets=[{"name": "alice", "hosts": []}]):
            cluster.wait_for(lambda _: signing.trust.signed[RELEASES]["version"] == before["version"] + 1)
        after = signing.trust.signed[RELEASES]
        assert after["targets"] == before["targets"]
        assert after["expires"] > before["expires"]


def _root_certificate(signing: NotarySigning) -> str:
    root = signing.trust.signed["root"]
    (key_id,) = root["roles"]["root"]["keyids"]
    return base64.b64decode(root["keys"][key_id]["keyval"]["public"]).decode()
