"""The C ABI in ctypes: every struct, every callback type, every function. Mirrors `include/goatflow_plugin.h`.

Handles are `c_void_p`: values that the library looks up, never memory that Python could read. Results are written
through `POINTER(…)` parameters. Functions on the call path take plain addresses (`c_void_p`) for their outputs, because
converting `byref` objects costs more than a short call of a plugin.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, List, Tuple

ABI_VERSION = 1
"""The ABI this binding was written for (`GOATFLOW_PLUGIN_ABI_VERSION`)."""

REPLY_PENDING = 1
"""Returned by a host callback that keeps its reply (`GOATFLOW_PLUGIN_REPLY_PENDING`)."""

UINT64_MAX = 2**64 - 1

PREFIX = "goatflow_plugin_"


class Buffer(Structure):
    """`goatflow_plugin_buffer`: result bytes that the library owns."""

    _fields_ = [("data", c_void_p), ("len", c_size_t), ("capacity", c_size_t)]


class CallOptions(Structure):
    """`goatflow_plugin_call_options`; all zero means: as the policy of the plugin says."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("timeout_ms", c_uint64),
        ("cancellation", c_void_p),
        ("host_context", c_void_p),
        ("request_id", c_char_p),
        ("request_id_len", c_size_t),
        ("language", c_char_p),
        ("language_len", c_size_t),
        ("traceparent", c_char_p),
        ("traceparent_len", c_size_t),
        ("tracestate", c_char_p),
        ("tracestate_len", c_size_t),
    ]


class HostCall(Structure):
    """`goatflow_plugin_host_call`: valid during the callback only."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("depth", c_uint32),
        ("plugin", c_void_p),
        ("plugin_len", c_size_t),
        ("service", c_void_p),
        ("service_len", c_size_t),
        ("function", c_void_p),
        ("function_len", c_size_t),
        ("arguments", c_void_p),
        ("arguments_len", c_size_t),
        ("chain", c_void_p),
        ("chain_len", c_size_t),
        ("request_id", c_void_p),
        ("request_id_len", c_size_t),
        ("language", c_void_p),
        ("language_len", c_size_t),
        ("host_context", c_void_p),
        ("remaining_ms", c_int64),
    ]


class Completion(Structure):
    """`goatflow_plugin_completion`: one finished call, taken from a completion queue."""

    _fields_ = [
        ("tag", c_uint64),
        ("status", c_int32),
        ("reserved", c_uint32),
        ("result", Buffer),
        ("error", c_void_p),
    ]


# The first parameter is always `user_data`: the number of a registration, see `_callbacks`.
HOST_FN = CFUNCTYPE(c_int32, c_void_p, POINTER(HostCall), c_void_p)
FINALIZER_FN = CFUNCTYPE(None, c_void_p)
EVENT_FN = CFUNCTYPE(None, c_void_p, c_void_p, c_size_t)
COMPLETION_FN = CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_size_t, c_void_p, c_size_t)

_STATUS = c_int32
_HANDLE = c_void_p
_OUT_HANDLE = POINTER(c_void_p)
_OUT_ERROR = POINTER(c_void_p)
_OUT_BUFFER = POINTER(Buffer)
_OUT_SIZE = POINTER(c_size_t)
_OPTIONS = POINTER(CallOptions)
_BYTES = [c_char_p, c_size_t]
"""One (pointer, length) input; ctypes passes the address of a `bytes` object, zero bytes inside included."""

_CALL = [*_BYTES, *_BYTES, *_BYTES, _OPTIONS]
"""plugin, function, arguments, options."""

_INTO = [c_void_p, c_size_t, c_void_p, c_void_p, c_void_p]
"""destination, destination_len, out_len, out_overflow, out_error, all as addresses."""

_LISTENER = [COMPLETION_FN, c_void_p, FINALIZER_FN, _OUT_HANDLE, _OUT_ERROR]
"""completion, user_data, finalizer, out_operation, out_error."""

SIGNATURES: Dict[str, Tuple[Any, List[Any]]] = {
    # version
    "abi_version": (c_uint32, []),
    "version": (c_char_p, []),
    "abi_check": (_STATUS, [c_uint32, _OUT_ERROR]),
    "status_slug": (c_char_p, [c_int32]),
    "status_table": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    "doctor": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    "isolation_report": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    "config_schema": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    # buffer and error
    "buffer_free": (None, [_OUT_BUFFER]),
    "error_status": (_STATUS, [_HANDLE]),
    "error_code": (c_char_p, [_HANDLE]),
    "error_message": (c_char_p, [_HANDLE]),
    "error_plugin": (c_char_p, [_HANDLE]),
    "error_detail": (c_char_p, [_HANDLE]),
    "error_retryable": (c_int32, [_HANDLE]),
    "error_free": (None, [_HANDLE]),
    # manager
    "manager_new": (_STATUS, [*_BYTES, _OUT_HANDLE, _OUT_ERROR]),
    "manager_shutdown": (_STATUS, [_HANDLE, c_uint64, _OUT_BUFFER, _OUT_ERROR]),
    "manager_free": (None, [_HANDLE]),
    "manager_load": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_unload": (_STATUS, [_HANDLE, *_BYTES, c_uint64, _OUT_ERROR]),
    "manager_list": (_STATUS, [_HANDLE, _OUT_BUFFER, _OUT_ERROR]),
    "manager_registration": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_enable": (_STATUS, [_HANDLE, *_BYTES, _OUT_ERROR]),
    "manager_disable": (_STATUS, [_HANDLE, *_BYTES, c_uint64, _OUT_ERROR]),
    "manager_stats": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_logs": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_clear_logs": (_STATUS, [_HANDLE, _OUT_ERROR]),
    # versions in place of others
    "manager_replace": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_reload": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_rollback": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_replace_async": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, *_LISTENER]),
    "manager_reload_async": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, *_LISTENER]),
    "manager_rollback_async": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, *_LISTENER]),
    "manager_health": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_probe": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_reset_crash_loop": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_watch": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "manager_unwatch": (_STATUS, [_HANDLE, *_BYTES, _OUT_ERROR]),
    "manager_watches": (_STATUS, [_HANDLE, _OUT_BUFFER, _OUT_ERROR]),
    # calls
    "manager_call": (_STATUS, [_HANDLE, *_CALL, _OUT_BUFFER, _OUT_ERROR]),
    "manager_call_into": (_STATUS, [_HANDLE, *_CALL, *_INTO]),
    "manager_call_async": (
        _STATUS,
        [_HANDLE, *_CALL, COMPLETION_FN, c_void_p, FINALIZER_FN, _OUT_HANDLE, _OUT_ERROR],
    ),
    "manager_call_enqueue": (
        _STATUS,
        [_HANDLE, *_CALL, _HANDLE, c_uint64, _OUT_HANDLE, _OUT_ERROR],
    ),
    "operation_wait": (_STATUS, [_HANDLE, c_uint64, _OUT_BUFFER, _OUT_ERROR]),
    "operation_cancel": (_STATUS, [_HANDLE, _OUT_ERROR]),
    "operation_free": (None, [_HANDLE]),
    "queue_new": (_STATUS, [_OUT_HANDLE, _OUT_ERROR]),
    "queue_fd": (_STATUS, [_HANDLE, POINTER(c_int32), _OUT_ERROR]),
    "queue_next": (
        _STATUS,
        [_HANDLE, POINTER(Completion), c_size_t, c_uint64, _OUT_SIZE, _OUT_ERROR],
    ),
    "queue_free": (None, [_HANDLE]),
    "cancellation_new": (_STATUS, [_OUT_HANDLE, _OUT_ERROR]),
    "cancellation_cancel": (_STATUS, [_HANDLE, _OUT_ERROR]),
    "cancellation_free": (None, [_HANDLE]),
    "function_resolve": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_HANDLE, _OUT_ERROR]),
    "function_call": (_STATUS, [_HANDLE, *_BYTES, _OPTIONS, _OUT_BUFFER, _OUT_ERROR]),
    "function_call_into": (_STATUS, [_HANDLE, *_BYTES, _OPTIONS, *_INTO]),
    "function_free": (None, [_HANDLE]),
    # policy
    "policy_get": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "policy_set": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, c_uint64, POINTER(c_uint64), _OUT_ERROR]),
    "policy_validate": (_STATUS, [*_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "policy_schema": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    "policy_suggest": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "policy_apply": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, POINTER(c_uint64), _OUT_ERROR]),
    "policy_observe": (_STATUS, [_HANDLE, *_BYTES, c_uint64, POINTER(c_uint64), _OUT_ERROR]),
    "policy_check": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "policy_check_document": (_STATUS, [*_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "policy_history": (_STATUS, [_HANDLE, *_BYTES, c_size_t, _OUT_BUFFER, _OUT_ERROR]),
    # packages and trust
    "package_inspect": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "package_install": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "package_list": (_STATUS, [_HANDLE, _OUT_BUFFER, _OUT_ERROR]),
    "package_load": (_STATUS, [_HANDLE, *_BYTES, _OUT_ERROR]),
    "package_rollback": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "package_approve": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "package_remove": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "asset_list": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "asset_read": (_STATUS, [_HANDLE, *_BYTES, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "trust_list": (_STATUS, [_HANDLE, _OUT_BUFFER, _OUT_ERROR]),
    "trust_add": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "trust_revoke": (_STATUS, [_HANDLE, *_BYTES, _OUT_BUFFER, _OUT_ERROR]),
    "trust_schema": (_STATUS, [_OUT_BUFFER, _OUT_ERROR]),
    "signature_check": (_STATUS, [*_BYTES, *_BYTES, *_BYTES, POINTER(c_int32), _OUT_ERROR]),
    # host callbacks and events
    "manager_provide": (_STATUS, [_HANDLE, *_BYTES, HOST_FN, c_void_p, FINALIZER_FN, _OUT_ERROR]),
    "manager_declare": (_STATUS, [_HANDLE, *_BYTES, HOST_FN, c_void_p, FINALIZER_FN, _OUT_ERROR]),
    "reply_set_result": (_STATUS, [_HANDLE, *_BYTES, _OUT_ERROR]),
    "reply_set_error": (_STATUS, [_HANDLE, *_BYTES, _OUT_ERROR]),
    "subscription_new": (
        _STATUS,
        [_HANDLE, *_BYTES, EVENT_FN, c_void_p, FINALIZER_FN, _OUT_HANDLE, _OUT_ERROR],
    ),
    "subscription_free": (None, [_HANDLE]),
}
"""Every function of the header without its prefix: result type, parameter types."""


class Functions:
    """The functions of one loaded library, typed, under their names without the prefix."""

    def __init__(self, library: ctypes.CDLL) -> None:
        for name, (result, parameters) in SIGNATURES.items():
            function = getattr(library, PREFIX + name)
            function.restype = result
            function.argtypes = parameters
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the library's ABI has no function {PREFIX}{name}")
