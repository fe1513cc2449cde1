"""Counts tickets per queue and per state: the job of examples-plugins/ticket-stats-go, as a native plugin in Python."""

import os
import sys

# grpcio is native code. The administrator shows a directory with it and names it here; docs/native-plugins.md.
sys.path.append(os.environ.get("GOATFLOW_PLUGIN_SITE", "site"))

from goatflow_plugin_sdk import Call, Failure, Plugin  # noqa: E402
from goatflow_plugin_sdk import encode_json  # noqa: E402

PER_QUEUE = (
    "SELECT q.name AS queue, COUNT(t.id) AS tickets FROM queue q LEFT JOIN ticket t ON t.queue_id = q.id"
    " GROUP BY q.id, q.name ORDER BY tickets DESC, q.name"
)
PER_STATE = (
    "SELECT s.name AS state, COUNT(t.id) AS tickets FROM ticket_state s LEFT JOIN ticket t ON t.ticket_state_id = s.id"
    " GROUP BY s.id, s.name ORDER BY tickets DESC, s.name"
)

plugin = Plugin(
    "ticket-stats-python",
    "1.0.0",
    description="Counts tickets per queue and per state",
    author="GoatKit",
    license="Apache-2.0",
    routes=[
        {
            "method": "GET",
            "path": "/api/plugins/ticket-stats-python/overview",
            "handler": "overview",
            "middleware": ["auth"],
        }
    ],
    jobs=[{"id": "refresh", "handler": "refresh", "schedule": "*/5 * * * *", "enabled": True, "timeout": "30s"}],
)


@plugin.function
def overview(call: Call):
    """Counts all tickets, per queue and per state."""
    by_queue = call.db.query(PER_QUEUE)
    return {
        "total": sum(row["tickets"] for row in by_queue),
        "by_queue": by_queue,
        "by_state": call.db.query(PER_STATE),
    }


@plugin.function
def ticket(call: Call):
    """The ticket {"id": n}; as a route it gets the number as text."""
    try:
        number = int((call.arguments or {})["id"])
    except (KeyError, TypeError, ValueError):
        raise Failure("id must be a whole number") from None
    rows = call.db.query("SELECT t.id, t.tn, t.title FROM ticket t WHERE t.id = ?", number)
    if not rows:
        raise Failure("no such ticket")
    return rows[0]


@plugin.function
def refresh(call: Call):
    """The scheduled job: keeps the overview in the cache for an hour."""
    call.cache.set("overview", encode_json(overview(call)), ttl=3600)
