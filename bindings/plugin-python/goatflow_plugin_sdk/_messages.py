"""What plugin and host say to each other: `proto/goatflow/plugin/v1`, and the services of go-plugin and gRPC's health."""

from __future__ import annotations

from ._wire import Message


class Empty(Message):
    """Nothing to say."""


class RegisterResponse(Message):
    FIELDS = {1: ("registration", "bytes")}


class InitRequest(Message):
    FIELDS = {1: ("config", "map"), 2: ("host_service_id", "number")}


class Failure(Message):
    FIELDS = {1: ("code", "text"), 2: ("message", "text"), 3: ("retryable", "bool"), 4: ("detail", "bytes")}


class CallRequest(Message):
    FIELDS = {
        1: ("function", "text"),
        2: ("arguments", "bytes"),
        3: ("call_token", "text"),
        4: ("timeout_ms", "number"),
        5: ("traceparent", "text"),
        6: ("tracestate", "text"),
        7: ("request_id", "text"),
        8: ("language", "text"),
        9: ("callers", "texts"),
    }


class CallResponse(Message):
    FIELDS = {1: ("result", "bytes"), 2: ("failure", Failure)}


class HealthResponse(Message):
    FIELDS = {1: ("healthy", "bool"), 2: ("reason", "text")}


class HostCallRequest(Message):
    FIELDS = {1: ("function", "text"), 2: ("arguments", "bytes"), 3: ("call_token", "text")}


class HostCallResponse(Message):
    FIELDS = {1: ("result", "bytes"), 2: ("failure", Failure)}


class ConnInfo(Message):
    """go-plugin's broker: where a service is served."""

    FIELDS = {1: ("service_id", "number"), 2: ("network", "text"), 3: ("address", "text")}


class StdioData(Message):
    """go-plugin's standard output: a channel (1) and bytes."""

    FIELDS = {1: ("channel", "number"), 2: ("data", "bytes")}


class ServiceHealthRequest(Message):
    FIELDS = {1: ("service", "text")}


class ServiceHealthResponse(Message):
    FIELDS = {1: ("status", "number")}
