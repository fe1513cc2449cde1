"""What a plugin may ask of its host."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Union

Ask = Callable[[str, bytes], bytes]
"""Makes one host call: function, arguments as JSON; answers JSON, or nothing."""


class HostError(Exception):
    """A host call that was refused or failed."""

    def __init__(self, function: str, code: str, message: str) -> None:
        super().__init__(f"{function}: {message}")
        self.function = function
        """The host function, for example "db_query"."""
        self.code = code
        """Stable name of the reason, for example "policy.sql.table_denied"; empty where the host gave none."""
        self.message = message
        """The host's explanation for people; it may change between versions."""


class HttpResponse(NamedTuple):
    """The answer to an HTTP request. The host does not hand over response headers."""

    status: int
    body: bytes


class Service:
    """A part of the host."""

    __slots__ = ("_host",)

    def __init__(self, host: "Services") -> None:
        self._host = host


class Database(Service):
    """The host's databases, with ? as the placeholder whatever they are.

    A text may start with "@name:" to choose one of them.
    """

    def query(self, text: str, *args: Any) -> List[Dict[str, Any]]:
        """Runs a reading statement; answers its rows, column name to value."""
        return self._host.host("db_query", {"query": text, "args": args or None}) or []

    def execute(self, text: str, *args: Any) -> int:
        """Runs a writing statement; answers how many rows it affected."""
        affected: int = self._host.host("db_exec", {"query": text, "args": args or None})["affected"]
        return affected


class Cache(Service):
    """The plugin's own cache; other plugins can't see it."""

    def get(self, key: str) -> Optional[bytes]:
        """What is kept under a key, None for nothing."""
        reply = self._host.host("cache_get", {"key": key})
        return base64.b64decode(reply["value"] or "") if reply["found"] else None

    def set(self, key: str, value: bytes, ttl: int = 0) -> None:
        """Keeps a value, for `ttl` seconds; 0 sets no limit."""
        self._host.host("cache_set", {"key": key, "value": _base64(value), "ttl": ttl})

    def delete(self, key: str) -> None:
        """Forgets what is kept under a key."""
        self._host.host("cache_delete", {"key": key})


class Log(Service):
    """The plugin's log. A line that the host does not take goes to standard error."""

    def write(self, level: str, message: str, **fields: Any) -> None:
        """Writes a line at a level: "debug", "info", "warn" or "error"."""
        try:
            line = {"level": level, "message": message, **({"fields": fields} if fields else {})}
            self._host.host("log", line)
        except HostError:
            print(f"{level}: {message}", file=sys.stderr)

    def debug(self, message: str, **fields: Any) -> None:
        """Writes a line at level debug."""
        self.write("debug", message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        """Writes a line at level info."""
        self.write("info", message, **fields)

    def warn(self, message: str, **fields: Any) -> None:
        """Writes a line at level warn."""
        self.write("warn", message, **fields)

    def error(self, message: str, **fields: Any) -> None:
        """Writes a line at level error."""
        self.write("error", message, **fields)


class Services:
    """The services of the host. Every call passes the plugin's policy first and raises `HostError` where it is refused."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.db = Database(self)
        self.cache = Cache(self)
        self.log = Log(self)

    def host(self, function: str, arguments: Any = None) -> Any:
        """Calls a host function by its name, for functions that the host application declared itself."""
        reply = self._ask(function, encode_json({} if arguments is None else arguments))
        return json.loads(reply) if reply else None

    def http(
        self, method: str, url: str, body: bytes = b"", headers: Optional[Mapping[str, str]] = None
    ) -> HttpResponse:
        """Lets the host make an HTTP request. A status such as 404 is an answer, not an error."""
        reply = self.host(
            "http_request", {"method": method, "url": url, "headers": dict(headers or {}), "body": _base64(body)}
        )
        return HttpResponse(reply["status"], base64.b64decode(reply["body"] or ""))

    def send_email(self, to: str, subject: str, body: str, html: bool = False) -> None:
        """Sends a mail through the host."""
        self.host("send_email", {"to": to, "subject": subject, "body": body, "html": html})

    def config(self, key: str) -> str:
        """A configuration value of the host, for example "app.name"."""
        value: str = self.host("config_get", {"key": key})["value"]
        return value

    def translate(self, key: str, *args: Any) -> str:
        """The text of a key in the language of the request, and the key itself where there is none."""
        try:
            value: str = self.host("translate", {"key": key, "args": args})["value"]
        except HostError:
            return key
        return value

    def call_plugin(self, plugin: str, function: str, arguments: Any = None) -> Any:
        """Calls a function of another plugin and answers its result.

        An {"error": …} in it is the other plugin's own answer and raises nothing here.
        """
        return self.host("plugin_call", {"plugin": plugin, "function": function, "args": arguments})

    def publish(self, channel: str, event: str, data: Any) -> None:
        """Sends an event to the host's subscribers of a channel; an empty channel is the host's default one."""
        self.host("publish_event", {"channel": channel, "event_type": event, "data": data})


def encode_json(value: Union[bytes, Any]) -> bytes:
    """A value as JSON, which has no NaN and no infinity; bytes are JSON already."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
