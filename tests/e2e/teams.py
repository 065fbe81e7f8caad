"""A namespace of a team that uses the cluster, with a policy of its own."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.e2e import release
from tests.e2e.kube import api, apply, eventually, get, kubectl
from tests.e2e.objects import authenticator_of, pod, policy

if TYPE_CHECKING:
    from tests.e2e.images import Image
    from tests.e2e.kube import Done, Object, Response

#: Requests at once while a change comes into force. The API server opens a connection for each, to a random replica.
CONCURRENT = 8
#: Successive rounds of such requests that must all get the expected response.
ROUNDS = 5


class Team:
    """A namespace with a policy and authenticators of the same name.

    Args:
        name: name of the namespace, of its policy and of its first authenticator.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.authenticators = [name]
        self._pods = 0
        namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        api().send("POST", "/api/v1/namespaces", namespace).checked()
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        eventually(lambda: api().send("GET", account).ok, "the namespace's ServiceAccount")

    def require_signature(self, *keys: Object, action: str = "Enforce", probe: str) -> None:
        """Require a signature by one of the keys for every image, and wait until that is in force.

        Args:
            keys: entries of `spec.cosign.keys`.
            action: action of the policy.
            probe: an image without a signature by these keys.
        """
        self.require({"cosign": {"keys": list(keys)}}, action=action)
        if action == "Audit":
            eventually(lambda: self._audited(probe), "each replica has the policy")
        else:
            self.wait_for_decision(probe, admitted=action == "Warn", warned=action == "Warn")

    def _audited(self, probe: str) -> bool:
        """Return whether each replica says in its audit annotations that a policy does not accept an image."""
        answers = release.review_on_each_replica(self.name, pod("probe", probe))
        said = [(answer.get("auditAnnotations") or {}).get("container.main", "") for answer in answers]
        return len(said) > 0 and all(text.startswith("not verified: ") for text in said)

    def require(self, *specs: Object, action: str = "Enforce") -> None:
        """Apply an authenticator for each spec, and a policy that requires all of them for every image."""
        self.authenticators = [self.name, *(f"{self.name}-{number}" for number in range(2, len(specs) + 1))]
        objects = [authenticator_of(name, spec) for name, spec in zip(self.authenticators, specs, strict=True)]
        apply(*objects, policy(self.name, self.authenticators, self.name, action)).checked()

    def wait_for_decision(self, probe: str, *, admitted: bool, warned: bool = False) -> float:
        """Wait until the decision about an image is the expected one in every replica.

        Args:
            probe: the image.
            admitted: whether a pod with it is admitted.
            warned: whether kubectl shows a warning.

        Returns:
            Seconds until the last response that was not the expected one.
        """
        path = f"/api/v1/namespaces/{self.name}/pods?dryRun=All"
        begin = last_other = time.monotonic()
        agreed = 0

        def expected(response: Response) -> bool:
            return (response.ok if admitted else response.denied) and bool(response.warnings) == warned

        def check() -> bool:
            nonlocal agreed, last_other
            requests = [pool.submit(api().send, "POST", path, pod("probe", probe)) for _ in range(CONCURRENT)]
            if all(expected(request.result()) for request in requests):
                agreed += 1
            else:
                agreed, last_other = 0, time.monotonic()
            return agreed >= ROUNDS

        with ThreadPoolExecutor(CONCURRENT) as pool:
            eventually(check, "the policy is in force")
        return last_other - begin

    def delete(self) -> None:
        """Delete the policy and its authenticators, and start the deletion of the namespace."""
        for name in self.authenticators:
            for kind in ("verificationpolicies", "authenticators"):
                api().send("DELETE", f"/apis/sealgate.dev/v1alpha1/{kind}/{name}")
        api().send("DELETE", f"/api/v1/namespaces/{self.name}")

    def expect_running(self, *images: Image, by_digest: bool = False) -> list[Any]:
        """Create pods of these images, expect that they become ready with these digests, and return them."""
        names = []
        for image in images:
            self._pods += 1
            names.append(f"pod/app-{self._pods}")
            self.create(pod(f"app-{self._pods}", image.by_digest if by_digest else image.tagged)).checked()
        self.wait("condition=Ready", *names)
        found = [self.get(name) for name in names]
        for one, image in zip(found, images, strict=True):
            assert one["status"]["containerStatuses"][0]["imageID"].endswith(f"@{image.digest}")
        return found

    def expect_denied(self, image: str, reason: str, *words: str) -> str:
        """Expect that every replica denies a pod of an image for this reason; return kubectl's standard error.

        Args:
            image: reference in the pod.
            reason: reason in the audit annotations ("NoSignature").
            words: further text that the message must contain.
        """
        done = self.create(pod("bad", image))
        assert not done.ok, f"{image} was admitted"
        assert 'admission webhook "workloads.sealgate.dev" denied the request' in done.err
        for word in (image, self.name, *words):
            assert word in done.err, done.err
        answers = release.review_on_each_replica(self.name, pod("bad", image))
        assert len(answers) == 2
        for answer in answers:
            assert not answer["allowed"]
            assert answer["auditAnnotations"]["container.main"] == f"not verified: {reason}: {image}", answer
        return done.err

    def kubectl(self, *arguments: str, text: str = "") -> Done:
        """Run kubectl in the namespace of the team."""
        return kubectl("-n", self.name, *arguments, text=text)

    def create(self, obj: Object, *, dry_run: bool = False) -> Done:
        """Run `kubectl create` on an object."""
        options = ["--dry-run=server"] if dry_run else []
        return self.kubectl("create", *options, "-f", "-", text=json.dumps(obj))

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what `kubectl get -o json` prints for the namespace."""
        return get("-n", self.name, *arguments)

    def wait(self, condition: str, *what: str, seconds: int = 150) -> None:
        """Run `kubectl wait`."""
        self.kubectl("wait", f"--for={condition}", f"--timeout={seconds}s", *what).checked()

    def events(self, reason: str) -> list[Any]:
        """Return the Events with a reason."""
        found: list[Any] = self.get("events", f"--field-selector=reason={reason}")["items"]
        return found
