"""asyncio: concurrency, cancellation, several loops."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import unittest
from typing import Any, Awaitable, Callable, List

import goatflow_plugin as gp
from goatflow_plugin import _asyncio
from goatflow_plugin._arguments import contexts
from support import ManagerCase, collect_garbage, eventually


def run(function: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await asyncio.wait_for(function(), 60)

    return asyncio.run(main())


class Calls(ManagerCase):
    def test_a_call_answers_as_the_blocking_one(self) -> None:
        async def main() -> None:
            self.assertEqual(await self.manager.call_async("relay", "!echo", b"1"), b"1")
            self.assertEqual(await self.manager.call_async("relay", "!echo", {"a": 1}), b'{"a":1}')
            self.assertEqual(await self.manager.call_async("relay", "!nothing"), b"")
            self.assertEqual(await self.manager.call_json_async("relay", "!echo", [1]), [1])
            self.assertIsNone(await self.manager.call_json_async("relay", "!nothing"))
            large = bytes(1 << 20)
            self.assertEqual(await self.manager.call_async("relay", "!echo", large), large)
            answer = await self.manager.call_async(
                "relay", "!echo", b"1", timeout=5, context=self, request_id="r", language="de"
            )
            self.assertEqual(answer, b"1")

        run(main)

    def test_failures_are_raised(self) -> None:
        async def main() -> None:
            with self.assertRaises(gp.PluginTrap):
                await self.manager.call_async("relay", "!trap")
            with self.assertRaises(gp.LifecyclePluginNotFound):
                await self.manager.call_async("absent", "x")
            with self.assertRaises(gp.PluginDeadline):
                await self.manager.call_async("relay", "!loop", timeout=0.1)
            with self.assertRaises(TypeError):
                await self.manager.call_async("relay", "!echo", object())

        run(main)

    def test_many_calls_at_once(self) -> None:
        async def main() -> None:
            numbers = [str(number).encode() for number in range(500)]
            answers = await asyncio.gather(*(self.manager.call_async("relay", "!echo", n) for n in numbers))
            self.assertEqual(list(answers), numbers)

        run(main)

    def test_the_loop_turns_while_a_plugin_runs(self) -> None:
        async def main() -> None:
            turns = 0
            call = asyncio.ensure_future(self.manager.call_async("relay", "!loop", timeout=0.3))
            while not call.done():
                await asyncio.sleep(0.001)
                turns += 1
            self.assertIsInstance(call.exception(), gp.PluginDeadline)
            self.assertGreater(turns, 20)

        run(main)

    def test_an_async_with_block_closes(self) -> None:
        async def main() -> None:
            async with gp.Manager() as manager:
                self.assertEqual(manager.list(), [])
            with self.assertRaises(gp.ArgumentHandle):
                manager.list()

        run(main)


class Cancelling(ManagerCase):
    def test_cancelling_the_task_cancels_the_call(self) -> None:
        async def main() -> None:
            task = asyncio.ensure_future(self.manager.call_async("relay", "!loop", timeout=25))
            await asyncio.sleep(0.1)
            begin = time.monotonic()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            # The only instance is free again as soon as the loop was stopped.
            self.assertEqual(await self.manager.call_async("relay", "!echo", b"1"), b"1")
            self.assertLess(time.monotonic() - begin, 10)

        run(main)

    def test_wait_for_cancels_the_call(self) -> None:
        async def main() -> None:
            begin = time.monotonic()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.manager.call_async("relay", "!loop", timeout=25), 0.1)
            self.assertEqual(await self.manager.call_async("relay", "!echo", b"1"), b"1")
            self.assertLess(time.monotonic() - begin, 10)

        run(main)

    def test_cancelling_half_of_many_leaves_the_others_alone(self) -> None:
        async def main() -> None:
            tasks = [asyncio.ensure_future(self.manager.call_async("relay", "!echo", b"1")) for _ in range(100)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for index, outcome in enumerate(outcomes):
                if index % 2:
                    self.assertEqual(outcome, b"1")
                else:
                    self.assertIsInstance(outcome, (asyncio.CancelledError, bytes))

        run(main)

    def test_a_cancellation_object_works_too(self) -> None:
        async def main() -> None:
            with gp.Cancellation() as cancellation:
                task = asyncio.ensure_future(
                    self.manager.call_async("relay", "!loop", timeout=25, cancellation=cancellation)
                )
                await asyncio.sleep(0.05)
                cancellation.cancel()
                with self.assertRaises(gp.PluginCancelled):
                    await task

        run(main)


    # The library switches the shared cancellation (goatflow_plugin_operation_cancel says so): remove this mark when an
    # operation has a cancellation of its own.
    def test_cancelling_a_task_leaves_others_with_the_same_cancellation_alone(self) -> None:
        self.load("other")

        async def main() -> None:
            with gp.Cancellation() as cancellation:
                options: Any = {"timeout": 1.0, "cancellation": cancellation}
                one = asyncio.ensure_future(self.manager.call_async("relay", "!loop", **options))
                other = asyncio.ensure_future(self.manager.call_async("other", "!loop", **options))
                await asyncio.sleep(0.1)
                one.cancel()
                with self.assertRaises(gp.PluginDeadline):
                    await other

        run(main)


class Loops(ManagerCase):
    def test_loops_one_after_the_other_leave_no_descriptors(self) -> None:
        async def main() -> None:
            await self.manager.call_async("relay", "!echo", b"1")

        run(main)
        collect_garbage()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            run(main)
        _asyncio.close_dead_queues()
        collect_garbage()
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before)

    def test_loops_on_several_threads_at_once(self) -> None:
        answers: List[int] = []

        async def main() -> None:
            for _ in range(50):
                got = await asyncio.gather(*(self.manager.call_async("relay", "!echo", b"1") for _ in range(4)))
                answers.append(len(got))

        threads = [threading.Thread(target=run, args=(main,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sum(answers), 4 * 50 * 4)

    def test_a_loop_closed_with_a_call_under_way_hurts_nobody(self) -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(self.manager.call_async("relay", "!loop", timeout=0.3))
        loop.run_until_complete(asyncio.sleep(0.05))
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

        async def main() -> bytes:
            return await self.manager.call_async("relay", "!echo", b"1")

        self.assertEqual(run(main), b"1")

    def test_no_call_is_kept_after_it_ended(self) -> None:
        async def main() -> None:
            queue = _asyncio.queue_of(asyncio.get_running_loop())
            await self.manager.call_async("relay", "!echo", b"1", context="c")
            with self.assertRaises(asyncio.TimeoutError):
                call = self.manager.call_async("relay", "!loop", timeout=5, context="c")
                await asyncio.wait_for(call, 0.05)
            self.assertEqual(queue._futures, {})
            self.assertEqual(contexts._objects, {})

        run(main)


class Completions(ManagerCase):
    def test_a_completion_function_gets_result_or_error_once(self) -> None:
        outcomes: List[Any] = []
        for function in ("!echo", "!trap", "!nothing"):
            self.manager.start("relay", function, b"1", completion=lambda *outcome: outcomes.append(outcome)).close()
            self.assertTrue(eventually(lambda: len(outcomes) == 1), function)
            result, error = outcomes.pop()
            if function == "!trap":
                self.assertIsNone(result)
                self.assertIsInstance(error, gp.PluginTrap)
                self.assertEqual(error.plugin, "relay")
            else:
                self.assertEqual((result, error), (b"1" if function == "!echo" else b"", None))

    def test_a_failing_completion_function_is_logged_and_harmless(self) -> None:
        def fail(result: Any, error: Any) -> None:
            raise ValueError("broken completion")

        with self.assertLogs("goatflow_plugin", "ERROR") as logs:
            with self.manager.start("relay", "!echo", b"1", completion=fail):
                self.assertTrue(eventually(lambda: bool(logs.records)))
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_a_completion_function_may_call_the_library(self) -> None:
        answers: List[bytes] = []

        def again(result: Any, error: Any) -> None:
            answers.append(self.manager.call("relay", "!echo", b"from a completion"))

        with self.manager.start("relay", "!echo", b"1", completion=again):
            self.assertTrue(eventually(lambda: bool(answers)))
        self.assertEqual(answers, [b"from a completion"])

    def test_what_is_not_callable_is_refused(self) -> None:
        wrong: Any = 5
        with self.assertRaises(TypeError):
            self.manager.start("relay", "!echo", completion=wrong)
