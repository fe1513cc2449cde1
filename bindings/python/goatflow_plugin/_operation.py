"""Calls that don't block: operations, cancellation, completion queues."""

from __future__ import annotations

import weakref
from ctypes import byref, c_int32, c_size_t, c_void_p
from types import TracebackType
from typing import Any, List, NamedTuple, Optional, Type, TypeVar

from . import _abi
from ._arguments import contexts, milliseconds
from ._library import check, create, fetch, functions, perform, take_buffer, take_error
from .errors import PluginError

Self = TypeVar("Self", bound="Owned")


class Owned:
    """Owns one handle: `close` frees it, leaving a `with` block too, and the garbage collector as a last resort."""

    handle: int
    """The C handle; the library refuses it after `close`."""

    def _own(self, handle: int, free: Any) -> None:
        self.handle = handle
        self._finalizer = weakref.finalize(self, free, handle)
        self._finalizer.atexit = False

    def close(self) -> None:
        """Frees the handle; again is harmless."""
        # Not by calling the finalizer: from the start of the interpreter's exit on, that would do nothing.
        alive = self._finalizer.detach()
        if alive is not None:
            _, free, arguments, _ = alive
            free(*arguments)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


class Cancellation(Owned):
    """Cancels every call it was given to, now and later; usable from any thread."""

    def __init__(self) -> None:
        c = functions()
        self._own(create(c, c.cancellation_new), c.cancellation_free)

    def cancel(self) -> None:
        """Asks the calls to stop; they fail with `PluginCancelled`."""
        c = functions()
        perform(c, c.cancellation_cancel, self.handle)


class Operation(Owned):
    """One call under way. Closing it lets the call run on; its result is dropped."""

    def __init__(self, handle: int, context: Optional[int] = None) -> None:
        c = functions()

        def free(operation: int) -> None:
            c.operation_free(operation)
            contexts.remove(context)

        self._own(handle, free)

    def wait(self, timeout: Optional[float] = None) -> bytes:
        """The result, once; `LifecyclePending` when it is not there after `timeout` seconds."""
        c = functions()
        return fetch(c, c.operation_wait, self.handle, milliseconds(timeout))

    def cancel(self) -> None:
        """Asks the call to stop; again, or too late, is harmless."""
        c = functions()
        perform(c, c.operation_cancel, self.handle)


class Completion(NamedTuple):
    """One finished call of a `CompletionQueue`."""

    tag: int
    result: Optional[bytes]
    error: Optional[PluginError]


class CompletionQueue(Owned):
    """Where finished calls wait to be fetched; readable by `select` and event loops (`fileno`)."""

    BATCH = 64

    def __init__(self) -> None:
        c = functions()
        self._own(create(c, c.queue_new), c.queue_free)

    def fileno(self) -> int:
        """A descriptor that is readable while completions wait. It belongs to the queue: don't read or close it."""
        c = functions()
        fd = c_int32()
        perform(c, c.queue_fd, self.handle, byref(fd))
        return fd.value

    def next(self, timeout: Optional[float] = None, capacity: int = BATCH) -> List[Completion]:
        """Up to `capacity` completions; waits for the first one, for `timeout` seconds (0 polls). Empty on timeout."""
        c = functions()
        batch, taken, error = (_abi.Completion * capacity)(), c_size_t(), c_void_p()
        wait = milliseconds(timeout)
        check(c, c.queue_next(self.handle, batch, capacity, wait, byref(taken), byref(error)), error)
        return [_take(c, completion) for completion in batch[: taken.value]]


def _take(c: _abi.Functions, completion: _abi.Completion) -> Completion:
    if completion.status:
        error = c_void_p(completion.error)
        return Completion(completion.tag, None, take_error(c, completion.status, error))
    return Completion(completion.tag, take_buffer(c, completion.result), None)
