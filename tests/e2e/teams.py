"""A namespace of somebody who uses the cluster, with a policy of its own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.e2e.kube import apply, eventually, get, kubectl
from tests.e2e.objects import authenticator, pod, policy

if TYPE_CHECKING:
    from tests.e2e.kube import Done, Object


class Team:
    """One namespace, and what is in force for it.

    Args:
        name: of the namespace, of its policy and its authenticator.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).checked()
        eventually(lambda: kubectl("-n", name, "get", "serviceaccount", "default").ok, "the namespace's ServiceAccount")

    def trust(self, *keys: Object, action: str = "Enforce", probe: str) -> None:
        """Demand, from now on, a signature of one of the keys for every image.

        Args:
            keys: entries of `spec.cosign.keys`.
            action: what happens to the others.
            probe: an image that none of them has signed.
        """
        apply(authenticator(self.name, *keys), policy(self.name, [self.name], self.name, action)).checked()
        self.settle(probe, admitted=action != "Enforce", warned=action == "Warn")

    def settle(self, probe: str, *, admitted: bool, warned: bool = False) -> float:
        """Wait until every replica answers the same, and return the seconds it took until the last other answer."""
        begin = last_other = time.monotonic()
        agreed = 0

        def look() -> bool:
            nonlocal agreed, last_other
            done = self.create(pod("probe", probe), dry_run=True)
            if done.ok == admitted and ("Warning:" in done.err) == warned:
                agreed += 1
            else:
                agreed, last_other = 0, time.monotonic()
            return agreed >= 6  # noqa: PLR2004 - two replicas, and the API server has connections to both

        eventually(look, "the policy is in force")
        return last_other - begin

    def forget(self) -> None:
        """Take the policy away, and have the namespace deleted."""
        kubectl("delete", "vpol,authn", self.name, "--ignore-not-found", "--wait=false")
        kubectl("delete", "namespace", self.name, "--wait=false", "--ignore-not-found")

    def kubectl(self, *arguments: str, text: str = "") -> Done:
        """Run kubectl in the namespace."""
        return kubectl("-n", self.name, *arguments, text=text)

    def create(self, obj: Object, *, dry_run: bool = False) -> Done:
        """Run `kubectl create` on an object."""
        options = ["--dry-run=server"] if dry_run else []
        return self.kubectl("create", *options, "-f", "-", text=json.dumps(obj))

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what `kubectl get` finds in the namespace."""
        return get("-n", self.name, *arguments)

    def wait(self, condition: str, *what: str, seconds: int = 60) -> None:
        """Run `kubectl wait`."""
        self.kubectl("wait", f"--for={condition}", f"--timeout={seconds}s", *what).checked()

    def events(self, reason: str) -> list[Any]:
        """Return the Events with a reason."""
        found: list[Any] = self.get("events", f"--field-selector=reason={reason}")["items"]
        return found
