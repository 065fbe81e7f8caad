"""What runs and what is declared: the images of each workload, read from the API server page by page.

A workload is the topmost object that made a Pod, such as a Deployment, a CronJob, or the Pod itself. Of a workload's
images counts what its own template says and what its Pods run. What is kept of an object is small and bounded in
number, for each namespace and in total, so that a flood of objects in one namespace takes neither the memory nor the
reports of others.

Owner references are what the objects say. A user who forges one moves a Pod's results to another workload of the same
namespace, and hides none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sealgate.errors import InvalidWorkloadError, NotFoundError, SealgateError
from sealgate.kubernetes.collections import find_collection, listed_kinds
from sealgate.kubernetes.lists import items_of, list_pages
from sealgate.references import MAX_LENGTH
from sealgate.workloads.images import extract_images, pod_specs
from sealgate.workloads.kinds import POD
from sealgate.workloads.running import MAX_IMAGE_ID, image_id_of, running_ids, runs_nothing
from sealgate_webhook.backends.cluster.pull_secrets import MAX_POD_SPECS, MAX_SECRETS, pull_secrets_of
from sealgate_webhook.reports.workloads import Image, Inventory, Usage, Workload

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds

#: The most workloads of the cluster and of one namespace.
MAX_WORKLOADS: Final = 30_000
MAX_NAMESPACE_WORKLOADS: Final = 6_000
#: The most images of all workloads, each counted once for each workload, of the cluster and of one namespace.
MAX_IMAGES: Final = 60_000
MAX_NAMESPACE_IMAGES: Final = 12_000
#: The most objects that own others, of the cluster and of one namespace.
MAX_OWNERS: Final = 60_000
MAX_NAMESPACE_OWNERS: Final = 20_000
#: The most characters of names of pull secrets and ServiceAccounts, of the cluster and of one namespace. An image is
#: verified without what is beyond them, so that it is *unavailable* at worst.
MAX_SECRET_NAMES: Final = 32 << 20
MAX_NAMESPACE_SECRET_NAMES: Final = 4 << 20
#: The most different `imageID`s of one image in one workload.
MAX_IDS: Final = 16
#: Objects and bytes of one page.
PAGE: Final = 250
PAGE_BYTES: Final = 16 << 20
#: The most problems of one workload that are named.
MAX_PROBLEMS: Final = 4
#: The most objects between a Pod and its workload.
_MAX_STEPS: Final = 8
#: The most characters of a name; longer ones name nothing.
_MAX_NAME: Final = 253


def read_inventory(
    api: KubernetesAPI, kinds: WorkloadKinds, excluded: Collection[str], *, templates: bool = True
) -> Inventory:
    """Read what runs and what is declared. A kind that cannot be listed stops no other.

    Args:
        api: the API server.
        kinds: the kinds whose images are verified; those that the cluster does not have are passed over.
        excluded: namespaces to leave out.
        templates: whether what templates declare counts too, and not only what Pods run.
    """
    reader = _Reader(kinds, frozenset(excluded), templates=templates)
    # Pods come last: what owns them is known by then, and of a Pod only its images are kept.
    for kind in sorted(listed_kinds(kinds), key=lambda kind: kind is POD):
        if kind is POD:
            reader.settle()
        try:
            version, collection = find_collection(api, kind)
            for page in list_pages(api.bounded(PAGE_BYTES), f"/{version}/{collection}", PAGE):
                for obj in items_of(page, kind.kind):
                    reader.add(obj, kind)
        except NotFoundError:
            continue
        except SealgateError as error:
            reader.inventory.unread[kind] = error.message
    return reader.inventory


class _Declared(NamedTuple):
    """An object that is not a Pod, the uid of its controller, and its images unless a listed kind controls it."""

    workload: Workload
    owner: str
    usage: Usage | None


class _Bound:
    """Counts what is kept, for each namespace and in total."""

    def __init__(self, total: int, of_namespace: int) -> None:
        self._total = total
        self._of_namespace = of_namespace
        self._counts: Counter[str] = Counter()
        self._count = 0

    def take(self, namespace: str, count: int = 1) -> bool:
        """Count so many more if there is room for them, and return whether there is."""
        if self._count + count > self._total or self._counts[namespace] + count > self._of_namespace:
            return False
        self._count += count
        self._counts[namespace] += count
        return True


class _Reader:
    def __init__(self, kinds: WorkloadKinds, excluded: frozenset[str], *, templates: bool) -> None:
        self._kinds = kinds
        self._excluded = excluded
        self._templates = templates
        self._declared: dict[str, _Declared] = {}
        self._owners = _Bound(MAX_OWNERS, MAX_NAMESPACE_OWNERS)
        self._workloads = _Bound(MAX_WORKLOADS, MAX_NAMESPACE_WORKLOADS)
        self._images = _Bound(MAX_IMAGES, MAX_NAMESPACE_IMAGES)
        self._names = _Bound(MAX_SECRET_NAMES, MAX_NAMESPACE_SECRET_NAMES)
        self._texts: dict[Any, Any] = {}
        self.inventory = Inventory()

    def add(self, obj: Mapping[str, Any], kind: WorkloadKind) -> None:
        """Take one object; all Pods come after all others."""
        workload = _workload(obj)
        if workload is None or workload.namespace in self._excluded or runs_nothing(obj, kind):
            return
        owner = _controller(obj["metadata"])
        uid = str(owner.get("uid") or "")
        if kind is POD:
            self._use(self._top(uid, workload), obj, kind)
        elif self._owners.take(workload.namespace):
            usage = Usage() if self._templates and not self._lists(owner) else None
            self._declared[workload.uid] = _Declared(workload, uid, usage)
            if usage is not None:
                self._read(usage, workload.namespace, obj, kind)
        else:
            self.inventory.left_out += 1

    def settle(self) -> None:
        """Take the workloads among the objects that are not Pods: those that no other one of them controls."""
        for declared in self._declared.values():
            if declared.usage is not None and self._top(declared.owner, declared.workload) is declared.workload:
                if self._workloads.take(declared.workload.namespace):
                    self.inventory.workloads[declared.workload] = declared.usage
                else:
                    self.inventory.left_out += 1

    def _lists(self, owner: Mapping[str, Any]) -> bool:
        """Return whether an owner is of a kind that is listed, so that its own template counts instead."""
        group = str(owner.get("apiVersion") or "").rpartition("/")[0]
        return self._kinds.find(group, str(owner.get("kind") or "")) is not None

    def _top(self, owner: str, workload: Workload) -> Workload:
        """Return the topmost object that is known to own one; the object itself if none is."""
        for _ in range(_MAX_STEPS):
            found = self._declared.get(owner)
            if found is None or found.workload.namespace != workload.namespace:
                break
            owner, workload = found.owner, found.workload
        return workload

    def _use(self, workload: Workload, obj: Mapping[str, Any], kind: WorkloadKind) -> None:
        usage = self.inventory.workloads.get(workload)
        if usage is None:
            if not self._workloads.take(workload.namespace):
                self.inventory.left_out += 1
                return
            usage = self.inventory.workloads[workload] = Usage()
        self._read(usage, workload.namespace, obj, kind)

    def _read(self, usage: Usage, namespace: str, obj: Mapping[str, Any], kind: WorkloadKind) -> None:
        try:
            images = extract_images(obj, kind)
            named = [pull_secrets_of(spec) for spec in pod_specs(obj, kind) or (_own_spec(obj),)]
        except InvalidWorkloadError as error:
            if len(usage.problems) < MAX_PROBLEMS:
                usage.problems.add(error.message)
            return
        ids = running_ids(obj) if kind is POD else {}
        for image in images:
            text = self._once(image.image[: MAX_LENGTH + 1])
            if text not in usage.images:
                if not self._images.take(namespace):
                    usage.cut = True
                    continue
                usage.images[text] = set()
            self._note_id(usage.images[text], image_id_of(image, ids))
            self._note_secrets(self._once(Image(namespace, text)), named)

    def _note_id(self, ids: set[str], image_id: str | None) -> None:
        if image_id is not None:
            known = len(image_id) <= MAX_IMAGE_ID and (image_id in ids or len(ids) < MAX_IDS)
            # What the status of a pod says is of any size; beyond the limits, all are one that is not known.
            ids.add(self._once(image_id) if known else "")

    def _note_secrets(self, image: Image, named: list[tuple[tuple[str, ...], str]]) -> None:
        known = self.inventory.pull_secrets.setdefault(image, {})
        for secrets, account in named:
            usable = tuple(name for name in secrets[:MAX_SECRETS] if len(name) <= _MAX_NAME)
            if len(known) >= MAX_POD_SPECS or len(account) > _MAX_NAME:
                continue
            entry = (usable, account)
            if entry in self._texts or self._names.take(image.namespace, sum(map(len, usable), len(account))):
                known[self._once(entry)] = None

    def _once(self, value: Any) -> Any:  # noqa: ANN401 - returns what it is given
        """Return an equal value that is kept already: thousands of Pods name the same images and Secrets."""
        return self._texts.setdefault(value, value)


def _workload(obj: Mapping[str, Any]) -> Workload | None:
    metadata = obj.get("metadata") or {}
    namespace, name, uid = (str(metadata.get(member) or "") for member in ("namespace", "name", "uid"))
    if not (namespace and name and uid):
        return None
    return Workload(str(obj["apiVersion"]), str(obj["kind"]), namespace, name, uid)


def _own_spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `spec` of an object without a pod spec, which of a custom kind may be any value."""
    spec = obj.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _controller(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the reference to an object's controller; empty if it has none."""
    references = metadata.get("ownerReferences")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, Mapping) and reference.get("controller") is True:
            return reference
    return {}
