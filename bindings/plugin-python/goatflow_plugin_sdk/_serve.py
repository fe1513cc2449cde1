"""Serves a plugin over gRPC, the way that go-plugin's hosts expect.

The program introduces itself with one line on standard output and then serves, on a Unix socket in the directory that it
was given, the plugin itself and go-plugin's own services. The host's service is on a second socket, which the host
announces through go-plugin's broker.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple, Type

import grpc

from ._messages import (
    CallRequest,
    CallResponse,
    ConnInfo,
    Empty,
    HealthResponse,
    HostCallRequest,
    HostCallResponse,
    InitRequest,
    RegisterResponse,
    ServiceHealthRequest,
    ServiceHealthResponse,
    StdioData,
)
from ._plugin import Call, Plugin
from ._services import Ask, HostError, Services, encode_json
from ._wire import Message

COOKIE = ("GOATKIT_PLUGIN", "goatkit-v1")
SERVING, STDOUT = 1, 1

NO_LIMIT_SECONDS = 1e9
"""More is what grpcio says when there is no deadline."""

BROKER_SECONDS = 5.0
"""How long the host's announcement of its service is waited for; go-plugin waits as long."""

STREAM_THREADS = 4
"""Threads for what is always under way: broker, standard output, and a health probe beside them."""

# The host bounds what it sends; gRPC's own limit of 4 MiB would come before the policy's.
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]

# The codes that the host uses for the same.
TRANSPORT_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "plugin.deadline",
    grpc.StatusCode.CANCELLED: "plugin.cancelled",
}

Method = Callable[[Any, grpc.ServicerContext], Any]


def serve(plugin: Plugin, threads: int) -> int:
    """Serves until the host ends the program; answers the exit code."""
    refusal = unusable_environment(os.environ)
    if refusal:
        print(refusal, file=sys.stderr)
        return 1
    # An interrupt at a terminal is the host's business, as in go-plugin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    server = Server(plugin, StandardOutput())
    directory = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
    address = os.path.join(directory, f"plugin{os.getpid()}-{os.urandom(4).hex()}")
    pool = ThreadPoolExecutor(threads + STREAM_THREADS, thread_name_prefix="call")
    served = grpc.server(pool, options=OPTIONS)
    served.add_generic_rpc_handlers(server.handlers())
    served.add_insecure_port(f"unix:{address}")
    served.start()
    # The last two fields: no certificate, no multiplexing.
    line.write(f"1|1|unix|{address}|grpc||false\n")
    line.close()
    server.ended.wait()
    served.stop(grace=0.5).wait()
    sys.stderr.flush()
    # Not sys.exit, which would wait for functions that don't return.
    os._exit(0)


def unusable_environment(environment: Mapping[str, str]) -> str:
    """Why the program can't serve, empty if it can."""
    if environment.get(COOKIE[0]) != COOKIE[1]:
        return (
            "This program is a GoatFlow plugin. It is not meant to be started directly: the application that uses it starts\n"
            "it (goatflow-plugin run PACKAGE FUNCTION does so at a terminal)."
        )
    if environment.get("PLUGIN_CLIENT_CERT"):
        return "This plugin can't speak TLS: the host has to leave go-plugin's AutoMTLS off."
    return ""


class StandardOutput:
    """What the program prints, for the host to collect.

    After the first line, hosts don't read standard output itself: go-plugin asks for it over gRPC. Standard error stays
    what it is, because hosts read it until the very end.
    """

    def __init__(self) -> None:
        self._reader, writer = os.pipe()
        sys.stdout = os.fdopen(writer, "w", buffering=1, encoding="utf-8", errors="replace")

    def pieces(self) -> Iterator[StdioData]:
        """What is printed from now on, as it comes."""
        while True:
            yield StdioData(channel=STDOUT, data=os.read(self._reader, 64 * 1024))


class Server:
    """The services of a plugin."""

    def __init__(self, plugin: Plugin, output: Optional[StandardOutput]) -> None:
        self.plugin = plugin
        self.output = output
        self.ended = threading.Event()
        """The host asked the program to end."""
        self.broker = Broker()
        self._connection: Optional[Connection] = None
        self._initialised = threading.Lock()

    def handlers(self) -> Tuple[grpc.GenericRpcHandler, ...]:
        """Every service by its name."""
        services = {
            "goatflow.plugin.v1.Plugin": {
                "Register": unary(self.register, Empty),
                "Init": unary(self.init, InitRequest),
                "Call": unary(self.call, CallRequest),
                "Health": unary(self.health, Empty),
                "Shutdown": unary(self.shutdown, Empty),
            },
            "plugin.GRPCBroker": {
                "StartStream": grpc.stream_stream_rpc_method_handler(
                    self.broker.stream, ConnInfo.decode, Message.encode
                )
            },
            "plugin.GRPCController": {"Shutdown": unary(self.end, Empty)},
            "plugin.GRPCStdio": {
                "StreamStdio": grpc.unary_stream_rpc_method_handler(self.stdio, Empty.decode, Message.encode)
            },
            "grpc.health.v1.Health": {"Check": unary(self.check, ServiceHealthRequest)},
        }
        return tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())

    def register(self, request: Empty, context: grpc.ServicerContext) -> RegisterResponse:
        """Says who the plugin is."""
        return RegisterResponse(registration=encode_json(dict(self.plugin.registration)))

    def init(self, request: InitRequest, context: grpc.ServicerContext) -> Empty:
        """Connects to the host and makes the plugin ready."""
        if not self._initialised.acquire(blocking=False):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the plugin is initialised already")
        target = self.broker.address(request.host_service_id)
        if target is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the host did not announce its service")
        self._connection = Connection(target or "")
        self.plugin.host = Services(self._connection.asking("", lambda: None))
        try:
            self.plugin._init(dict(request.config))
        except Exception as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error) or type(error).__name__)
        return Empty()

    def call(self, request: CallRequest, context: grpc.ServicerContext) -> CallResponse:
        """Runs one function."""
        if self._connection is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the plugin is not initialised")
            raise AssertionError("abort raises")
        remaining = limited(context)
        call = Call(
            self._connection.asking(request.call_token, remaining),
            request.function,
            request.arguments,
            callers=request.callers,
            request_id=request.request_id,
            language=request.language,
            traceparent=request.traceparent,
            tracestate=request.tracestate,
            remaining=remaining,
            is_wanted=context.is_active,
        )
        return CallResponse(result=self.plugin.invoke(call))

    def health(self, request: Empty, context: grpc.ServicerContext) -> HealthResponse:
        """Answers whether calls can be served."""
        try:
            self.plugin._health()
        except Exception as error:
            return HealthResponse(reason=str(error) or type(error).__name__)
        return HealthResponse(healthy=True)

    def shutdown(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """Ends the plugin's work."""
        self.plugin._shutdown()
        return Empty()

    def end(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """Ends the program, once this is answered."""
        context.add_callback(self.ended.set)
        return Empty()

    def stdio(self, request: Empty, context: grpc.ServicerContext) -> Iterator[StdioData]:
        """Hands over what the program prints."""
        context.send_initial_metadata(())
        return self.output.pieces() if self.output else iter(())

    def check(self, request: ServiceHealthRequest, context: grpc.ServicerContext) -> ServiceHealthResponse:
        """gRPC's health service, which go-plugin asks about "plugin"."""
        if request.service not in ("", "plugin"):
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return ServiceHealthResponse(status=SERVING)


class Broker:
    """go-plugin's broker, as far as it announces the host's services."""

    def __init__(self) -> None:
        self._known: Dict[int, str] = {}
        self._changed = threading.Condition()

    def stream(self, announcements: Iterator[ConnInfo], context: grpc.ServicerContext) -> Iterator[ConnInfo]:
        """Takes announcements as long as the host is there, and makes none."""
        context.send_initial_metadata(())  # some hosts wait for it before they announce anything
        for announced in announcements:
            if announced.network == "unix":
                with self._changed:
                    self._known[announced.service_id] = f"unix:{announced.address}"
                    self._changed.notify_all()
        return iter(())

    def address(self, service: int) -> Optional[str]:
        """Where a service is, as soon as it is announced; None if it is not."""
        with self._changed:
            self._changed.wait_for(lambda: service in self._known, BROKER_SECONDS)
            return self._known.get(service)


class Connection:
    """The way to the host."""

    def __init__(self, target: str) -> None:
        # Nothing is gained by closing an idle Unix socket.
        channel = grpc.insecure_channel(target, options=[*OPTIONS, ("grpc.client_idle_timeout_ms", 2**31 - 1)])
        self._call = channel.unary_unary("/goatflow.plugin.v1.Host/Call", Message.encode, HostCallResponse.decode)

    def asking(self, token: str, remaining: Callable[[], Optional[float]]) -> Ask:
        """Makes host calls for the call with this token, within its time."""

        def ask(function: str, arguments: bytes) -> bytes:
            request = HostCallRequest(function=function, arguments=arguments, call_token=token)
            try:
                answer = self._call(request, timeout=remaining())
            except grpc.RpcError as error:
                raise HostError(function, TRANSPORT_CODES.get(error.code(), ""), error.details() or "") from None
            if answer.failure is not None:
                raise HostError(function, answer.failure.code, answer.failure.message)
            result: bytes = answer.result
            return result

        return ask


def limited(context: grpc.ServicerContext) -> Callable[[], Optional[float]]:
    """The time that a call has left, None without a deadline."""

    def remaining() -> Optional[float]:
        seconds = context.time_remaining()
        return None if seconds is None or seconds > NO_LIMIT_SECONDS else max(seconds, 0.0)

    return remaining


def unary(method: Method, request: Type[Message]) -> grpc.RpcMethodHandler:
    """A method that takes one message and answers one."""
    return grpc.unary_unary_rpc_method_handler(method, request.decode, Message.encode)
