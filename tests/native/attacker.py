"""A native plugin with its own gRPC, of which it knows just enough: what a library would never do is easy here.

Host calls are made on connections of its own, and outside of any call where it is told to go on in the background. A
function whose name is a key of `BREACHES` breaks the protocol instead of answering.
"""
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

with open(os.path.join(os.environ["GOATFLOW_PLUGIN_DIR"], "plugin.yaml")) as manifest:
    NAME = manifest.readline().split()[1]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def exactly(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def frames(connection):
    while True:
        head = exactly(connection, 9)
        length = int.from_bytes(head[:3], "big")
        yield head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, exactly(connection, length)


def literal(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def fields(message):
    """Fields of the wire type that texts have; others are skipped."""
    out, at = {}, 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 2:
            length = number()
            out[key >> 3] = message[at:at + length]
            at += length
        else:
            number()
    return out


def message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


class HostConnection:
    """Makes host calls, as many at a time as it is asked for."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "host@goatflow"))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        self.stream = -1
        self.lock = threading.Lock()
        self.answers = {}
        self.answered = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        parts = {}
        for kind, flags, stream, payload in frames(self.socket):
            if kind == 4 and not flags & 1:
                self.send(frame(4, 1, 0))
            elif kind == 0 and payload:
                parts[stream] = parts.get(stream, b"") + payload
                size = struct.pack(">I", len(payload))
                self.send(frame(8, 0, 0, size) + frame(8, 0, stream, size))
            if kind in (0, 1, 3) and (flags & 1 or kind == 3):
                with self.answered:
                    self.answers[stream] = parts.pop(stream, b"")[5:]
                    self.answered.notify_all()

    def wait(self, stream):
        """`ok`, or the code of the error."""
        with self.answered:
            self.answered.wait_for(lambda: stream in self.answers)
            failure = fields(self.answers.pop(stream)).get(2)
        return "ok" if failure is None else fields(failure)[1].decode()

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def call(self, function, arguments, token=b""):
        headers = b"".join(literal(*pair) for pair in [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/goatflow.plugin.v1.Host/Call"),
            (b":authority", b"h"), (b"content-type", b"application/grpc"), (b"te", b"trailers")])
        body = message(field(1, function.encode()) + field(2, json.dumps(arguments).encode()) + field(3, token))
        with self.lock:
            self.stream += 2
            self.socket.sendall(frame(1, 4, self.stream, headers) + frame(0, 1, self.stream, body))
            return self.stream

    def reset(self, stream):
        self.send(frame(3, 0, stream, struct.pack(">I", 8)))


def beat():
    host = HostConnection()
    while True:
        host.call("log", {"level": "info", "message": "beat"})
        time.sleep(0.02)


HOSTS = []


def ask(arguments, token):
    """Makes the same host call many times at the same time. Answers what came of them, unless nobody waits for that."""
    wanted = json.loads(arguments)
    count, streams = wanted["count"], []
    while len(HOSTS) < (count + 63) // 64:
        HOSTS.append(HostConnection())
    for number in range(count):
        host = HOSTS[number // 64]
        streams.append((host, host.call(wanted["function"], wanted["arguments"], token)))
    if not wanted.get("wait", True):
        return b"{}"
    return json.dumps([host.wait(stream) for host, stream in streams]).encode()


def call(function, arguments, token):
    if function == "ask":
        return ask(arguments, token)
    if function == "background":
        threading.Thread(target=beat, daemon=True).start()
    if function == "die":
        sys.stderr.write("key=hunter2\n")
        sys.stderr.flush()
        os._exit(3)
    return b"{}"


HEAD = b"\x88" + literal(b"content-type", b"application/grpc")
EMPTY = message(b"")
OK = literal(b"grpc-status", b"0")


def flood(*parts):
    """Frames without end."""
    block = b"".join(parts)
    block *= 1 + 65536 // len(block)

    def send(connection, stream):
        threading.Thread(target=swallow, args=(connection,), daemon=True).start()
        while True:
            connection.sendall(block)
    return send


def swallow(connection):
    for _ in frames(connection):
        pass


def once(build):
    def send(connection, stream):
        connection.sendall(build(stream))
    return send


def chatter(block):
    """Writes to a stream of its own without end, and answers."""
    def send(connection, stream):
        def write():
            while True:
                os.write(1, block)
        threading.Thread(target=write, daemon=True).start()
        connection.sendall(answer(stream, b""))
    return send


def answer(stream, reply):
    return frame(1, 4, stream, HEAD) + frame(0, 0, stream, message(reply)) + frame(1, 5, stream, OK)


def hpack_bomb(stream):
    # A field of 4,000 bytes goes into the table once; each byte behind it names it again.
    entry = b"\x40\x01a" + b"\x7f" + varint(4000 - 127) + b"v" * 4000
    return frame(1, 0, stream, b"\x88" + entry) + frame(9, 4, stream, b"\xbe" * 60000)


# What the host is to say to each stands in tests/all/attack_native_frames.rs.
BREACHES = {
    "nothing": once(lambda stream: b""),
    "no-window": once(lambda stream: frame(4, 0, 0, struct.pack(">HI", 4, 0)) + frame(1, 4, stream, HEAD)),
    "half-a-frame": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, b"x" * 100)[:50]),
    "half-a-message": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, b"\0\0\0\1\0x")),
    "no-status": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 1, stream, EMPTY)),
    "no-message": once(lambda stream: frame(1, 4, stream, HEAD) + frame(1, 5, stream, OK)),
    "cut": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, EMPTY[:3]) + frame(1, 5, stream, OK)),
    "compressed": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, b"\1\0\0\0\0")),
    "too-long": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, b"\0\xff\xff\xff\xff")),
    "more-than-said": once(lambda stream: frame(1, 4, stream, HEAD) + frame(0, 0, stream, EMPTY + b"\0\0\0\0\1x")
                           + frame(1, 5, stream, OK)),
    "html": once(lambda stream: frame(1, 4, stream, b"\x88" + literal(b"content-type", b"text/html"))),
    "not-found": once(lambda stream: frame(1, 5, stream, b"\x8d")),
    "reset": once(lambda stream: frame(3, 0, stream, struct.pack(">I", 2))),
    "push": once(lambda stream: frame(5, 4, stream, struct.pack(">I", 2) + b"\x82")),
    "farewell": once(lambda stream: frame(7, 0, 0, struct.pack(">II", 0, 0))),
    "angry-farewell": once(lambda stream: frame(7, 0, 0, struct.pack(">II", 0, 11))),
    "window": once(lambda stream: frame(8, 0, 0, struct.pack(">I", 0x7fffffff))),
    "giant-frame": once(lambda stream: frame(0, 0, stream, b"x" * 100000)),
    "nobodys-stream": once(lambda stream: frame(0, 0, stream + 2, b"x")),
    "garbage": once(lambda stream: os.urandom(65536)),
    "hpack-bomb": once(hpack_bomb),
    "pings": flood(frame(6, 0, 0, b"12345678")),
    "settings": flood(frame(4, 0, 0)),
    "windows": flood(frame(8, 0, 0, b"\0\0\0\1"), frame(4, 0, 0, struct.pack(">HI", 4, 65535))),
    "priorities": flood(frame(2, 0, 1, b"12345")),
    "unknown": flood(frame(99, 0, 0)),
    "hangs-up": lambda connection, stream: (connection.shutdown(socket.SHUT_RDWR), time.sleep(1000)),
    "exits": lambda connection, stream: os._exit(4),
    "stops": lambda connection, stream: os.kill(os.getpid(), signal.SIGSTOP),
    "deaf": lambda connection, stream: (connection.sendall(answer(stream, b"")), time.sleep(1000)),
    "chatter": chatter(b"\n" * 65536),
    "binary-chatter": chatter(b"\0\xff\xfe\x1b[2J" * 8192),
}
# On the stream of the call, which only its head tells.
STREAM_FLOODS = {
    "empty-data": lambda stream: frame(0, 0, stream),
    "hints": lambda stream: frame(1, 4, stream, b"\x08\x03103"),
    "continuations": lambda stream: frame(9, 0, stream, b"\x10\x01a\x01b"),
}


def breach(function, connection, stream):
    if function in STREAM_FLOODS:
        if function == "empty-data":
            connection.sendall(frame(1, 4, stream, HEAD))
        if function == "continuations":
            connection.sendall(frame(1, 0, stream, HEAD))
        flood(STREAM_FLOODS[function](stream))(connection, stream)
    BREACHES[function](connection, stream)


def serve(connection):
    connection.sendall(frame(4, 0, 0))
    exactly(connection, 24)
    registration = json.dumps({"name": NAME, "version": "1.0.0"}).encode()
    unary = -1
    for kind, flags, stream, payload in frames(connection):
        if kind == 4 and not flags & 1:
            connection.sendall(frame(4, 1, 0))
        if kind != 0 or stream <= 3:
            continue
        if payload:
            connection.sendall(frame(8, 0, 0, struct.pack(">I", len(payload))))
        unary += 1
        # The host's streams come in this order: broker, output, Register, Init, calls.
        body = fields(payload[5:])
        if unary == 0:
            reply = field(1, registration)
        elif unary == 1 or 1 not in body:
            reply = b""
        elif body[1].decode() in BREACHES or body[1].decode() in STREAM_FLOODS:
            breach(body[1].decode(), connection, stream)
            continue
        else:
            reply = field(1, call(body[1].decode(), body.get(2, b""), body.get(3, b"")))
        connection.sendall(answer(stream, reply))


def main():
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "plugin")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("1|1|unix|%s|grpc|" % path, flush=True)
    connection, _ = listener.accept()
    serve(connection)


main()
