"""The GoatFlow plugin {{name}}."""

import os
import sys

# grpcio is native code: the administrator shows a directory with it and names it here; see README.md.
sys.path.append(os.environ.get("GOATFLOW_PLUGIN_SITE", "site"))

from goatflow_plugin_sdk import Call, Plugin  # noqa: E402

plugin = Plugin("{{name}}", "0.1.0", description="Greets, and counts tickets")


@plugin.function
def hello(call: Call):
    """Greets {"name": "…"}."""
    return {"message": f"Hello, {(call.arguments or {}).get('name', 'World')}!"}


@plugin.function
def tickets(call: Call):
    """Counts the tickets; plugin.yaml asks for the table."""
    return call.db.query("SELECT COUNT(*) AS tickets FROM ticket")[0]
