"""The messages, byte by byte; the expected bytes are protoc's."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from goatflow_plugin_sdk._messages import (  # noqa: E402
    CallRequest,
    CallResponse,
    ConnInfo,
    Failure,
    InitRequest,
    ServiceHealthResponse,
)


class Wire(unittest.TestCase):
    MESSAGES = [
        (CallRequest(), b""),
        (
            CallRequest(function="f", arguments=b"{}", call_token="t", timeout_ms=300, callers=["a", ""]),
            b'\x0a\x01f\x12\x02{}\x1a\x01t\x20\xac\x02\x4a\x01a\x4a\x00',
        ),
        (CallResponse(failure=Failure()), b"\x12\x00"),
        (CallResponse(result=b"1", failure=Failure(code="c", retryable=True)), b"\x0a\x011\x12\x05\x0a\x01c\x18\x01"),
        (InitRequest(config={"k": "ä"}, host_service_id=1), b"\x0a\x07\x0a\x01k\x12\x02\xc3\xa4\x10\x01"),
        (ServiceHealthResponse(status=1), b"\x08\x01"),
    ]

    def test_messages_are_written_and_read(self):
        for message, data in self.MESSAGES:
            self.assertEqual(message.encode(), data)
            self.assertEqual(type(message).decode(data), message)

    def test_unknown_fields_and_kinds_are_skipped(self):
        # Fields 15 of every wire type, field 1 as a number instead of a text; the broker's `knock` is a message.
        unknown = b"\x78\x01" + b"\x79" + bytes(8) + b"\x7a\x02xx" + b"\x7d" + bytes(4) + b"\x08\x05"
        self.assertEqual(CallRequest.decode(unknown + b"\x0a\x01f"), CallRequest(function="f"))
        self.assertEqual(ConnInfo.decode(b"\x08\x07\x12\x04unix\x22\x02\x08\x01"), ConnInfo(service_id=7, network="unix"))

    def test_the_last_of_several_counts(self):
        self.assertEqual(CallRequest.decode(b"\x0a\x01f\x0a\x01g"), CallRequest(function="g"))

    def test_what_is_cut_off_is_an_error(self):
        for data in (b"\x0a", b"\x0a\x05ab", b"\x20\x80", b"\x79\x00", b"\x0b", b"\x20" + b"\x80" * 11):
            with self.assertRaises(ValueError, msg=repr(data)):
                CallRequest.decode(data)

    def test_misspelt_fields_are_errors(self):
        with self.assertRaises(TypeError):
            CallRequest(func="f")
        with self.assertRaises(AttributeError):
            CallRequest().func


if __name__ == "__main__":
    unittest.main()
