"""Threads that end with their test, also if it fails."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Timeout in seconds, longer than any end on a busy machine; reached only on a failure.
PATIENCE_SECONDS = 150.0


@contextmanager
def in_thread(
    task: Callable[[threading.Event], object], before_join: Callable[[], object] = lambda: None
) -> Iterator[threading.Event]:
    """Run a task in a thread, and stop it at the end; yield the event that stops it.

    Args:
        task: ends soon after the event that it gets is set.
        before_join: called between the stop and the wait for the end.
    """
    stop = threading.Event()
    thread = threading.Thread(target=task, args=(stop,), daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        before_join()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
