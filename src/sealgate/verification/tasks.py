"""Work for one host, and the queue in which it waits."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sealgate.fair_queues import FairQueue, count_ahead, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.errors import RateLimitedError

    Work = Callable[[], Any]
    Done = Callable[[Any, BaseException | None], None]


class NoSlotError(Exception):
    """The budget that the work needs, which other processes share, has no slot yet; the work has not begun.

    Args:
        refusal: says when to retry.
    """

    def __init__(self, refusal: RateLimitedError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Requester(NamedTuple):
    """Who wants a piece of work.

    Attributes:
        namespace: name of the namespace whose share the work takes.
        review: distinguishes the reviews of a namespace, which take turns.
    """

    namespace: str
    review: int


@dataclass(slots=True, eq=False)
class Task:
    """A piece of work for one host.

    Attributes:
        host: the host, as `host[:port]`.
        charged: whether it takes a slot of the host's budget.
        work: the work; runs in a worker. It is queued again if it raises `NoSlotError`.
        done: called with the result and None, or None and the exception.
        deadline: when the last one who wants it stops waiting, in monotonic seconds; it does not start after that.
        queued_at: when it was queued, in monotonic seconds.
        requesters: who wants it, by namespace. While it waits it is in the queue of each of them.
        namespace: the namespace whose share it takes; that of the first requester until it runs.
        waiting: whether it is in a queue.
        taken: whether a thread runs it.
        withdrawn: whether no thread may run it any more.
        background: whether no review waits for it.
    """

    host: str
    charged: bool
    work: Work
    done: Done
    deadline: float
    queued_at: float
    requesters: dict[str, Requester] = field(default_factory=dict)
    namespace: str = ""
    waiting: bool = False
    taken: bool = False
    withdrawn: bool = False
    background: bool = False


class Lane:
    """The tasks of one host that wait for the same thing, in fair order. Not thread-safe.

    Namespaces take turns, and so do the reviews of each namespace. A task that several namespaces want is in the queue
    of each, and leaves all of them when the first one has its turn.

    Args:
        host: the host.
        charged: whether the tasks wait for slots of the host's budget.

    Attributes:
        host: the host.
        charged: see above.
    """

    def __init__(self, host: str, *, charged: bool) -> None:
        self.host = host
        self.charged = charged
        self._queues: OrderedDict[str, FairQueue[int, Task]] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether a task waits."""
        return bool(self._queues)

    def __iter__(self) -> Iterator[Task]:
        """Return the tasks in the order of the turns; a task that several namespaces want comes several times."""
        return in_turns(self._queues.values())

    def add(self, task: Task, requester: Requester) -> None:
        """Add a task to the queue of one requester."""
        self._queues.setdefault(requester.namespace, FairQueue()).push(requester.review, task)

    def put_back(self, task: Task, requester: Requester) -> None:
        """Add a task that was taken before all others."""
        self._queues.setdefault(requester.namespace, FairQueue()).put_back(requester.review, task)
        self._queues.move_to_end(requester.namespace, last=False)

    def remove(self, task: Task) -> None:
        """Remove a task from all queues."""
        for namespace, requester in task.requesters.items():
            queue = self._queues[namespace]
            queue.remove(requester.review, task)
            if not queue:
                del self._queues[namespace]

    def take(self, may_start: Callable[[str], bool]) -> Task | None:
        """Take the first task of the first namespace in turn that may start one; None if there is none."""
        for namespace, queue in self._queues.items():
            if may_start(namespace):
                task = next(iter(queue))
                task.namespace = namespace
                self._queues.move_to_end(namespace)
                self._take(task, namespace, queue)
                return task
        return None

    def may_start_any(self, may_start: Callable[[str], bool]) -> bool:
        """Return whether `take` would return a task."""
        return any(map(may_start, self._queues))

    def ahead(self, requester: Requester) -> int:
        """Return how many tasks have their turn before one that is added for a requester now."""
        queue = self._queues.get(requester.namespace)
        own = 0 if queue is None else queue.ahead(requester.review)
        return count_ahead(((name, len(queue)) for name, queue in self._queues.items()), requester.namespace, own)

    def _take(self, task: Task, namespace: str, queue: FairQueue[int, Task]) -> None:
        """Remove a task from the queue of a namespace whose turn it is, and from all others."""
        queue.pop()
        if not queue:
            del self._queues[namespace]
        others = {name: requester for name, requester in task.requesters.items() if name != namespace}
        for name, requester in others.items():
            self._queues[name].remove(requester.review, task)
            if not self._queues[name]:
                del self._queues[name]
