"""Finds and loads the one library of the process, and turns its statuses into exceptions.

Search order:
1. the path given to `load_library`,
2. the environment variable ``GOATFLOW_PLUGIN_LIBRARY``,
3. ``libgoatflow_plugin.so.1`` inside this package (wheels bundle it there),
4. ``libgoatflow_plugin.so.1`` where the system's loader looks.
A path that was named (1, 2) is used or refused; the search never goes on behind the user's back.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from . import codes
from ._abi import ABI_VERSION, Buffer, Functions
from .errors import LibraryNotFound, PluginError

SONAME = "libgoatflow_plugin.so.1"
ENVIRONMENT_VARIABLE = "GOATFLOW_PLUGIN_LIBRARY"

StrPath = Union[str, "os.PathLike[str]"]


class Library:
    """The loaded library; there is one per process, because it can't be unloaded."""

    def __init__(self, path: str) -> None:
        self.path = path
        # CDLL, not PyDLL: every call releases the GIL, so callbacks on other threads never wait for a blocked call.
        self.functions = Functions(ctypes.CDLL(path))
        error = c_void_p()
        check(self.functions, self.functions.abi_check(ABI_VERSION, byref(error)), error)

    @property
    def abi_version(self) -> int:
        """ABI of the loaded library."""
        return int(self.functions.abi_version())

    @property
    def version(self) -> str:
        """Release of the loaded library."""
        return bytes(self.functions.version()).decode()


_lock = threading.Lock()
_library: Optional[Library] = None


def load_library(path: Optional[StrPath] = None) -> Library:
    """Loads the library, or returns the one that is loaded already.

    Needed only to name a `path`; everything else loads the library on first use. Naming another path than the loaded
    one is an error: two copies in one process would compete for its signal handlers.
    """
    global _library
    with _lock:
        if _library is None:
            _library = _open(path)
        elif path is not None and not _same_file(_library.path, os.fspath(path)):
            raise LibraryNotFound(f"{_library.path} is loaded already, so {os.fspath(path)} can't be")
        return _library


def functions() -> Functions:
    """The C functions of the process's library."""
    library = _library
    return (load_library() if library is None else library).functions


def _open(path: Optional[StrPath]) -> Library:
    tried: List[str] = []
    for origin, candidate in _candidates(path):
        tried.append(f"{origin}: {candidate}")
        try:
            return Library(candidate)
        except (OSError, AttributeError) as error:
            tried[-1] += f" ({error})"
    raise LibraryNotFound(
        f"{SONAME} can't be loaded; set {ENVIRONMENT_VARIABLE} to its path. Tried " + "; ".join(tried), tried
    )


def _candidates(path: Optional[StrPath]) -> List[Tuple[str, str]]:
    if path is not None:
        return [("given path", os.path.abspath(path))]
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    if from_environment:
        return [(ENVIRONMENT_VARIABLE, os.path.abspath(from_environment))]
    bundled = Path(__file__).resolve().with_name(SONAME)
    system = ("system", SONAME)
    return [("bundled", str(bundled)), system] if bundled.exists() else [system]


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return one == other


def check(c: Functions, status: int, error: c_void_p) -> None:
    """Raises what `status` and the error object say, and frees that; nothing when the status is OK."""
    if status:
        raise take_error(c, status, error)


def take_error(c: Functions, status: int, error: c_void_p) -> PluginError:
    """The exception for a failed call; frees the error object."""
    handle = error.value
    slug = _text(c.status_slug(status))
    if not handle:
        return new_error(status, slug, "")
    try:
        return new_error(
            status,
            _text(c.error_code(handle)) or slug,
            _text(c.error_message(handle)),
            plugin=_text(c.error_plugin(handle)),
            detail=json.loads(c.error_detail(handle) or b"{}"),
            retryable=bool(c.error_retryable(handle)),
        )
    finally:
        c.error_free(handle)
        error.value = None


def error_from_json(status: int, document: bytes) -> PluginError:
    """The exception for an error that the library handed over as a document."""
    value: Dict[str, Any] = json.loads(document)
    return new_error(
        value.get("status", status),
        value.get("code", "unknown"),
        value.get("message", ""),
        plugin=value.get("plugin") or "",
        detail=value.get("detail"),
        retryable=value.get("retryable"),
    )


def new_error(status: int, code: str, message: str, **facts: Any) -> PluginError:
    """An exception of the class for `status`; of its family, or the base, for codes newer than this package."""
    kind = codes.ERRORS.get(status) or codes.FAMILIES.get(status // 100, PluginError)
    return kind(message, status=status, code=code, **facts)


def take_buffer(c: Functions, buffer: Buffer) -> bytes:
    """The bytes of a result; frees the library's buffer."""
    if not buffer.data:
        return b""
    try:
        return ctypes.string_at(buffer.data, buffer.len)
    finally:
        c.buffer_free(byref(buffer))


def fetch(c: Functions, function: Any, *arguments: Any) -> bytes:
    """Calls a function whose last two parameters are a buffer and an error, and returns the buffer's bytes."""
    buffer, error = Buffer(), c_void_p()
    check(c, function(*arguments, byref(buffer), byref(error)), error)
    return take_buffer(c, buffer)


def fetch_json(c: Functions, function: Any, *arguments: Any) -> Any:
    """As `fetch`, for a JSON document."""
    return json.loads(fetch(c, function, *arguments))


def perform(c: Functions, function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter is an error."""
    error = c_void_p()
    check(c, function(*arguments, byref(error)), error)


def create(c: Functions, function: Any, *arguments: Any) -> int:
    """Calls a function whose last two parameters are a new handle and an error, and returns the handle."""
    handle, error = c_void_p(), c_void_p()
    check(c, function(*arguments, byref(handle), byref(error)), error)
    return handle.value or 0


def _text(value: Optional[bytes]) -> str:
    return (value or b"").decode("utf-8", "replace")
