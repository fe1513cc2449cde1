"""Functions of the host that the library calls.

C gets one trampoline per callback type, made once and never freed, and as `user_data` the number of a registration. The
registration keeps the host's function alive until the library's finalizer for that number ran: that may be long after
the function was replaced or the manager was closed, because calls in flight may still use it.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import json
import logging
import os
import threading
import time
from ctypes import string_at
from itertools import count
from typing import Any, Callable, Dict, List, Optional, Set, Union

from ._abi import COMPLETION_FN, EVENT_FN, FINALIZER_FN, HOST_FN, REPLY_PENDING
from ._arguments import contexts, payload
from ._landing import interrupts
from ._library import error_from_json, functions, new_error, perform
from .codes import Status
from .errors import PluginError

log = logging.getLogger("goatflow_plugin")


class PendingReply:
    """The answer to a host call that is given later, once, from any thread or coroutine."""

    __slots__ = ("_handle",)

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def complete(self, value: Any = None) -> None:
        """Answers with bytes (a JSON text, as they are) or a value to be sent as JSON."""
        c = functions()
        answer = b"null" if value is None else payload(value)
        perform(c, c.reply_set_result, self._handle, answer, len(answer))

    def fail(self, error: Union[str, BaseException]) -> None:
        """Answers with a failure: the plugin sees `host.failed` and the text.

        (A function that raises a `PolicyError` or `HostError` gives the plugin its code, too; a later answer can't.)

        Of exceptions only a `PluginError`'s message is shown to the plugin, of others the type: their texts were not
        written for code that isn't trusted.
        """
        c = functions()
        message = _failure_text(error).encode("utf-8", "replace")
        perform(c, c.reply_set_error, self._handle, message, len(message))


class HostCall:
    """One call a plugin makes of the host, after it passed the sandbox. Copied: it outlives the callback."""

    __slots__ = (
        "plugin",
        "service",
        "function",
        "arguments",
        "depth",
        "request_id",
        "language",
        "remaining",
        "context",
        "_chain",
        "_reply",
        "_deferred",
    )

    plugin: str
    """Who calls: stamped by the library, never read from what the plugin sent."""
    service: str
    function: str
    arguments: bytes
    """JSON object, exactly what the sandbox checked."""
    depth: int
    """0 = the plugin was called by the host, 1 = by a plugin that was called by the host, …"""
    request_id: str
    language: str
    remaining: float
    """Seconds until the deadline of the call."""
    context: Any
    """What the host gave as `context` to the call that led here."""

    def __init__(self, call: Any, reply: int) -> None:
        self.plugin = _text(call.plugin, call.plugin_len)
        self.service = _text(call.service, call.service_len)
        self.function = _text(call.function, call.function_len)
        self.arguments = _bytes(call.arguments, call.arguments_len)
        self.depth = call.depth
        self._chain = _bytes(call.chain, call.chain_len)
        self.request_id = _text(call.request_id, call.request_id_len)
        self.language = _text(call.language, call.language_len)
        self.remaining = call.remaining_ms / 1000
        self.context = contexts.get(call.host_context)
        self._reply = reply
        self._deferred = False

    @property
    def chain(self) -> List[str]:
        """Names of the plugins in this call, outermost first, `plugin` last."""
        names: List[str] = json.loads(self._chain or b"[]")
        return names

    def json(self) -> Any:
        """The arguments, parsed."""
        return json.loads(self.arguments or b"null")

    def defer(self) -> PendingReply:
        """Answer later: what the callback returns is ignored, the plugin waits for the reply until its deadline.

        To be called before the callback returns, and only there.
        """
        self._deferred = True
        return PendingReply(self._reply)

    def __repr__(self) -> str:
        return f"<HostCall {self.function} of {self.plugin!r}>"


HostFunction = Callable[[HostCall], Any]
"""Returns bytes (a JSON text), a value to be sent as JSON, or an awaitable of one of these; raises to fail."""
EventFunction = Callable[[Dict[str, Any]], None]
CompletionFunction = Callable[[Optional[bytes], Optional[PluginError]], None]


class Registration:
    """One function of the host in the hands of the library; in the set of its owner until the library let go."""

    __slots__ = ("number", "function", "owner", "loop", "context", "finalized")

    def __init__(
        self,
        function: Callable[..., Any],
        owner: Set["Registration"],
        loop: Optional[asyncio.AbstractEventLoop] = None,
        context: Optional[int] = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"{function!r} is not callable")
        self.function = function
        self.owner = owner
        self.loop = loop or _loop_of_this_thread()
        self.context = context
        self.finalized = threading.Event()
        self.number = next(_numbers)
        _registrations[self.number] = self
        owner.add(self)

    def wait_finalized(self, timeout: Optional[float]) -> bool:
        """Waits until the library let go of the function; not from inside a callback, which would wait for itself."""
        return self.finalized.is_set() or (not in_callback() and self.finalized.wait(timeout))


_numbers = count(1)
_registrations: Dict[int, Registration] = {}
os.register_at_fork(after_in_child=_registrations.clear)  # their finalizers run in the parent only
_thread = threading.local()


def in_callback() -> bool:
    """True on a thread that runs a function of the host for the library."""
    return getattr(_thread, "depth", 0) > 0


def live_registrations() -> int:
    """Functions whose finalizer has not run; for leak checks."""
    return len(_registrations)


def wait_all_finalized(timeout: float) -> None:
    """Waits until the library let go of all functions, or the time is up."""
    deadline = time.monotonic() + timeout
    for registration in list(_registrations.values()):
        registration.wait_finalized(max(0.0, deadline - time.monotonic()))


class _InCallback:
    def __enter__(self) -> None:
        _thread.depth = getattr(_thread, "depth", 0) + 1

    def __exit__(self, *_: Any) -> None:
        _thread.depth -= 1


_callback = _InCallback()


def _answer(number: int, call: Any, reply: int) -> int:
    registration = _registrations[number]
    host_call = HostCall(call.contents, reply)
    value = registration.function(host_call)
    if inspect.isawaitable(value):
        _answer_from_loop(registration, value, host_call.defer())
    if host_call._deferred:
        return REPLY_PENDING
    if value is not None:
        PendingReply(reply).complete(value)
    return int(Status.OK)


def _answer_from_loop(registration: Registration, value: Any, reply: PendingReply) -> None:
    loop = registration.loop
    if loop is None or not loop.is_running() or loop is _loop_of_this_thread():
        if inspect.iscoroutine(value):
            value.close()
        raise RuntimeError(
            "an async host function needs its event loop running and free: register it there, or pass `loop`, "
            "and use call_async on the loop's thread"
        )

    async def finish() -> None:
        try:
            reply.complete(await value)
        except BaseException as error:
            _fail(reply, error)
            if not isinstance(error, Exception):
                raise

    asyncio.run_coroutine_threadsafe(finish(), loop)


def _loop_of_this_thread() -> Optional[asyncio.AbstractEventLoop]:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _fail(reply: PendingReply, error: BaseException) -> None:
    if not isinstance(error, PluginError):
        log.error("a host function failed", exc_info=error)
    try:
        reply.fail(error)
    except PluginError as refusal:  # the call ended meanwhile, nobody waits for the answer
        log.debug("the failure of a host function came too late: %s", refusal)


def _on_host(number: int, call: Any, reply: int) -> int:
    with _callback:
        try:
            return _answer(number, call, reply)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                interrupts.append(error)
            _fail(PendingReply(reply), error)
            return error.status if isinstance(error, PluginError) else int(Status.OK)


def _on_event(number: int, event: int, length: int) -> None:
    with _callback:
        try:
            _registrations[number].function(json.loads(_bytes(event, length)))
        except BaseException as error:
            log.error("a subscriber failed", exc_info=error)


def _on_completion(number: int, status: int, result: int, length: int, error: int, error_length: int) -> None:
    with _callback:
        try:
            function = _registrations[number].function
            if status == Status.OK:
                function(_bytes(result, length), None)
            elif error:
                function(None, error_from_json(status, _bytes(error, error_length)))
            else:
                function(None, new_error(status, "unknown", ""))
        except BaseException as failure:
            log.error("a completion function failed", exc_info=failure)


def _on_finalizer(number: int) -> None:
    registration = _registrations.pop(number, None)
    if registration is not None:
        contexts.remove(registration.context)
        registration.owner.discard(registration)
        del registration.function
        registration.finalized.set()


host_trampoline = HOST_FN(_on_host)
event_trampoline = EVENT_FN(_on_event)
completion_trampoline = COMPLETION_FN(_on_completion)
finalizer_trampoline = FINALIZER_FN(_on_finalizer)

NO_HOST_FN = HOST_FN()
NO_COMPLETION_FN = COMPLETION_FN()
NO_FINALIZER_FN = FINALIZER_FN()

# The library may call these while the interpreter clears its modules: they are never freed.
for _trampoline in (host_trampoline, event_trampoline, completion_trampoline, finalizer_trampoline):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_trampoline))


def _failure_text(error: Union[str, BaseException]) -> str:
    if isinstance(error, PluginError):
        return error.message
    return error if isinstance(error, str) else f"the host's function failed ({type(error).__name__})"


def _bytes(address: Optional[int], length: int) -> bytes:
    return string_at(address, length) if address and length else b""


def _text(address: Optional[int], length: int) -> str:
    return _bytes(address, length).decode("utf-8", "replace")

