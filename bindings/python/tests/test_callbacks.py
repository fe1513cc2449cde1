"""Host functions: answers, failures, re-entry, answers that come later, and when they are let go."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import threading
import time
import weakref
from typing import Any, Callable, List, Optional, Tuple

import goatflow_plugin as gp
from goatflow_plugin._callbacks import HostCall, HostFunction, live_registrations
from support import ManagerCase, eventually

KEY = {"key": "app.name"}


def always(answer: Any, calls: Optional[List[HostCall]] = None) -> HostFunction:
    """A host function that gives one answer, and remembers the calls."""

    def provider(call: HostCall) -> Any:
        if calls is not None:
            calls.append(call)
        return answer

    return provider


class Answers(ManagerCase):
    def ask(self, **options: Any) -> Any:
        return self.manager.call_json("relay", "config_get", KEY, **options)

    def test_a_provider_answers_with_values_and_bytes(self) -> None:
        self.assertEqual(self.ask(), {"value": "GoatFlow"})
        answers = {"ü": {"value": "ü"}, "bytes": b'{"value":"bytes"}', "array": bytearray(b'{"value":"array"}')}
        for expected, answer in answers.items():
            self.manager.provide("config", always(answer))
            self.assertEqual(self.ask(), {"value": expected})
        self.manager.provide("config", None)
        self.assertEqual(self.ask(), {"value": "GoatFlow"})

    def test_the_call_tells_who_asks_what(self) -> None:
        calls: List[HostCall] = []
        self.manager.provide("config", always({"value": "x"}, calls))
        context = object()
        self.ask(context=context, request_id="request-7", language="de", timeout=9)
        (call,) = calls
        self.assertEqual((call.plugin, call.service, call.function), ("relay", "config", "config_get"))
        self.assertEqual(call.json(), KEY)
        self.assertEqual((call.depth, call.chain), (0, ["relay"]))
        self.assertEqual((call.request_id, call.language), ("request-7", "de"))
        self.assertIs(call.context, context)
        self.assertTrue(0 < call.remaining <= 9, call.remaining)
        self.assertIn("config_get", repr(call))
        self.ask()
        self.assertIsNone(calls[1].context)
        self.assertEqual(calls[1].request_id, "")

    def test_context_and_chain_pass_through_nested_calls(self) -> None:
        self.load("inner")
        calls: List[HostCall] = []
        self.manager.provide("config", always({"value": "x"}, calls))
        arguments = {"plugin": "inner", "function": "config_get", "args": KEY}
        context = object()
        answer = self.manager.call_json("relay", "plugin_call", arguments, context=context, request_id="r")
        self.assertEqual(answer, {"value": "x"})
        (call,) = calls
        self.assertEqual((call.plugin, call.depth, call.chain), ("inner", 1, ["relay", "inner"]))
        self.assertIs(call.context, context)
        self.assertEqual(call.request_id, "r")

    def test_every_service_can_be_provided(self) -> None:
        asked: List[str] = []

        def provider(call: HostCall) -> Any:
            asked.append(f"{call.service}.{call.function}")
            return {"db": [{"n": 1}], "cache": {"found": False, "value": None}}.get(call.service, {"value": "x"})

        requests = {
            "db": ("db_query", {"query": "SELECT id FROM ticket", "args": []}),
            "cache": ("cache_get", {"key": "k"}),
            "config": ("config_get", KEY),
            "translate": ("translate", {"key": "greeting", "args": []}),
            "email": ("send_email", {"to": "a@example.org", "subject": "s", "body": "b", "html": False}),
            "http": ("http_request", {"method": "GET", "url": "https://example.org/", "headers": {}}),
            "log": ("log", {"level": "info", "message": "m", "fields": {}}),
            "event": ("publish_event", {"channel": "c", "event_type": "t", "data": "{}"}),
        }
        self.grant("relay", {"type": "event", "access": "write", "scope": ["*"]})
        for service, (function, arguments) in requests.items():
            self.manager.provide(service, provider)
            answer = self.manager.call("relay", function, arguments)
            self.assertIn(f"{service}.{function}", asked, answer)

    def test_an_unknown_service_is_refused_and_the_function_let_go(self) -> None:
        with self.assertRaises(gp.ArgumentError):
            self.manager.provide("teleport", lambda call: None)
        self.assertTrue(eventually(lambda: live_registrations() == 0))

    def test_what_is_not_callable_is_refused(self) -> None:
        wrong: Any = 5
        with self.assertRaises(TypeError):
            self.manager.provide("db", wrong)

    def test_a_refused_call_never_reaches_the_provider(self) -> None:
        asked: List[HostCall] = []
        self.manager.provide("db", always([], asked))
        self.manager.set_policy("relay", {"version": 1, "status": "approved", "permissions": []})
        refusal = self.manager.call_json("relay", "db_query", {"query": "SELECT 1", "args": []})
        self.assertEqual(refusal["code"], "policy.permission_missing")
        self.assertEqual(asked, [])

    def test_the_embedded_cache_still_answers_next_to_a_provider(self) -> None:
        self.manager.provide("config", lambda call: {"value": "x"})
        value = base64.b64encode(b"v").decode()
        self.manager.call("relay", "cache_set", {"key": "k", "value": value, "ttl": 0})
        self.assertEqual(self.manager.call_json("relay", "cache_get", {"key": "k"}), {"found": True, "value": value})


class Failures(ManagerCase):
    def failure_of(self, provider: Any) -> Any:
        self.manager.provide("config", provider)
        return self.manager.call_json("relay", "config_get", KEY)

    def raising(self, error: BaseException) -> Any:
        def provider(call: HostCall) -> Any:
            raise error

        return provider

    def test_a_plugin_error_gives_the_plugin_its_message(self) -> None:
        failure = self.failure_of(self.raising(gp.HostFailed("no such key")))
        self.assertEqual(failure["code"], "host.failed")
        self.assertIn("no such key", failure["message"])

    def test_codes_of_the_host_and_of_policies_reach_the_plugin_others_do_not(self) -> None:
        for error in (gp.HostNotFound("absent"), gp.PolicyTargetDenied("not yours")):
            failure = self.failure_of(self.raising(error))
            self.assertEqual(failure["code"], error.code)
            self.assertIn(error.message, failure["message"])
        for other in (gp.PluginTrap("inside"), gp.InternalPanic("inside"), gp.PluginError("inside")):
            failure = self.failure_of(self.raising(other))
            self.assertEqual(failure["code"], "host.failed")
            self.assertIn("inside", failure["message"])

    def test_other_exceptions_are_logged_and_their_text_kept_from_the_plugin(self) -> None:
        for error in (ValueError("password=geheim"), SystemExit("geheim"), GeneratorExit("geheim")):
            with self.assertLogs("goatflow_plugin", "ERROR") as logs:
                failure = self.failure_of(self.raising(error))
            self.assertEqual(failure["code"], "host.failed")
            self.assertNotIn("geheim", failure["message"])
            self.assertIn(type(error).__name__, failure["message"])
            self.assertIs((logs.records[0].exc_info or (None, None))[1], error)

    def test_an_answer_that_is_no_json_is_a_failure(self) -> None:
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        answers: List[Any] = [object(), float("nan"), b"{", b"\xff", b"1 2"]
        for answer in answers:
            failure = self.failure_of(always(answer))
            self.assertIn(failure["code"], ("host.failed", "host.reply_invalid"), answer)
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_failures_end_no_other_call(self) -> None:
        with self.assertLogs("goatflow_plugin", "ERROR"):
            self.failure_of(self.raising(ValueError()))
        self.manager.provide("config", lambda call: {"value": "again"})
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "again"})


class ReEntry(ManagerCase):
    def test_a_provider_may_use_the_library(self) -> None:
        self.load("other")

        def provider(call: HostCall) -> Any:
            self.manager.list()
            self.manager.stats("relay")
            self.manager.set_policy("other", None)
            return {"value": self.manager.call("other", "!echo", b"inner").decode()}

        self.manager.provide("config", provider)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "inner"})

    def test_calling_the_same_plugin_again_is_an_error_and_no_hang(self) -> None:
        errors: List[gp.PluginError] = []

        def provider(call: HostCall) -> Any:
            try:
                self.manager.call("relay", "!echo", b"1", timeout=5)
            except gp.PluginError as error:
                errors.append(error)
            return {"value": "x"}

        self.manager.provide("config", provider)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY, timeout=10), {"value": "x"})
        self.assertIsInstance(errors[0], (gp.LifecycleReentrant, gp.LifecycleDeadlock))

    def test_waiting_for_ones_own_call_is_refused_at_once(self) -> None:
        errors: List[gp.PluginError] = []

        def provider(call: HostCall) -> Any:
            for wait in (self.manager.unload, self.manager.disable):
                try:
                    wait("relay", timeout=20)
                except gp.PluginError as error:
                    errors.append(error)
            return {"value": "x"}

        self.manager.provide("config", provider)
        begin = time.monotonic()
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY, timeout=25), {"value": "x"})
        self.assertEqual([type(error) for error in errors], [gp.LifecycleInCallback] * 2)
        self.assertLess(time.monotonic() - begin, 5)

    def test_replacing_itself_takes_effect_with_the_next_call(self) -> None:
        def second(call: HostCall) -> Any:
            return {"value": "second"}

        def first(call: HostCall) -> Any:
            self.manager.provide("config", second)
            return {"value": "first"}

        self.manager.provide("config", first)
        answers = [self.manager.call_json("relay", "config_get", KEY)["value"] for _ in range(2)]
        self.assertEqual(answers, ["first", "second"])

    def test_closing_the_manager_from_a_host_function_neither_hangs_nor_crashes(self) -> None:
        def provider(call: HostCall) -> Any:
            self.manager.close()
            return {"value": "x"}

        self.manager.provide("config", provider)
        try:
            self.manager.call("relay", "config_get", KEY, timeout=10)
        except gp.PluginError:
            pass
        with self.assertRaises(gp.ArgumentHandle):
            self.manager.list()


class Later(ManagerCase):
    def test_another_thread_may_answer(self) -> None:
        def provider(call: HostCall) -> Any:
            reply = call.defer()
            timer = threading.Timer(0.05, reply.complete, [{"value": "later"}])
            timer.start()
            self.addCleanup(timer.join)

        self.manager.provide("config", provider)
        for _ in range(3):
            self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "later"})

    def test_an_answer_before_the_function_returns_counts(self) -> None:
        def provider(call: HostCall) -> Any:
            call.defer().complete({"value": "early"})

        self.manager.provide("config", provider)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "early"})

    def test_a_later_failure_reaches_the_plugin(self) -> None:
        failures = (gp.HostFailed("sorry"), "sorry", ValueError("geheim"))
        for failure in failures:

            def provider(call: HostCall, failure: Any = failure) -> Any:
                reply = call.defer()
                self.in_thread(lambda: reply.fail(failure))

            self.manager.provide("config", provider)
            answer = self.manager.call_json("relay", "config_get", KEY)
            self.assertEqual(answer["code"], "host.failed")
            self.assertEqual("sorry" in answer["message"], not isinstance(failure, ValueError), answer)

    def test_a_second_answer_is_refused(self) -> None:
        outcomes: List[Any] = []

        def provider(call: HostCall) -> Any:
            reply = call.defer()
            reply.complete({"value": "one"})
            repeats: List[Callable[[], None]] = [lambda: reply.complete({"value": "two"}), lambda: reply.fail("two")]
            for again in repeats:
                try:
                    again()
                    outcomes.append(None)
                except gp.PluginError as error:
                    outcomes.append(error)

        self.manager.provide("config", provider)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "one"})
        self.assertEqual([type(outcome) for outcome in outcomes], [gp.LifecycleTaken] * 2)

    def test_an_answer_that_never_comes_ends_at_the_deadline(self) -> None:
        replies: List[Any] = []
        self.manager.provide("config", lambda call: replies.append(call.defer()))
        begin = time.monotonic()
        with self.assertRaises(gp.PluginDeadline):
            self.manager.call("relay", "config_get", KEY, timeout=0.2)
        self.assertLess(time.monotonic() - begin, 5)
        with self.assertRaises(gp.ArgumentHandle):
            replies[0].complete({"value": "too late"})
        self.manager.provide("config", None)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "GoatFlow"})

    def test_a_deferred_answer_ends_with_the_cancellation(self) -> None:
        self.manager.provide("config", HostCall.defer)
        with gp.Cancellation() as cancellation:
            timer = threading.Timer(0.1, cancellation.cancel)
            timer.start()
            self.addCleanup(timer.join)
            with self.assertRaises(gp.PluginCancelled):
                self.manager.call("relay", "config_get", KEY, timeout=20, cancellation=cancellation)

    def test_a_coroutine_answers_from_its_loop(self) -> None:
        async def provider(call: HostCall) -> Any:
            await asyncio.sleep(0.01)
            if call.request_id == "fail":
                raise gp.HostFailed("refused by the coroutine")
            return {"value": call.request_id}

        async def main() -> None:
            self.manager.provide("config", provider)
            for number in range(5):
                answer = await self.manager.call_json_async("relay", "config_get", KEY, request_id=str(number))
                self.assertEqual(answer, {"value": str(number)})
            failure = await self.manager.call_json_async("relay", "config_get", KEY, request_id="fail")
            self.assertIn("refused by the coroutine", failure["message"])
            with self.assertLogs("goatflow_plugin", "ERROR"):  # the loop's own thread would wait for itself
                failure = self.manager.call_json("relay", "config_get", KEY)
            self.assertEqual(failure["code"], "host.failed")

        asyncio.run(main())
        with self.assertLogs("goatflow_plugin", "ERROR"):  # the loop is closed
            self.assertEqual(self.manager.call_json("relay", "config_get", KEY)["code"], "host.failed")

    def test_a_coroutine_runs_on_the_loop_that_is_named(self) -> None:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        self.addCleanup(loop.close)
        self.addCleanup(thread.join)
        self.addCleanup(loop.call_soon_threadsafe, loop.stop)

        async def provider(call: HostCall) -> Any:
            return {"value": str(asyncio.get_running_loop() is loop)}

        self.manager.provide("config", provider, loop=loop)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "True"})


class Declared(ManagerCase):
    def test_a_declared_function_needs_its_permission(self) -> None:
        self.manager.declare("org_id", lambda call: 42, permission="org", access="read")
        self.assertEqual(self.manager.call_json("relay", "org_id", {})["code"], "policy.permission_missing")
        self.grant("relay", {"type": "org", "access": "read", "scope": ["*"]})
        self.assertEqual(self.manager.call_json("relay", "org_id", {}), 42)

    def test_its_target_is_matched_against_the_scope(self) -> None:
        calls: List[HostCall] = []
        read = always({"text": "secret no more"}, calls)
        self.manager.declare("file_read", read, permission="file", access="read", target="/path")
        self.grant("relay", {"type": "file", "access": "read", "scope": ["public"]})
        self.assertEqual(self.manager.call_json("relay", "file_read", {"path": "public"})["text"], "secret no more")
        self.assertEqual(calls[0].function, "file_read")
        refusal = self.manager.call_json("relay", "file_read", {"path": "private"})
        self.assertTrue(refusal["code"].startswith("policy."), refusal)
        self.assertEqual(len(calls), 1)

    def test_an_undeclared_function_is_denied(self) -> None:
        self.assertEqual(self.manager.call_json("relay", "org_id", {})["code"], "policy.function_unknown")

    def test_wrong_declarations_are_refused_and_let_go(self) -> None:
        wrong: Tuple[Any, ...] = (
            {"name": "", "permission": "p", "access": "read"},
            {"name": "db_query", "permission": "p", "access": "read"},
            {"name": "f", "permission": "p", "access": "fly"},
            {"name": "f", "permission": "p", "access": "read", "target": "no pointer"},
        )
        for declaration in wrong:
            with self.subTest(str(declaration)), self.assertRaises(gp.ArgumentError):
                self.manager.declare(function=lambda call: None, **declaration)
        self.assertTrue(eventually(lambda: live_registrations() == 0))


class Lifetime(ManagerCase):
    """Functions live until the finalizer ran, and no longer."""

    def test_nothing_but_the_library_keeps_a_function_alive(self) -> None:
        class Provider:
            def __call__(self, call: HostCall) -> Any:
                return {"value": "alive"}

        provider = Provider()
        watch = weakref.ref(provider)
        self.manager.provide("config", provider)
        del provider
        gc.collect()
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "alive"})
        self.manager.provide("config", None)
        self.assertTrue(eventually(lambda: (gc.collect(), watch() is None)[1]))

    def test_a_replaced_function_finishes_its_call_first(self) -> None:
        entered, leave = threading.Event(), threading.Event()

        def slow(call: HostCall) -> Any:
            entered.set()
            leave.wait(10)
            return {"value": "slow"}

        self.manager.provide("config", slow)
        answers: List[Any] = []
        thread = self.in_thread(lambda: answers.append(self.manager.call_json("relay", "config_get", KEY)))
        self.assertTrue(entered.wait(10))
        self.manager.provide("config", None)
        self.assertEqual(live_registrations(), 1)
        leave.set()
        thread.join(10)
        self.assertEqual(answers, [{"value": "slow"}])
        self.assertTrue(eventually(lambda: live_registrations() == 0))

    def test_close_waits_until_all_are_let_go(self) -> None:
        self.manager.provide("config", lambda call: None)
        self.manager.declare("f", lambda call: None, permission="p", access="read")
        self.manager.subscribe(lambda event: None)
        self.assertEqual(live_registrations(), 3)
        self.manager.close()
        self.assertEqual(live_registrations(), 0)
