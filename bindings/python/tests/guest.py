"""A plugin for tests, assembled here: no compiler needed, every byte known.

Its functions, by name:
  ``!echo``     answers its arguments          ``!nothing``  answers nothing
  ``!loop``     never returns                  ``!trap``     executes `unreachable`
  ``!wild``     answers a pointer outside      ``!glog``     logs its arguments at level info
  ``!deep``     calls itself for ever
  anything else is passed to the host as a host call of that name with the same arguments; what the host answers is the
  answer, and when the host refuses, the document of `gk.last_error`.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List

I32, I64 = 0x7F, 0x7E
PAGES = 64
HEAP = 0x10000
REGISTRATION = 1024


def unsigned(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def signed(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        done = value == (-1 if byte & 0x40 else 0)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def vector(items: Iterable[bytes]) -> bytes:
    collected = list(items)
    return unsigned(len(collected)) + b"".join(collected)


def name(text: str) -> bytes:
    return unsigned(len(text)) + text.encode()


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + unsigned(len(content)) + content


def function_type(parameters: List[int], results: List[int]) -> bytes:
    return b"\x60" + vector(bytes([p]) for p in parameters) + vector(bytes([r]) for r in results)


def body(*code: bytes) -> bytes:
    content = b"\x00" + b"".join(code) + b"\x0b"  # no locals
    return unsigned(len(content)) + content


def get(local: int) -> bytes:
    return b"\x20" + unsigned(local)


def i32(value: int) -> bytes:
    return b"\x41" + signed(value)


def i64(value: int) -> bytes:
    return b"\x42" + signed(value)


CALL, IF, END, RETURN, EQ = b"\x10", b"\x04\x40", b"\x0b", b"\x0f", b"\x46"
LOAD_BYTE = b"\x2d\x00\x00"
GLOBAL_GET, GLOBAL_SET = b"\x23\x00", b"\x24\x00"
ADD, AND, GT_U = b"\x6a", b"\x71", b"\x4b"
PACK_ARGUMENTS = get(2) + b"\xad" + i64(32) + b"\x86" + get(3) + b"\xad" + b"\x84"  # ptr << 32 | len
HOST_CALL, LOG, LAST_ERROR = (CALL + bytes([index]) for index in range(3))


def when(letter: str, code: bytes) -> bytes:
    """Runs `code` when the byte after the `!` is `letter`."""
    return get(0) + b"\x2d\x00\x01" + i32(ord(letter)) + EQ + IF + code + END


DEEP = 7  # index of the function that calls itself: after three imports and four exports
COMMANDS = (
    when("e", PACK_ARGUMENTS + RETURN)
    + when("n", i64(0) + RETURN)
    + when("l", b"\x03\x40" + b"\x0c\x00" + END)
    + when("t", b"\x00")
    + when("w", i64(-(1 << 48) | 64) + RETURN)
    + when("d", CALL + unsigned(DEEP) + i64(0) + RETURN)
    + when("g", i32(1) + get(2) + get(3) + LOG + i64(0) + RETURN)
)

def _relay() -> bytes:
    """`gk_call` with one i64 local for the host's answer."""
    code = (
        get(0) + LOAD_BYTE + i32(ord("!")) + EQ + IF + COMMANDS + END
        + get(0) + get(1) + get(2) + get(3) + HOST_CALL
        + b"\x22\x04" + b"\x50" + IF + LAST_ERROR + RETURN + END
        + get(4)
    )
    content = vector([unsigned(1) + bytes([I64])]) + code + b"\x0b"
    return unsigned(len(content)) + content


def _malloc() -> bytes:
    """A bump allocator that starts again at the bottom when it reaches the top."""
    return body(
        get(0) + GLOBAL_GET + ADD + i32(PAGES * 65536) + GT_U + IF + i32(HEAP) + GLOBAL_SET + END,
        GLOBAL_GET,
        GLOBAL_GET + get(0) + ADD + i32(7) + ADD + i32(-8) + AND + GLOBAL_SET,
    )


def module(plugin: str, **registration: Any) -> bytes:
    """The bytes of the plugin under a name of your choice."""
    document: Dict[str, Any] = {"name": plugin, "version": "1.0.0", **registration}
    text = json.dumps(document).encode()
    types = [
        function_type([], [I64]),
        function_type([I32] * 4, [I64]),
        function_type([I32], [I32]),
        function_type([I32], []),
        function_type([I32] * 3, []),
        function_type([], []),
    ]
    imports = [
        name("gk") + name("host_call") + b"\x00\x01",
        name("gk") + name("log") + b"\x00\x04",
        name("gk") + name("last_error") + b"\x00\x00",
    ]
    exports = [
        name("memory") + b"\x02\x00",
        *(name(export) + b"\x00" + unsigned(3 + i) for i, export in enumerate(EXPORTS)),
    ]
    bodies = [body(i64(REGISTRATION << 32 | len(text))), _relay(), _malloc(), body(), body(CALL + unsigned(DEEP))]
    data = b"\x00" + i32(REGISTRATION) + b"\x0b" + unsigned(len(text)) + text
    return (
        b"\0asm\x01\0\0\0"
        + section(1, vector(types))
        + section(2, vector(imports))
        + section(3, vector(bytes([index]) for index in (0, 1, 2, 3, 5)))
        + section(5, vector([b"\x00" + unsigned(PAGES)]))
        + section(6, vector([bytes([I32, 1]) + i32(HEAP) + b"\x0b"]))
        + section(7, vector(exports))
        + section(10, vector(bodies))
        + section(11, vector([data]))
    )


EXPORTS = ("gk_register", "gk_call", "gk_malloc", "gk_free")
