"""The manager: what a host embeds."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import time
import warnings
import weakref
from ctypes import byref, c_uint64, c_void_p
from types import TracebackType
from typing import Any, Dict, List, Optional, Set, Type, Union

from ._abi import UINT64_MAX
from ._arguments import (
    Arguments,
    Destination,
    Document,
    Trace,
    call_options,
    contexts,
    document,
    milliseconds,
    path,
    payload,
    text,
    to_json,
)
from ._asyncio import close_dead_queues, queue_of
from ._callbacks import (
    NO_COMPLETION_FN,
    NO_FINALIZER_FN,
    NO_HOST_FN,
    CompletionFunction,
    EventFunction,
    HostFunction,
    Registration,
    completion_trampoline,
    event_trampoline,
    finalizer_trampoline,
    host_trampoline,
    in_callback,
    wait_all_finalized,
)
from ._landing import land, land_in
from ._library import check, create, fetch, fetch_json, functions, perform
from ._operation import Cancellation, CompletionQueue, Operation, Owned
from ._lifecycle import Lifecycle
from ._packages import Packages
from .codes import EnvironmentForked, LifecycleShutDown
from .errors import PluginError

log = logging.getLogger("goatflow_plugin")

DRAIN_SECONDS = 5.0
"""How long `close`, `unload` and `disable` wait for running calls, unless told otherwise."""


class Subscription(Owned):
    """Events on their way to a function; they stop when it is closed."""

    def __init__(self, handle: int, registration: Registration, owner: Set["Subscription"]) -> None:
        self._own(handle, functions().subscription_free)
        self._registration = registration
        self._owner = owner
        owner.add(self)

    def close(self) -> None:
        """Stops the events; one that is being handled is not waited for."""
        super().close()
        self._owner.discard(self)

    def wait_closed(self, timeout: Optional[float] = None) -> bool:
        """After `close`: waits until the last event was handled; False when that took longer than `timeout`."""
        return self._registration.wait_finalized(timeout)


class Function(Owned):
    """A function of a plugin, looked up once; it survives reloads of the plugin. Usable from any thread."""

    def __init__(self, handle: int) -> None:
        self._c = functions()
        self._own(handle, self._c.function_free)

    def call(
        self,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> bytes:
        """As `Manager.call`."""
        c = self._c
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            return land(c, c.function_call_into, (self.handle,), payload(arguments), options)
        finally:
            contexts.remove(number)

    __call__ = call

    def call_json(self, arguments: Arguments = None, **options: Any) -> Any:
        """As `call`, with the result parsed; `None` when the plugin answered nothing."""
        return _parsed(self.call(arguments, **options))

    def call_into(
        self,
        destination: Any,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> int:
        """As `Manager.call_into`."""
        c = self._c
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            target = (self.handle,)
            return land_in(c, c.function_call_into, target, payload(arguments), options, Destination(destination))
        finally:
            contexts.remove(number)


class Manager(Owned, Packages, Lifecycle):
    """Loads plugins and calls them. Usable from any thread; close it, or use it in a `with` block.

    After `close` every method raises `ArgumentHandle`. After `os.fork` every method raises `EnvironmentForked` in the
    child.
    """

    def __init__(self, config: Document = None) -> None:
        self._c = c = functions()
        self._pid = os.getpid()
        self._registrations: Set[Registration] = set()
        self._subscriptions: Set[Subscription] = set()
        self._functions: "weakref.WeakSet[Function]" = weakref.WeakSet()
        self._own(create(c, c.manager_new, *document(config)), c.manager_free)
        _open_managers.add(self)

    # --- life -------------------------------------------------------------------------------------------------------

    def shutdown(self, timeout: Optional[float] = DRAIN_SECONDS) -> Dict[str, Any]:
        """Refuses new calls, waits for running ones, unloads the plugins; returns a report of what did not end."""
        report: Dict[str, Any] = fetch_json(
            self._c, self._c.manager_shutdown, self.handle, milliseconds(timeout)
        )
        return report

    def close(self, timeout: Optional[float] = DRAIN_SECONDS) -> None:
        """Shuts down, frees the manager, waits until the library let go of the host's functions; again is harmless.

        From inside a host function it waits for nothing: that would be for itself.
        """
        if not self._finalizer.alive:
            return
        if in_callback():
            timeout = 0.0
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self.shutdown(timeout)
        except (LifecycleShutDown, EnvironmentForked):
            pass
        finally:
            self._release(deadline)

    def _release(self, deadline: Optional[float]) -> None:
        for subscription in list(self._subscriptions):
            subscription.close()
        while self._functions:
            try:
                self._functions.pop().close()
            except KeyError:  # collected, or closed by another thread, just now
                break
        super().close()
        _open_managers.discard(self)
        close_dead_queues()
        if os.getpid() != self._pid:
            return  # inherited by a forked child: nothing of the library runs here
        for registration in list(self._registrations):
            registration.wait_finalized(None if deadline is None else max(0.0, deadline - time.monotonic()))

    async def aclose(self, timeout: Optional[float] = DRAIN_SECONDS) -> None:
        """`close` on another thread, so that host functions on this event loop can finish."""
        await asyncio.get_running_loop().run_in_executor(None, self.close, timeout)

    async def __aenter__(self) -> "Manager":
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.aclose()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        finalizer = getattr(self, "_finalizer", None)
        if finalizer is not None and finalizer.alive:
            _warn(f"unclosed {self!r}", ResourceWarning, source=self)

    # --- plugins ----------------------------------------------------------------------------------------------------

    def load(self, plugin: Union[str, "os.PathLike[str]"], options: Document = None) -> str:
        """Loads a `.wasm` file or a plugin directory; returns the name of the plugin."""
        name = fetch(self._c, self._c.manager_load, self.handle, *path(plugin), *document(options))
        return name.decode()

    def unload(self, plugin: str, timeout: Optional[float] = DRAIN_SECONDS) -> None:
        """Lets running calls finish, then removes the plugin."""
        perform(self._c, self._c.manager_unload, self.handle, *text(plugin), milliseconds(timeout))

    def list(self) -> List[Dict[str, Any]]:
        """The loaded plugins."""
        plugins: List[Dict[str, Any]] = fetch_json(self._c, self._c.manager_list, self.handle)
        return plugins

    def registration(self, plugin: str) -> Dict[str, Any]:
        """What the plugin registered: routes, widgets, jobs, …"""
        registration: Dict[str, Any] = json.loads(self.registration_text(plugin))
        return registration

    def registration_text(self, plugin: str) -> str:
        """The registration exactly as the library returns it."""
        return fetch(self._c, self._c.manager_registration, self.handle, *text(plugin)).decode()

    def enable(self, plugin: str) -> None:
        """Lets a disabled plugin be called again."""
        perform(self._c, self._c.manager_enable, self.handle, *text(plugin))

    def disable(self, plugin: str, timeout: Optional[float] = DRAIN_SECONDS) -> None:
        """Refuses new calls and waits for the running ones."""
        perform(self._c, self._c.manager_disable, self.handle, *text(plugin), milliseconds(timeout))

    def stats(self, plugin: Optional[str] = None) -> Any:
        """Counters of one plugin, or of all."""
        name = (None, 0) if plugin is None else text(plugin)
        return fetch_json(self._c, self._c.manager_stats, self.handle, *name)

    def logs(
        self, plugin: Optional[str] = None, level: Optional[str] = None, limit: Optional[int] = None
    ) -> List[Dict[str, Any]]:
        """What plugins logged, newest first."""
        filters = _given(plugin=plugin, level=level, limit=limit)
        entries: List[Dict[str, Any]] = fetch_json(self._c, self._c.manager_logs, self.handle, *document(filters))
        return entries

    def clear_logs(self) -> None:
        """Forgets the kept log entries."""
        perform(self._c, self._c.manager_clear_logs, self.handle)

    # --- calls ------------------------------------------------------------------------------------------------------

    def call(
        self,
        plugin: str,
        function: str,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> bytes:
        """Calls a function of a plugin and returns its answer; empty when it answered nothing.

        `arguments`: bytes go to the plugin as they are, `None` is "no arguments", anything else is sent as JSON.
        `timeout`: seconds, never longer than the policy's. `context`: any object, handed to host functions of this call
        and of the calls nested in it. `language`: for translations. `trace`: W3C trace context, which native plugins are
        handed; a text that is none is `ArgumentInvalid`. The GIL is released while the plugin runs, but the
        thread does not see Ctrl-C before the call ends.
        """
        c = self._c
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            target = (self.handle, *text(plugin), *text(function))
            return land(c, c.manager_call_into, target, payload(arguments), options)
        finally:
            contexts.remove(number)

    def call_json(self, plugin: str, function: str, arguments: Arguments = None, **options: Any) -> Any:
        """As `call`, with the result parsed; `None` when the plugin answered nothing."""
        return _parsed(self.call(plugin, function, arguments, **options))

    def call_into(
        self,
        plugin: str,
        function: str,
        destination: Any,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> int:
        """As `call`, with the answer written to `destination` (a writable buffer); returns its length.

        Raises `ArgumentBufferTooSmall` when it is longer; `detail["needed"]` tells how long it is.
        """
        c = self._c
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            target = (self.handle, *text(plugin), *text(function))
            return land_in(c, c.manager_call_into, target, payload(arguments), options, Destination(destination))
        finally:
            contexts.remove(number)

    def function(self, plugin: str, function: str) -> Function:
        """A handle for many calls of one function; closed with the manager."""
        c = self._c
        handle = Function(create(c, c.function_resolve, self.handle, *text(plugin), *text(function)))
        self._functions.add(handle)
        return handle

    async def call_async(
        self,
        plugin: str,
        function: str,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> bytes:
        """As `call`, without blocking the running event loop. Cancelling the task cancels the call.

        A cancelled call may run on for a moment, without its `context`. When it was given a `cancellation`, that is
        switched, and stops the other calls it was given to.
        """
        loop = asyncio.get_running_loop()

        def enqueue(queue: CompletionQueue, tag: int) -> Operation:
            return self.enqueue(
                queue,
                tag,
                plugin,
                function,
                arguments,
                timeout=timeout,
                cancellation=cancellation,
                context=context,
                request_id=request_id,
                language=language,
                trace=trace,
            )

        return await queue_of(loop).call(loop, enqueue)

    async def call_json_async(self, plugin: str, function: str, arguments: Arguments = None, **options: Any) -> Any:
        """As `call_async`, with the result parsed; `None` when the plugin answered nothing."""
        return _parsed(await self.call_async(plugin, function, arguments, **options))

    def enqueue(
        self,
        queue: CompletionQueue,
        tag: int,
        plugin: str,
        function: str,
        arguments: Arguments = None,
        *,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> Operation:
        """Starts a call whose completion arrives in `queue` with `tag`.

        The operation can be closed at once, unless the call has a `context`: that goes with it.
        """
        c = self._c
        sent = payload(arguments)
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            target = (self.handle, *text(plugin), *text(function), sent, len(sent), options)
            return Operation(create(c, c.manager_call_enqueue, *target, queue.handle, tag), number)
        except BaseException:
            contexts.remove(number)
            raise

    def start(
        self,
        plugin: str,
        function: str,
        arguments: Arguments = None,
        *,
        completion: Optional[CompletionFunction] = None,
        timeout: Optional[float] = None,
        cancellation: Optional[Cancellation] = None,
        context: Any = None,
        request_id: Optional[str] = None,
        language: Optional[str] = None,
        trace: Optional[Trace] = None,
    ) -> Operation:
        """Starts a call on a thread of the library.

        Without `completion` the result is fetched with `Operation.wait`. With it, ``completion(result, error)`` is
        called once, on a thread of the library; one of the two is `None`.
        """
        c = self._c
        sent = payload(arguments)
        number = contexts.add(context)
        try:
            options = call_options(timeout, cancellation, number, request_id, language, trace)
            target = (self.handle, *text(plugin), *text(function), sent, len(sent), options)
            if completion is None:
                operation = create(c, c.manager_call_async, *target, NO_COMPLETION_FN, None, NO_FINALIZER_FN)
                return Operation(operation, number)
            registration = Registration(completion, self._registrations, context=number)
        except BaseException:
            contexts.remove(number)
            raise
        hooks = (completion_trampoline, registration.number, finalizer_trampoline)
        return Operation(create(c, c.manager_call_async, *target, *hooks))

    # --- policy -----------------------------------------------------------------------------------------------------

    def policy(self, plugin: str) -> Dict[str, Any]:
        """Revision, source, stored document and effective policy of a plugin."""
        policy: Dict[str, Any] = fetch_json(self._c, self._c.policy_get, self.handle, *text(plugin))
        return policy

    def set_policy(self, plugin: str, policy: Document, expected_revision: Optional[int] = None) -> int:
        """Stores a policy document, in force from the next host call on; `None` removes the stored one.

        Returns the new revision. With `expected_revision` a change that somebody else made in the meantime raises
        `PolicyRevisionConflict`.
        """
        if expected_revision is not None and not 0 <= expected_revision < UINT64_MAX:
            raise ValueError(f"a revision is not {expected_revision!r}")
        revision, error = c_uint64(), c_void_p()
        expected = UINT64_MAX if expected_revision is None else expected_revision
        target = (self.handle, *text(plugin), *document(policy))
        check(self._c, self._c.policy_set(*target, expected, byref(revision), byref(error)), error)
        return revision.value

    def suggest_policy(self, plugin: str, *, sensitive: bool = False, declared: bool = False) -> Dict[str, Any]:
        """The smallest policy that lets a plugin work, with the evidence for each line; changes nothing.

        `sensitive`: also entries that are sensitive. `declared`: also what the plugin declares and did not need so far.
        """
        options = document({"sensitive": sensitive, "declared": declared})
        suggestion: Dict[str, Any] = fetch_json(
            self._c, self._c.policy_suggest, self.handle, *text(plugin), *options
        )
        return suggestion

    def apply_policy(self, plugin: str, suggestion: Document) -> int:
        """Accepts what `suggest_policy` answered; `PolicyRevisionConflict` if the policy was changed since."""
        revision, error = c_uint64(), c_void_p()
        target = (self.handle, *text(plugin), *document(suggestion))
        check(self._c, self._c.policy_apply(*target, byref(revision), byref(error)), error)
        return revision.value

    def observe_policy(self, plugin: str, seconds: int) -> int:
        """For so many seconds, lets calls pass that only lack a permission or scope, and records them; 0 ends it."""
        if not 0 <= seconds <= UINT64_MAX:
            raise ValueError(f"a number of seconds is not {seconds!r}")
        revision, error = c_uint64(), c_void_p()
        check(self._c, self._c.policy_observe(self.handle, *text(plugin), seconds, byref(revision), byref(error)), error)
        return revision.value

    def check_policy(self, plugin: str, function: str, arguments: Any = None) -> Dict[str, Any]:
        """Would the policy in force of a plugin allow this host call? `{"allow", "code", "reason", …}`."""
        request = document({"function": function, "arguments": {} if arguments is None else arguments})
        verdict: Dict[str, Any] = fetch_json(self._c, self._c.policy_check, self.handle, *text(plugin), *request)
        return verdict

    def policy_history(self, plugin: str = "", limit: int = 100) -> List[Dict[str, Any]]:
        """Changes of policies and enablement, newest first; of all plugins if `plugin` is empty."""
        if limit < 0:
            raise ValueError(f"a limit is not {limit!r}")
        rows: List[Dict[str, Any]] = fetch_json(self._c, self._c.policy_history, self.handle, *text(plugin), limit)
        return rows

    # --- the host's functions ---------------------------------------------------------------------------------------

    def provide(
        self, service: str, function: Optional[HostFunction], *, loop: Optional[asyncio.AbstractEventLoop] = None
    ) -> None:
        """Answers the calls of a service ("db", "cache", "http", …) with `function`; `None` = the built-in provider.

        `function` runs on the thread of the call, or on one of the library for calls that don't block. It may call the
        library. What it may return and raise: see `HostCall`. A coroutine runs on `loop`, by default the one that runs
        now.
        """
        target = (self.handle, *text(service))
        if function is None:
            perform(self._c, self._c.manager_provide, *target, NO_HOST_FN, None, NO_FINALIZER_FN)
        else:
            self._register(self._c.manager_provide, target, Registration(function, self._registrations, loop))

    def declare(
        self,
        name: str,
        function: HostFunction,
        *,
        permission: str,
        access: str,
        target: Optional[str] = None,
        loop: Optional[asyncio.AbstractEventLoop] = None,
    ) -> None:
        """Adds a host function of the host's own, guarded by a permission type.

        `target` is a JSON pointer into the arguments: what the scope of a permission is matched against; `None` = no
        scope.
        """
        declaration = to_json({"name": name, "permission": permission, "access": access, "target": target})
        target_of = (self.handle, declaration, len(declaration))
        self._register(self._c.manager_declare, target_of, Registration(function, self._registrations, loop))

    def _register(self, function: Any, target: Any, registration: Registration) -> None:
        perform(self._c, function, *target, host_trampoline, registration.number, finalizer_trampoline)

    def subscribe(
        self, function: EventFunction, *, kinds: Optional[List[str]] = None, plugin: Optional[str] = None
    ) -> Subscription:
        """Calls `function` with every event (of these `kinds`, about this `plugin`), one after the other, in order.

        The subscription lasts until it is closed, or the manager is, also when nobody keeps it.
        """
        c = self._c
        filters = document(_given(kinds=kinds, plugin=plugin) or None)
        registration = Registration(function, self._registrations)
        hooks = (event_trampoline, registration.number, finalizer_trampoline)
        handle = create(c, c.subscription_new, self.handle, *filters, *hooks)
        return Subscription(handle, registration, self._subscriptions)


def _given(**values: Any) -> Dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _parsed(result: bytes) -> Any:
    return json.loads(result) if result else None


_open_managers: "weakref.WeakSet[Manager]" = weakref.WeakSet()


def _close_open_managers() -> None:
    """Before the interpreter goes: afterwards threads of the library can't enter Python any more."""
    for manager in list(_open_managers):
        try:
            if manager._pid == os.getpid():  # not inherited by a forked child
                manager.close()
        except PluginError as error:
            log.error("a manager could not be closed at exit", exc_info=error)
    wait_all_finalized(DRAIN_SECONDS)  # also those of managers that were closed from inside a callback


atexit.register(_close_open_managers)
