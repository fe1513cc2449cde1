"""What a caller hands in, as the C ABI wants it."""

from __future__ import annotations

import json
import math
import os
from ctypes import addressof, c_char, sizeof
from itertools import count
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Union

from ._abi import UINT64_MAX, CallOptions

if TYPE_CHECKING:
    from ._operation import Cancellation

BytesLike = Union[bytes, bytearray, memoryview]
Arguments = Any
"""Bytes go to the plugin as they are; `None` is "no arguments"; anything else is sent as JSON."""
Document = Union[Mapping[str, Any], str, bytes, None]
"""A JSON document: a mapping, its text, or `None` for an empty one."""

Trace = Union[str, Tuple[str, str]]
"""W3C trace context: `traceparent`, or (`traceparent`, `tracestate`)."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def payload(value: Arguments) -> bytes:
    """The bytes of `Arguments`."""
    if type(value) is bytes:
        return value
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return to_json(value)


def to_json(value: Any) -> bytes:
    """Compact JSON; NaN and infinity are refused, because they are not JSON."""
    return _encode(value).encode()


def document(value: Document) -> Tuple[Optional[bytes], int]:
    """Pointer and length of a JSON document; the library parses texts, so that its errors tell what is wrong."""
    if value is None:
        return None, 0
    if isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        value = to_json(dict(value))
    return value, len(value)


def text(value: str) -> Tuple[bytes, int]:
    """Pointer and length of a name."""
    if not isinstance(value, str):
        raise TypeError(f"expected str, not {type(value).__name__}")
    encoded = value.encode()
    return encoded, len(encoded)


def path(value: Union[str, "os.PathLike[str]"]) -> Tuple[bytes, int]:
    """Pointer and length of a path."""
    encoded = os.fsencode(value)
    return encoded, len(encoded)


def milliseconds(seconds: Optional[float]) -> int:
    """Time to wait, rounded up; `None` is for ever."""
    if seconds is None:
        return UINT64_MAX
    if not seconds >= 0:
        raise ValueError(f"a time to wait is not {seconds!r}")
    return UINT64_MAX if math.isinf(seconds) else min(math.ceil(seconds * 1000), UINT64_MAX)


class Contexts:
    """Host contexts of the calls in flight: C carries a number, Python looks the object up."""

    def __init__(self) -> None:
        self._objects: Dict[int, Any] = {}
        self._numbers = count(1)

    def add(self, value: Any) -> Optional[int]:
        if value is None:
            return None
        number = next(self._numbers)
        self._objects[number] = value
        return number

    def get(self, number: Optional[int]) -> Any:
        return None if number is None else self._objects.get(number)

    def remove(self, number: Optional[int]) -> None:
        if number is not None:
            self._objects.pop(number, None)


contexts = Contexts()


def call_options(
    timeout: Optional[float],
    cancellation: Optional["Cancellation"],
    context: Optional[int],
    request_id: Optional[str],
    language: Optional[str],
    trace: Optional[Trace] = None,
) -> Optional[CallOptions]:
    """Options of one call; `None` when every one has its default. Keeps the texts it points to alive."""
    texts = request_id is None and language is None and trace is None
    if texts and timeout is None and cancellation is None and context is None:
        return None
    options = CallOptions()
    options.struct_size = sizeof(CallOptions)
    if timeout is not None:
        options.timeout_ms = milliseconds(timeout)
        if options.timeout_ms == 0:
            raise ValueError("a timeout is more than 0; leave it out to use the policy's")
    if cancellation is not None:
        options.cancellation = cancellation.handle
    options.host_context = context
    if request_id is not None:
        options.request_id, options.request_id_len = text(request_id)
    if language is not None:
        options.language, options.language_len = text(language)
    if trace is not None:
        parent, state = (trace, "") if isinstance(trace, str) else trace
        options.traceparent, options.traceparent_len = text(parent)
        options.tracestate, options.tracestate_len = text(state)
    return options


class Destination:
    """A writable, contiguous buffer of the caller, pinned as long as this object lives."""

    def __init__(self, buffer: Any) -> None:
        self.size = memoryview(buffer).nbytes
        self._pin = (c_char * self.size).from_buffer(buffer)
        self.address = addressof(self._pin)
