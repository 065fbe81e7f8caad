"""When the condition `Enforced` follows what is observed. Pure.

Every policy has the condition, so each change of it is as many writes as there are policies. What ends within two
observations, such as an upgrade or a repair, changes nothing, and no change follows another within ten seconds,
however fast a client changes the configurations back and forth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sealgate_operator.status.conditions import ConditionUpdate

#: Consecutive observations after which a condition changes, by what it then is. An API server that does not answer says
#: nothing about enforcement for the first half minute.
OBSERVATIONS: Final[dict[bool | None, int]] = {True: 1, False: 2, None: 15}
#: Seconds between two changes, at least.
HOLD_SECONDS: Final = 10.0


class SettlingCondition:
    """A condition that follows what is observed, not at once.

    Attributes:
        current: what the condition says; None until something was observed.
    """

    def __init__(self) -> None:
        self.current: ConditionUpdate | None = None
        self._observed: bool | None = True
        self._count = 0
        self._changed_at = float("-inf")

    def observe(self, update: ConditionUpdate, now: float) -> bool:
        """Take what is observed now; return whether the condition has changed.

        Args:
            update: what the condition would say.
            now: seconds of a monotonic clock.
        """
        self._count = self._count + 1 if update.holds is self._observed else 1
        self._observed = update.holds
        if update == self.current or self._count < OBSERVATIONS[update.holds]:
            return False
        if now - self._changed_at < HOLD_SECONDS:
            return False
        self.current, self._changed_at = update, now
        return True
