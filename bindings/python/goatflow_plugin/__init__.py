"""Runs third-party plugins that the host application does not trust, through libgoatflow_plugin.

    import goatflow_plugin

    with goatflow_plugin.Manager({"version": 1, "database": {"sqlite": {"path": "tickets.db"}}}) as manager:
        plugin = manager.load("plugins/ticket-stats")
        print(manager.call_json(plugin, "overview", {}))

The library is looked for at the path given to `load_library`, at ``GOATFLOW_PLUGIN_LIBRARY``, in this package, and
where the system's loader looks, in this order.

Signals: the library catches SIGSEGV, SIGILL, SIGFPE (and SIGBUS) while plugins run and passes on what is not its own.
Enable `faulthandler`, or anything else that replaces these handlers, *before* the first `Manager`; enabled afterwards
it kills the process at the first trap of a plugin. `doctor` shows the handlers in force; ``"signals": "off"`` in the
configuration does without.

Fork: only the process that loaded the library may use it. A forked child gets `EnvironmentForked` from every call; use
the "spawn" start method of `multiprocessing`, and create managers after a pre-forking server forked.

Threads: everything may be used from any thread; the GIL is released in every call. Host functions run on the thread of
the call that led to them, or on threads of the library.
"""

from __future__ import annotations

from ctypes import byref, c_int32, c_void_p
from typing import Any, Dict, List

from . import codes
from ._arguments import Document, document
from ._callbacks import HostCall, PendingReply
from ._library import Library, check, fetch_json, functions, load_library
from ._lifecycle import Health, IsolationReport, SwapReport
from ._manager import Function, Manager, Subscription
from ._operation import Cancellation, Completion, CompletionQueue, Operation
from .codes import *  # noqa: F403
from .errors import LibraryNotFound, PluginError

__version__ = "0.1.0"


def abi_version() -> int:
    """ABI of the loaded library."""
    return load_library().abi_version


def library_version() -> str:
    """Release of the loaded library."""
    return load_library().version


def status_table() -> List[Dict[str, Any]]:
    """Every status of the library: number, code, constant, retryable."""
    c = functions()
    table: List[Dict[str, Any]] = fetch_json(c, c.status_table)
    return table


def doctor() -> Dict[str, Any]:
    """What this machine offers, and which signal handlers are in force."""
    c = functions()
    report: Dict[str, Any] = fetch_json(c, c.doctor)
    return report


def isolation_report() -> IsolationReport:
    """How well this machine isolates native plugins; builds a real jail each time to find out."""
    c = functions()
    report: IsolationReport = fetch_json(c, c.isolation_report)
    return report


def config_schema() -> Dict[str, Any]:
    """JSON Schema of the configuration document."""
    c = functions()
    schema: Dict[str, Any] = fetch_json(c, c.config_schema)
    return schema


def policy_schema() -> Dict[str, Any]:
    """JSON Schema of the policy document."""
    c = functions()
    schema: Dict[str, Any] = fetch_json(c, c.policy_schema)
    return schema


def trust_schema() -> Dict[str, Any]:
    """JSON Schema of the trust store."""
    c = functions()
    schema: Dict[str, Any] = fetch_json(c, c.trust_schema)
    return schema


def is_valid_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Verdict over a raw Ed25519 signature, strictly: weak keys and second spellings are not valid."""
    c = functions()
    valid, error = c_int32(), c_void_p()
    arguments = (public_key, len(public_key), message, len(message), signature, len(signature))
    check(c, c.signature_check(*arguments, byref(valid), byref(error)), error)
    return valid.value == 1


def validate_policy(policy: Document) -> Dict[str, Any]:
    """A report on a policy document, in words; invalid documents are no exception."""
    c = functions()
    report: Dict[str, Any] = fetch_json(c, c.policy_validate, *document(policy))
    return report


def check_policy(policy: Document, request: Document) -> Dict[str, Any]:
    """Would a policy document allow a host call, `{"function", "arguments", "dialect", …}`? `None` = the default grant."""
    c = functions()
    verdict: Dict[str, Any] = fetch_json(c, c.policy_check_document, *document(policy), *document(request))
    return verdict


__all__ = [
    "Cancellation",
    "Completion",
    "CompletionQueue",
    "Function",
    "Health",
    "HostCall",
    "IsolationReport",
    "Library",
    "LibraryNotFound",
    "Manager",
    "Operation",
    "PendingReply",
    "PluginError",
    "Subscription",
    "SwapReport",
    "abi_version",
    "check_policy",
    "codes",
    "config_schema",
    "doctor",
    "isolation_report",
    "library_version",
    "load_library",
    "policy_schema",
    "trust_schema",
    "status_table",
    "is_valid_signature",
    "validate_policy",
    *codes.__all__,
]
