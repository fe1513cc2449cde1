"""Blocking calls: what goes in, what comes out, limits, handles."""

from __future__ import annotations

import ctypes
import json
import select
import threading
import time
import unittest
from typing import Any, Dict, List, Optional

import goatflow_plugin as gp
from goatflow_plugin import _abi
from goatflow_plugin._landing import SMALL_RESULT, landings
from goatflow_plugin._library import check, functions, take_buffer
from support import ManagerCase


class InAndOut(ManagerCase):
    def test_bytes_go_in_and_come_out_unchanged(self) -> None:
        for sent in (b"x", b'{"a":1}', b"\0\xff\0", b"a" * 5000):
            self.assertEqual(self.manager.call("relay", "!echo", sent), sent)
            self.assertEqual(self.manager.call("relay", "!echo", bytearray(sent)), sent)
            self.assertEqual(self.manager.call("relay", "!echo", memoryview(sent)), sent)

    def test_values_go_in_as_json(self) -> None:
        value: Any
        for value in ({"a": [1, 2.5, None, True, "ü\U0001f410"]}, [], "text", 0, False):
            self.assertEqual(json.loads(self.manager.call("relay", "!echo", value)), value)
            self.assertEqual(self.manager.call_json("relay", "!echo", value), value)
        self.assertEqual(self.manager.call("relay", "!echo", {"ü": 1}), '{"ü":1}'.encode())

    def test_no_arguments_and_no_answer(self) -> None:
        self.assertEqual(self.manager.call("relay", "!nothing"), b"")
        self.assertEqual(self.manager.call("relay", "!echo"), b"")
        self.assertIsNone(self.manager.call_json("relay", "!nothing"))

    def test_what_is_no_json_is_refused(self) -> None:
        wrong: Any
        for wrong in (object(), {1, 2}, float("inf"), "\udc80"):
            with self.assertRaises((TypeError, ValueError)):
                self.manager.call("relay", "!echo", wrong)

    def test_sizes_around_the_reused_memory(self) -> None:
        for size in (1, SMALL_RESULT - 1, SMALL_RESULT, SMALL_RESULT + 1, 1 << 20):
            sent = bytes(range(256)) * (size // 256 + 1)
            self.assertEqual(self.manager.call("relay", "!echo", sent[:size]), sent[:size])

    def test_a_long_answer_does_not_leak_into_the_next(self) -> None:
        self.manager.call("relay", "!echo", b"a" * SMALL_RESULT)
        self.assertEqual(self.manager.call("relay", "!echo", b"b"), b"b")

    def test_too_large_arguments_are_refused(self) -> None:
        with self.assertRaises(gp.PluginError):
            self.manager.call("relay", "!echo", bytes(1 << 28))
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_landing_memory_is_reused(self) -> None:
        self.manager.call("relay", "!echo", b"1")
        before = len(landings)
        for _ in range(100):
            self.manager.call("relay", "!echo", b"1")
        self.assertEqual(len(landings), before)


class CallInto(ManagerCase):
    def test_writes_into_the_callers_memory(self) -> None:
        memory = bytearray(16)
        self.assertEqual(self.manager.call_into("relay", "!echo", memory, b"hello"), 5)
        self.assertEqual(bytes(memory[:5]), b"hello")
        part = memoryview(bytearray(16))[4:10]
        self.assertEqual(self.manager.call_into("relay", "!echo", part, b"abcdef"), 6)
        self.assertEqual(bytes(part), b"abcdef")

    def test_too_small_tells_how_much_is_needed(self) -> None:
        for memory in (bytearray(4), bytearray(0)):
            with self.assertRaises(gp.ArgumentBufferTooSmall) as caught:
                self.manager.call_into("relay", "!echo", memory, b"hello")
            self.assertEqual(caught.exception.detail["needed"], 5)

    def test_nothing_is_length_0(self) -> None:
        self.assertEqual(self.manager.call_into("relay", "!nothing", bytearray(1)), 0)

    def test_read_only_memory_is_refused(self) -> None:
        wrong: Any
        for wrong in (b"constant", memoryview(b"constant"), "text", 5):
            with self.assertRaises(TypeError):
                self.manager.call_into("relay", "!echo", wrong)

    def test_memory_can_be_resized_after_the_call(self) -> None:
        memory = bytearray(16)
        self.manager.call_into("relay", "!echo", memory, b"hello")
        memory.extend(b"more")


class Failures(ManagerCase):
    def test_a_trap_is_an_error_and_the_plugin_stays_usable(self) -> None:
        for _ in range(3):
            with self.assertRaises(gp.PluginTrap):
                self.manager.call("relay", "!trap")
            self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_a_wild_pointer_is_an_error(self) -> None:
        with self.assertRaises(gp.PluginBadPointer):
            self.manager.call("relay", "!wild")
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_endless_recursion_is_an_error_on_threads_of_any_size(self) -> None:
        outcomes: List[BaseException] = []

        def recurse() -> None:
            with self.assertRaises(gp.PluginStackExhausted) as caught:
                self.manager.call("relay", "!deep")
            outcomes.append(caught.exception)

        previous = threading.stack_size()
        for kib in (128, 512, 8192):
            threading.stack_size(kib * 1024)
            try:
                thread = self.in_thread(recurse)
            finally:
                threading.stack_size(previous)
            thread.join(30)
        recurse()
        self.assertEqual(len(outcomes), 4)

    def test_an_empty_function_name_is_refused(self) -> None:
        with self.assertRaises(gp.ArgumentError):
            self.manager.call("relay", "")

    def test_a_timeout_ends_the_call(self) -> None:
        begin = time.monotonic()
        with self.assertRaises(gp.PluginDeadline) as caught:
            self.manager.call("relay", "!loop", timeout=0.1)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertTrue(caught.exception.retryable)
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_impossible_timeouts_are_refused(self) -> None:
        for wrong in (0, -1, float("nan")):
            with self.assertRaises(ValueError):
                self.manager.call("relay", "!echo", timeout=wrong)
        self.assertEqual(self.manager.call("relay", "!echo", b"1", timeout=float("inf")), b"1")
        self.assertEqual(self.manager.call("relay", "!echo", b"1", timeout=1e-9 + 1), b"1")


class Options(ManagerCase):
    def test_all_options_are_accepted_together(self) -> None:
        with gp.Cancellation() as cancellation:
            answer = self.manager.call(
                "relay",
                "!echo",
                b"1",
                timeout=10,
                cancellation=cancellation,
                context=self,
                request_id="request-1",
                language="de",
            )
        self.assertEqual(answer, b"1")

    def test_a_request_id_is_limited(self) -> None:
        with self.assertRaises(gp.ArgumentError):
            self.manager.call("relay", "!echo", request_id="x" * 129)
        self.manager.call("relay", "!echo", request_id="x" * 128)

    def test_cancellation_before_the_call_refuses_it(self) -> None:
        with gp.Cancellation() as cancellation:
            cancellation.cancel()
            cancellation.cancel()
            with self.assertRaises(gp.PluginCancelled):
                self.manager.call("relay", "!loop", cancellation=cancellation)

    def test_a_freed_cancellation_is_refused(self) -> None:
        cancellation = gp.Cancellation()
        cancellation.close()
        cancellation.close()
        with self.assertRaises(gp.ArgumentHandle):
            cancellation.cancel()
        with self.assertRaises(gp.ArgumentHandle):
            self.manager.call("relay", "!echo", cancellation=cancellation)


class Handles(ManagerCase):
    def test_a_function_calls_as_the_manager_does(self) -> None:
        with self.manager.function("relay", "!echo") as echo:
            self.assertEqual(echo(b"1"), b"1")
            self.assertEqual(echo.call({"a": 1}, timeout=5, request_id="r", language="de"), b'{"a":1}')
            self.assertEqual(echo.call_json({"a": 1}), {"a": 1})
            memory = bytearray(8)
            self.assertEqual(echo.call_into(memory, b"abc"), 3)
            self.assertEqual(bytes(memory[:3]), b"abc")
            with self.assertRaises(gp.ArgumentBufferTooSmall):
                echo.call_into(bytearray(1), b"abc")

    def test_a_function_survives_a_reload(self) -> None:
        with self.manager.function("relay", "!echo") as echo:
            self.manager.unload("relay")
            with self.assertRaises(gp.LifecyclePluginNotFound):
                echo(b"1")
            self.manager.load(self.directory / "relay.wasm")
            self.assertEqual(echo(b"1"), b"1")

    def test_resolving_for_an_absent_plugin_is_an_error(self) -> None:
        with self.assertRaises(gp.LifecyclePluginNotFound):
            self.manager.function("absent", "x")

    def test_a_closed_function_is_refused(self) -> None:
        function = self.manager.function("relay", "!echo")
        function.close()
        function.close()
        with self.assertRaises(gp.ArgumentHandle):
            function()
        with self.assertRaises(gp.ArgumentHandle):
            function.call_into(bytearray(1))


class Raw(ManagerCase):
    """Functions of the ABI that the package doesn't use, and handles that are none."""

    def test_calls_with_library_buffers(self) -> None:
        c = functions()
        buffer, error = _abi.Buffer(), ctypes.c_void_p()
        outputs = (ctypes.byref(buffer), ctypes.byref(error))
        status = c.manager_call(self.manager.handle, b"relay", 5, b"!echo", 5, b"abc", 3, None, *outputs)
        check(c, status, error)
        self.assertEqual(take_buffer(c, buffer), b"abc")
        self.assertEqual((buffer.data, buffer.len), (None, 0))
        c.buffer_free(ctypes.byref(buffer))
        with self.manager.function("relay", "!echo") as echo:
            check(c, c.function_call(echo.handle, b"abc", 3, None, *outputs), error)
        self.assertEqual(take_buffer(c, buffer), b"abc")

    def test_garbage_handles_are_refused(self) -> None:
        c = functions()
        handle: Optional[int]
        for handle in (1, 8, 0xDEADBEEF, 2**63, 2**64 - 1, self.manager.handle + 1):
            error = ctypes.c_void_p()
            status = c.manager_clear_logs(handle, ctypes.byref(error))
            with self.assertRaises(gp.ArgumentHandle):
                check(c, status, error)
        for free in (c.manager_free, c.function_free, c.queue_free, c.operation_free, c.cancellation_free):
            for handle in (None, 8, 2**64 - 1, self.manager.handle ^ 1):
                free(handle)
        c.error_free(8)
        self.assertEqual((c.error_status(8), c.error_code(8), c.error_message(None)), (0, b"", b""))

    def test_a_handle_of_another_type_is_refused(self) -> None:
        c = functions()
        with gp.Cancellation() as cancellation:
            error = ctypes.c_void_p()
            status = c.manager_clear_logs(cancellation.handle, ctypes.byref(error))
            with self.assertRaises(gp.ArgumentHandle):
                check(c, status, error)

    def test_null_for_a_required_pointer_is_refused(self) -> None:
        c = functions()
        error = ctypes.c_void_p()
        status = c.manager_call(self.manager.handle, None, 5, b"x", 1, None, 0, None, None, ctypes.byref(error))
        with self.assertRaises(gp.ArgumentNull):
            check(c, status, error)
        self.assertEqual(c.manager_clear_logs(None, None), gp.Status.ARGUMENT_NULL)

    def test_impossible_options_are_refused(self) -> None:
        c = functions()
        size = ctypes.sizeof(_abi.CallOptions)
        wrong = {
            gp.ArgumentStructSize: _abi.CallOptions(struct_size=3),
            gp.ArgumentUnsupportedOption: _abi.CallOptions(struct_size=size, flags=1 << 31),
            gp.ArgumentUtf8: _abi.CallOptions(struct_size=size, language=b"\xff", language_len=1),
            gp.ArgumentNull: _abi.CallOptions(struct_size=size, language_len=1),
        }
        for kind, options in wrong.items():
            buffer, error = _abi.Buffer(), ctypes.c_void_p()
            target = (self.manager.handle, b"relay", 5, b"!echo", 5, b"1", 1, ctypes.byref(options))
            status = c.manager_call(*target, ctypes.byref(buffer), ctypes.byref(error))
            with self.subTest(kind.__name__), self.assertRaises(kind):
                check(c, status, error)


class Operations(ManagerCase):
    def test_waiting_brings_the_result_once(self) -> None:
        with self.manager.start("relay", "!echo", b"1") as operation:
            self.assertEqual(operation.wait(10), b"1")
            with self.assertRaises(gp.LifecycleTaken):
                operation.wait(10)

    def test_waiting_too_short_is_pending(self) -> None:
        with self.manager.start("relay", "!loop", timeout=20) as operation:
            with self.assertRaises(gp.LifecyclePending):
                operation.wait(0.01)
            with self.assertRaises(gp.LifecyclePending):
                operation.wait(0)
            operation.cancel()
            operation.cancel()
            with self.assertRaises(gp.PluginCancelled):
                operation.wait(10)
        with self.assertRaises(gp.ArgumentHandle):
            operation.wait(0)

    def test_failures_arrive_when_waiting(self) -> None:
        with self.manager.start("relay", "!trap") as operation, self.assertRaises(gp.PluginTrap):
            operation.wait(10)
        with self.assertRaises(gp.LifecyclePluginNotFound):
            with self.manager.start("absent", "x") as operation:
                operation.wait(10)

    def test_closing_detaches(self) -> None:
        self.manager.start("relay", "!loop", timeout=0.2).close()
        self.assertEqual(self.manager.call("relay", "!echo", b"1", timeout=10), b"1")


class Queues(ManagerCase):
    def test_completions_carry_their_tags(self) -> None:
        with gp.CompletionQueue() as queue:
            for tag in range(10):
                self.manager.enqueue(queue, tag, "relay", "!echo", str(tag).encode()).close()
            arrived: Dict[int, Optional[bytes]] = {}
            while len(arrived) < 10:
                batch = queue.next(timeout=10, capacity=3)
                self.assertLessEqual(len(batch), 3)
                self.assertTrue(batch, "nothing arrived within 10 s")
                arrived.update({tag: result for tag, result, _ in batch})
            self.assertEqual(arrived, {tag: str(tag).encode() for tag in range(10)})
            self.assertEqual(queue.next(timeout=0), [])
            self.assertEqual(queue.next(timeout=0.01), [])

    def test_failures_and_nothing_arrive_too(self) -> None:
        with gp.CompletionQueue() as queue:
            with self.manager.enqueue(queue, 2**64 - 1, "relay", "!trap"):
                (completion,) = queue.next(10)
            self.assertEqual(completion.tag, 2**64 - 1)
            self.assertIsNone(completion.result)
            self.assertIsInstance(completion.error, gp.PluginTrap)
            with self.manager.enqueue(queue, 0, "relay", "!nothing"):
                self.assertEqual(queue.next(10), [(0, b"", None)])

    def test_the_descriptor_is_readable_while_completions_wait(self) -> None:
        with gp.CompletionQueue() as queue:
            self.assertEqual(select.select([queue], [], [], 0)[0], [])
            self.manager.enqueue(queue, 1, "relay", "!echo", b"1").close()
            self.assertEqual(select.select([queue], [], [], 10)[0], [queue])
            self.assertEqual(len(queue.next(0)), 1)
            self.assertEqual(select.select([queue], [], [], 0)[0], [])

    def test_a_queue_may_go_before_its_calls_end(self) -> None:
        queue = gp.CompletionQueue()
        self.manager.enqueue(queue, 1, "relay", "!loop", timeout=0.1).close()
        queue.close()
        queue.close()
        for use in (queue.fileno, queue.next, lambda: self.manager.enqueue(queue, 1, "relay", "!echo")):
            with self.assertRaises(gp.ArgumentHandle):
                use()

    def test_impossible_arguments_are_refused(self) -> None:
        with gp.CompletionQueue() as queue:
            self.assertEqual(queue.next(capacity=0), [])
            with self.assertRaises(ValueError):
                queue.next(timeout=0, capacity=-1)
            with self.assertRaises(ValueError):
                queue.next(timeout=-1)
            wrong: Any = "tag"
            with self.assertRaises(ctypes.ArgumentError):
                self.manager.enqueue(queue, wrong, "relay", "!echo")


if __name__ == "__main__":
    unittest.main()
