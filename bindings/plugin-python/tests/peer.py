"""The plugin that bindings/plugin-go/native's tests run under go-plugin's own host, beside the same in Go."""

import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."), sys.argv[1]]

from goatflow_plugin_sdk import Call, Failure, HostError, Plugin  # noqa: E402

plugin = Plugin("test", "1.0.0", landing_page="/x")


@plugin.function
def echo(call: Call):
    return call.body


@plugin.function
def nothing(call: Call):
    return None


@plugin.function
def fail(call: Call):
    raise Failure("boom")


@plugin.function("panic")
def panics(call: Call):
    raise ValueError("oh")


@plugin.function
def query(call: Call):
    def code(_: int) -> str:
        try:
            call.db.query("SELECT login FROM users")
        except HostError as error:
            return error.code
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(code, range(call.arguments["n"])))


@plugin.function
def unnamed(call: Call):
    plugin.host.host("declared")


@plugin.function
def about(call: Call):
    return [
        call.callers or None,
        call.request_id,
        call.language,
        call.traceparent,
        call.tracestate,
        call.remaining is not None,
    ]


@plugin.function
def wait(call: Call):
    call.log.info("waiting")
    never = threading.Event()
    while call.is_wanted:
        never.wait(0.01)
    plugin.host.publish("", "ended", "context canceled")


@plugin.function("print")
def prints(call: Call):
    print("to stdout")
    print("to stderr", file=sys.stderr)


@plugin.function("exit")
def exits(call: Call):
    os._exit(3)


@plugin.on_init
def ready(config):
    if config.get("refuse"):
        raise Failure(config["refuse"])
    plugin.host.cache.set("plugin_dir", config.get("plugin_dir", "").encode())


@plugin.on_health
def health():
    raise Failure("on holiday")


@plugin.on_shutdown
def over():
    plugin.host.log.warn("over")


if __name__ == "__main__":
    plugin.serve()
