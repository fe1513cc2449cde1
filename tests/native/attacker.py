"""A native plugin with its own gRPC, of which it knows just enough: what a library would never do is easy here.

Host calls are made on a connection of its own, and outside of any call where it is told to go on in the background.
"""
import json
import os
import socket
import struct
import sys
import threading
import time

NAME = "attacker"


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
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for kind, flags, _, payload in frames(self.socket):
            if kind == 4 and not flags & 1:
                self.send(frame(4, 1, 0))
            elif kind == 0 and payload:
                size = struct.pack(">I", len(payload))
                self.send(frame(8, 0, 0, size))

    def send(self, data):
        with self.lock:
            self.socket.sendall(data)

    def call(self, function, arguments):
        headers = b"".join(literal(*pair) for pair in [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/goatflow.plugin.v1.Host/Call"),
            (b":authority", b"h"), (b"content-type", b"application/grpc"), (b"te", b"trailers")])
        body = message(field(1, function.encode()) + field(2, json.dumps(arguments).encode()))
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


def call(function, arguments):
    if function == "background":
        threading.Thread(target=beat, daemon=True).start()
    if function == "die":
        sys.stderr.write("key=hunter2\n")
        sys.stderr.flush()
        os._exit(3)
    if function == "flood":
        threading.Thread(target=flood, daemon=True).start()
    return b"{}"


def flood():
    while True:
        os.write(1, b"x\n" * 8192)


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
        else:
            reply = field(1, call(body[1].decode(), body.get(2, b"")))
        head = b"\x88" + literal(b"content-type", b"application/grpc")
        connection.sendall(frame(1, 4, stream, head) + frame(0, 0, stream, message(reply))
                           + frame(1, 5, stream, literal(b"grpc-status", b"0")))


def main():
    path = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], "plugin")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("1|1|unix|%s|grpc|" % path, flush=True)
    connection, _ = listener.accept()
    serve(connection)


main()
