"""The author's side of a GoatFlow plugin in Python: a program that registers itself, answers calls with JSON, and reaches
database, cache, mail, HTTP, configuration and other plugins through its host, as far as the administrator's policy lets it.

    from goatflow_plugin_sdk import Call, Failure, Plugin

    plugin = Plugin("hello", "1.0.0", description="Says hello")

    @plugin.function
    def hello(call: Call):
        name = (call.arguments or {}).get("name", "World")
        if not name:
            raise Failure("there is nobody to greet")
        return {"message": f"Hello, {name}!"}

    if __name__ == "__main__":
        plugin.serve()

It runs in a jail: threads, but no other processes; no network; only files that are shown to it; /tmp to write to.
"""

from ._plugin import Call, Failure, Handler, Plugin
from ._services import Cache, Database, HostError, HttpResponse, Log, Services, encode_json

__all__ = [
    "Cache",
    "Call",
    "Database",
    "Failure",
    "Handler",
    "HostError",
    "HttpResponse",
    "Log",
    "Plugin",
    "Services",
    "encode_json",
]

__version__ = "0.1.0"
