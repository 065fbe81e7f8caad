"""Fair shares of a number of places, such as workers, among namespaces."""

from __future__ import annotations

from sealgate.counts import add_count


class Shares:
    """Places that namespaces take. Not thread-safe.

    While places are free, any namespace may take one, so one that is alone may take all. A taken place cannot be
    withdrawn. Therefore a namespace that has less than its share, the limit divided by the number of namespaces that
    want or have places, may take one beyond the limit, up to a ceiling.

    Args:
        limit: places that are shared.
        ceiling: places that may be taken in all; at least `limit`.

    Attributes:
        limit: places that are shared.
    """

    def __init__(self, limit: int, ceiling: int) -> None:
        self.limit = limit
        self._ceiling = ceiling
        self._taken: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self.in_use = 0

    @property
    def idle(self) -> bool:
        """Whether no namespace wants or has a place."""
        return not self._present

    @property
    def half_free(self) -> bool:
        """Whether less than half of the places are taken."""
        return 2 * self.in_use < self.limit

    def may_take(self, namespace: str) -> bool:
        """Return whether a namespace may take a place now."""
        if self.in_use < self.limit:
            return True
        share = max(self.limit // max(len(self._present), 1), 1)
        return self.in_use < self._ceiling and self._taken.get(namespace, 0) < share

    def may_take_any(self) -> bool:
        """Return whether a namespace that wants a place may take one."""
        if self.in_use < self.limit:
            return True
        return any(
            count > self._taken.get(namespace, 0) and self.may_take(namespace)
            for namespace, count in self._present.items()
        )

    def enter(self, namespace: str) -> None:
        """Note that work of a namespace wants a place; `leave` must follow."""
        self._present[namespace] = self._present.get(namespace, 0) + 1

    def leave(self, namespace: str) -> None:
        """Note that work of a namespace is over, or wants no place any more."""
        add_count(self._present, namespace, -1)

    def take(self, namespace: str) -> None:
        """Take a place for work that has entered; `release` must follow."""
        self._taken[namespace] = self._taken.get(namespace, 0) + 1
        self.in_use += 1

    def release(self, namespace: str) -> None:
        """Give a place back."""
        add_count(self._taken, namespace, -1)
        self.in_use -= 1

    def add(self, others: Shares) -> None:
        """Count what is counted elsewhere here too."""
        self._add(others, 1)

    def subtract(self, others: Shares) -> None:
        """Undo `add`; the other counts must not have changed, or have changed here too."""
        self._add(others, -1)

    def _add(self, others: Shares, sign: int) -> None:
        for namespace, count in others._taken.items():  # noqa: SLF001 - of the same class
            add_count(self._taken, namespace, sign * count)
        for namespace, count in others._present.items():  # noqa: SLF001
            add_count(self._present, namespace, sign * count)
        self.in_use += sign * others.in_use
