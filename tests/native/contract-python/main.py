"""contract-go once more, in Python over gRPC."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

# grpcio lies in a directory of the host that the policy shows and names.
sys.path.append(os.environ.get("GOATFLOW_PLUGIN_SITE", "site"))

from goatflow_plugin_sdk import Call, Failure, HostError, Plugin  # noqa: E402
from registration import REGISTRATION  # noqa: E402

plugin = Plugin(**REGISTRATION)
count = 0
counting = threading.Lock()


@plugin.function
def echo(call: Call):
    return call.body


@plugin.function
def nothing(call: Call):
    return None


@plugin.function
def big(call: Call):
    return "x" * call.arguments["bytes"]


@plugin.function
def fail(call: Call):
    raise Failure("boom")


@plugin.function
def crash(call: Call):
    os._exit(3)


@plugin.function
def spin(call: Call):
    end = time.monotonic() + call.arguments["ms"] / 1000
    while time.monotonic() < end:
        pass
    return {"done": True}


@plugin.function
def sleep(call: Call):
    time.sleep(call.arguments["ms"] / 1000)
    return {"done": True}


@plugin.function
def host(call: Call):
    try:
        return {"ok": True, "result": call.host(call.arguments["function"], call.arguments["arguments"])}
    except HostError as error:
        return {"ok": False, "error": error.message, "code": error.code}


@plugin.function
def hosts(call: Call):
    def ask(number: int) -> bool:
        try:
            call.cache.set(str(number), b"x")
        except HostError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        return {"answered": sum(pool.map(ask, range(call.arguments["n"])))}


@plugin.function
def env(call: Call):
    return dict(os.environ)


@plugin.function
def log(call: Call):
    call.log.write(call.arguments["level"], call.arguments["message"])


@plugin.function
def stdout(call: Call):
    print(call.arguments["text"])


@plugin.function
def stderr(call: Call):
    print(call.arguments["text"], file=sys.stderr, flush=True)


@plugin.function
def state(call: Call):
    global count
    with counting:
        count += 1
        return {"count": count}


@plugin.function
def callers(call: Call):
    return {"callers": call.callers}


@plugin.function
def deadline(call: Call):
    return {"limited": call.remaining is not None}
