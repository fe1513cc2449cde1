"""Where results of blocking calls land: reused memory, so that a short call allocates nothing but its `bytes`."""

from __future__ import annotations

import threading
from ctypes import addressof, c_char, c_size_t, c_void_p
from typing import Any, List, Optional, Tuple

from ._abi import Buffer, CallOptions, Functions
from ._arguments import Destination
from ._library import take_buffer, take_error
from .codes import Status

SMALL_RESULT = 4096
"""Results up to this many bytes land in reused memory; longer ones come in a buffer of the library."""


class Landing:
    """The outputs of one call. In use by one call at a time: a call from within a callback takes another one."""

    __slots__ = ("_view", "_memory", "_length", "_overflow", "_error", "outputs")

    def __init__(self) -> None:
        memory = bytearray(SMALL_RESULT)
        self._view = memoryview(memory)
        self._memory = (c_char * SMALL_RESULT).from_buffer(memory)
        self._length = c_size_t()
        self._overflow = Buffer()
        self._error = c_void_p()
        self.outputs = (
            addressof(self._memory),
            SMALL_RESULT,
            addressof(self._length),
            addressof(self._overflow),
            addressof(self._error),
        )
        """The last five arguments of the `…_call_into` functions."""

    def result(self, c: Functions, status: int) -> bytes:
        """What the call brought: bytes, or an exception."""
        if is_interrupted():
            self._discard(c)
            raise interrupts.pop()
        if status:
            raise take_error(c, status, self._error)
        length = self._length.value
        if length > SMALL_RESULT:
            return take_buffer(c, self._overflow)
        return self._view[:length].tobytes()

    def _discard(self, c: Functions) -> None:
        take_buffer(c, self._overflow)
        c.error_free(self._error)
        self._error.value = None


interrupts: List[BaseException] = []
"""`KeyboardInterrupt`s that arrived inside a callback of a call on the main thread; raised when that call returns."""


def is_interrupted() -> bool:
    """True when there is one to be raised on this thread."""
    return bool(interrupts) and threading.current_thread() is threading.main_thread()


landings: List[Landing] = []
"""Those not in use: as many as there were concurrent calls. `append` and `pop` of a list are atomic."""


def land(c: Functions, call_into: Any, target: Tuple[Any, ...], sent: bytes, options: Optional[CallOptions]) -> bytes:
    """Makes a blocking call with one of the `…_call_into` functions and returns the result."""
    try:
        landing = landings.pop()
    except IndexError:
        landing = Landing()
    try:
        return landing.result(c, call_into(*target, sent, len(sent), options, *landing.outputs))
    finally:
        landings.append(landing)


def land_in(
    c: Functions,
    call_into: Any,
    target: Tuple[Any, ...],
    sent: bytes,
    options: Optional[CallOptions],
    destination: Destination,
) -> int:
    """As `land`, with the result in the caller's memory; returns its length."""
    length, error = c_size_t(), c_void_p()
    memory = (destination.address, destination.size, addressof(length), None, addressof(error))
    status = call_into(*target, sent, len(sent), options, *memory)
    if is_interrupted():
        c.error_free(error)
        raise interrupts.pop()
    if status:
        failure = take_error(c, status, error)
        if status == Status.ARGUMENT_BUFFER_TOO_SMALL:
            failure.detail.setdefault("needed", length.value)
        raise failure
    return length.value
