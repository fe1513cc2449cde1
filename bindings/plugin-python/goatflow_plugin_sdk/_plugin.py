"""A plugin as its author sees it."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Sequence, TypeVar, Union, overload

from ._services import Ask, HostError, Services, encode_json

Handler = Callable[["Call"], Any]
F = TypeVar("F", bound=Callable[..., Any])


class Failure(Exception):
    """What a function raises to answer with an error; the caller reads {"error": text, "code": code}."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Call(Services):
    """One call of a plugin function, with the services of the host for it."""

    def __init__(
        self,
        ask: Ask,
        function: str,
        body: bytes = b"",
        *,
        callers: Sequence[str] = (),
        request_id: str = "",
        language: str = "",
        traceparent: str = "",
        tracestate: str = "",
        remaining: Callable[[], Optional[float]] = lambda: None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(ask)
        self.function = function
        """The name that the plugin was called by."""
        self.body = body
        """The arguments as they came: JSON, empty when there are none."""
        self.callers: List[str] = list(callers)
        """Plugins in the middle of a call, outermost first; the last one made this call. Empty when the host did.
        It is the host's word, whatever the arguments say."""
        self.request_id = request_id
        """The host's name for the request, empty when it has none."""
        self.language = language
        """Language of the user, for example "de"; empty when unknown."""
        self.traceparent = traceparent
        """W3C trace context, with `tracestate`; empty when there is none."""
        self.tracestate = tracestate
        self._remaining = remaining
        self._is_wanted = is_wanted

    @property
    def arguments(self) -> Any:
        """The arguments, None when there are none."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            raise Failure(f"arguments of {self.function}: {error}") from None

    @property
    def remaining(self) -> Optional[float]:
        """Seconds until nobody waits for the call any more; None without a limit."""
        return self._remaining()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for the answer. Long work asks now and then, and gives up."""
        return self._is_wanted()


class Plugin:
    """A plugin: what it says about itself, and its functions.

    Many calls run at the same time, each on a thread of its own: what they share has to be locked.
    """

    def __init__(self, name: str, version: str, **registration: Any) -> None:
        """`registration` is everything else that the plugin registers, by the names of its JSON form: description, author,
        routes, menu_items, widgets, jobs, i18n, error_codes and so on."""
        self.registration: Mapping[str, Any] = {"name": name, "version": version, **registration}
        self.host = Services(_no_host)
        """The host outside of calls, for threads and hooks. The host takes what it is asked for here as part of the call
        that is nested deepest among those that the plugin serves; the services of a `Call` say whose they are."""
        self._handlers: Dict[str, Handler] = {}
        self._init: Callable[[Dict[str, str]], None] = lambda config: None
        self._health: Callable[[], None] = lambda: None
        self._shutdown: Callable[[], None] = lambda: None

    @overload
    def function(self, name: Handler) -> Handler: ...
    @overload
    def function(self, name: str) -> Callable[[Handler], Handler]: ...
    def function(self, name: Union[str, Handler]) -> Any:
        """Makes a Python function one of the plugin, under its own name or the one that is given.

        It gets the `Call`; what it returns is the answer, as JSON: bytes are JSON already, None is an empty answer. A
        `Failure` or `HostError` becomes the answer {"error": …}; so does any other exception, which is also logged.
        """
        if callable(name):
            return self.function(name.__name__)(name)

        def add(handler: Handler) -> Handler:
            if name in self._handlers:
                raise ValueError(f"the plugin has a function {name} already")
            self._handlers[name] = handler
            return handler

        return add

    def on_init(self, run: F) -> F:
        """Runs once before the first call, with what the host's configuration says: `run(config)`. The host can be called.
        An exception refuses to start."""
        self._init = run
        return run

    def on_health(self, probe: F) -> F:
        """Answers the host's question whether calls can be served; an exception says why not."""
        self._health = probe
        return probe

    def on_shutdown(self, run: F) -> F:
        """Runs once after the last call, shortly before the process is ended."""
        self._shutdown = run
        return run

    def serve(self, threads: int = 32) -> NoReturn:
        """Answers the host's calls, as many at the same time as there are threads, until the host ends the program.

        Started by hand, the program says what it is and ends.
        """
        from ._serve import serve  # needs grpcio, which tests of handlers do without

        sys.exit(serve(self, threads))

    def invoke(self, call: Call) -> bytes:
        """Calls a function as a host would, and answers its result: for tests."""
        handler = self._handlers.get(call.function)
        if handler is None:
            return _error(f"unknown function: {call.function}")
        try:
            answer = handler(call)
            return b"" if answer is None else encode_json(answer)
        except Failure as failure:
            return _error(str(failure), failure.code)
        except HostError as refusal:
            return _error(str(refusal), refusal.code)
        except BaseException as error:  # SystemExit, too: it would end the thread only, and the call would wait
            call.log.error(f"{call.function}: {traceback.format_exc()}")
            return _error(f"{type(error).__name__}: {error}")


def _error(text: str, code: str = "") -> bytes:
    return encode_json({"error": text, "code": code} if code else {"error": text})


def _no_host(function: str, arguments: bytes) -> bytes:
    raise HostError(function, "lifecycle.not_ready", "the host can be called once the plugin is initialised")
