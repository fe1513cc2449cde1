"""asyncio on top of completion queues: one queue per event loop, watched by its descriptor.

No thread of the library enters Python for a call: the loop wakes up when a call has finished and fetches the result.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from itertools import count
from typing import Any, Callable, Dict

from ._operation import CompletionQueue, Operation

Enqueue = Callable[[CompletionQueue, int], Operation]
"""Starts a call that puts its completion into the queue under the tag."""


class LoopQueue:
    """The completion queue of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = CompletionQueue()
        self._futures: Dict[int, "asyncio.Future[bytes]"] = {}
        self._tags = count(1)
        loop.add_reader(self._queue.fileno(), self._deliver)

    async def call(self, loop: asyncio.AbstractEventLoop, enqueue: Enqueue) -> bytes:
        """Waits for one call; cancels it when the task is cancelled."""
        tag = next(self._tags)
        future: asyncio.Future[bytes] = loop.create_future()
        self._futures[tag] = future
        try:
            with enqueue(self._queue, tag) as operation:
                try:
                    return await future
                except asyncio.CancelledError:
                    operation.cancel()
                    raise
        finally:
            self._futures.pop(tag, None)
            if future.done() and not future.cancelled():
                future.exception()  # cancelled just after it failed: nobody else looks at the failure

    def close(self) -> None:
        """Gives the descriptor back; for loops that are closed."""
        self._queue.close()

    def _deliver(self) -> None:
        for tag, result, error in self._queue.next(timeout=0):
            future = self._futures.pop(tag, None)
            if future is None or future.done():  # its task was cancelled
                continue
            if error is None:
                future.set_result(result or b"")
            else:
                future.set_exception(error)


_queues: "weakref.WeakKeyDictionary[Any, LoopQueue]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def queue_of(loop: asyncio.AbstractEventLoop) -> LoopQueue:
    """The queue of a loop, made on first use; queues of loops that were closed since are freed."""
    with _lock:
        queue = _queues.get(loop)
        if queue is None:
            _close_dead_queues()
            queue = _queues[loop] = LoopQueue(loop)
        return queue


def close_dead_queues() -> None:
    """Frees the queues of closed loops; those of collected loops are gone already."""
    with _lock:
        _close_dead_queues()


def _close_dead_queues() -> None:
    for loop, queue in list(_queues.items()):
        if loop.is_closed():
            del _queues[loop]
            queue.close()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)  # another thread may have held it
