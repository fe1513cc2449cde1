"""Managers and the plugins in them: life, documents, wrong arguments, use after close."""

from __future__ import annotations

import json
import unittest
import warnings
from pathlib import Path
from typing import Any, Callable, Dict

import goatflow_plugin as gp
import guest
from goatflow_plugin._callbacks import live_registrations
from support import ManagerCase, built_plugin, collect_garbage, database_config, eventually


class Configuration(unittest.TestCase):
    def test_accepts_nothing_a_mapping_and_a_text(self) -> None:
        for config in (None, {}, {"version": 1}, '{"version": 1}', b'{"version": 1}', ""):
            with gp.Manager(config) as manager:
                self.assertEqual(manager.list(), [])

    def test_refuses_unknown_and_wrong_fields(self) -> None:
        for config in ({"colour": "red"}, {"version": 2}, {"version": "1"}, {"signals": "maybe"}, {"cache": 5}):
            with self.assertRaises(gp.ArgumentConfig, msg=str(config)):
                gp.Manager(config)

    def test_refuses_what_is_no_json(self) -> None:
        with self.assertRaises(gp.ArgumentError):
            gp.Manager("{")
        with self.assertRaises(gp.ArgumentUtf8):
            gp.Manager(b"\xff")

    def test_refuses_what_python_cannot_send(self) -> None:
        wrong: Any
        for wrong in (5, ["a"], {"a": object()}, {"a": float("nan")}):
            with self.assertRaises((TypeError, ValueError)):
                gp.Manager(wrong)

    def test_works_without_signal_handlers(self) -> None:
        with gp.Manager({"version": 1, "signals": "off"}) as manager:
            self.assertEqual(manager.list(), [])


class Life(ManagerCase):
    def test_shutdown_reports_and_refuses_calls_afterwards(self) -> None:
        self.assertIsInstance(self.manager.shutdown(timeout=5), dict)
        with self.assertRaises(gp.LifecycleShutDown):
            self.manager.call(self.relay, "!echo", b"{}")
        self.manager.close()

    def test_close_is_idempotent(self) -> None:
        self.manager.close()
        self.manager.close()

    def test_every_method_refuses_after_close(self) -> None:
        manager, name = self.manager, self.relay
        function = manager.function(name, "!echo")
        manager.close()
        with gp.CompletionQueue() as queue:
            calls: Dict[str, Callable[[], object]] = {
                "shutdown": lambda: manager.shutdown(0),
                "load": lambda: manager.load("x"),
                "unload": lambda: manager.unload(name),
                "list": manager.list,
                "registration": lambda: manager.registration(name),
                "enable": lambda: manager.enable(name),
                "disable": lambda: manager.disable(name),
                "stats": manager.stats,
                "logs": manager.logs,
                "clear_logs": manager.clear_logs,
                "call": lambda: manager.call(name, "!echo"),
                "call_into": lambda: manager.call_into(name, "!echo", bytearray(8)),
                "function": lambda: manager.function(name, "!echo"),
                "enqueue": lambda: manager.enqueue(queue, 1, name, "!echo"),
                "start": lambda: manager.start(name, "!echo"),
                "start with completion": lambda: manager.start(name, "!echo", completion=print),
                "policy": lambda: manager.policy(name),
                "set_policy": lambda: manager.set_policy(name, None),
                "provide": lambda: manager.provide("db", lambda call: None),
                "declare": lambda: manager.declare("f", lambda call: None, permission="p", access="read"),
                "subscribe": lambda: manager.subscribe(print),
            }
            for label, call in calls.items():
                with self.subTest(label), self.assertRaises(gp.ArgumentHandle):
                    call()
        with self.assertRaises(gp.ArgumentHandle):
            function()
        function.close()
        self.assertTrue(eventually(lambda: live_registrations() == 0))

    def test_an_unclosed_manager_warns_and_is_freed(self) -> None:
        manager = gp.Manager()
        with self.assertWarns(ResourceWarning):
            del manager
            collect_garbage()

    def test_a_failed_constructor_leaves_nothing(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaises(gp.ArgumentConfig):
                gp.Manager({"colour": 1})
            collect_garbage()


class Plugins(ManagerCase):
    def test_load_answers_the_name_and_lists_it(self) -> None:
        self.assertEqual(self.relay, "relay")
        self.assertEqual([plugin["name"] for plugin in self.manager.list()], ["relay"])

    def test_loads_from_a_path_object_a_text_and_with_options(self) -> None:
        path = self.directory / "relay.wasm"
        for given in (path, str(path)):
            self.manager.unload("relay")
            self.assertEqual(self.manager.load(given), "relay")
        self.manager.unload("relay")
        self.assertEqual(self.manager.load(path, {}), "relay")

    def test_registration_is_the_document_of_the_library(self) -> None:
        text = self.manager.registration_text("relay")
        self.assertEqual(json.loads(text), self.manager.registration("relay"))
        self.assertEqual(self.manager.registration("relay")["name"], "relay")

    def test_unload_removes(self) -> None:
        self.manager.unload("relay", timeout=1)
        self.assertEqual(self.manager.list(), [])
        with self.assertRaises(gp.LifecyclePluginNotFound):
            self.manager.call("relay", "!echo")

    def test_disable_refuses_calls_until_enabled(self) -> None:
        self.manager.disable("relay")
        with self.assertRaises(gp.LifecycleDisabled):
            self.manager.call("relay", "!echo")
        self.manager.enable("relay")
        self.assertEqual(self.manager.call("relay", "!echo", b"1"), b"1")

    def test_loading_failures_have_their_codes(self) -> None:
        broken = self.directory / "broken.wasm"
        broken.write_bytes(b"\0asm\x01\0\0\0\xff")
        empty = self.directory / "empty"
        empty.mkdir()
        with self.assertRaises(gp.PackageNotFound):
            self.manager.load(self.directory / "absent.wasm")
        with self.assertRaises(gp.PackageModuleInvalid):
            self.manager.load(broken)
        with self.assertRaises(gp.PackageManifestMissing):
            self.manager.load(empty)
        with self.assertRaises(gp.LifecycleAlreadyLoaded):
            self.manager.load(self.directory / "relay.wasm")
        with self.assertRaises(gp.PackageNotFound):
            self.manager.load("")
        with self.assertRaises(gp.ArgumentError):
            self.manager.load(self.directory / "relay.wasm", {"colour": "red"})

    def test_a_path_that_is_not_utf8_is_refused(self) -> None:
        with self.assertRaises(gp.ArgumentUtf8):
            self.manager.load("/tmp/\udcff.wasm")

    def test_unknown_plugins_are_named_in_every_error(self) -> None:
        calls = (
            lambda: self.manager.unload("absent"),
            lambda: self.manager.registration("absent"),
            lambda: self.manager.enable("absent"),
            lambda: self.manager.disable("absent"),
            lambda: self.manager.stats("absent"),
            lambda: self.manager.call("absent", "x"),
        )
        for call in calls:
            with self.assertRaises(gp.LifecyclePluginNotFound) as caught:
                call()
            self.assertIn("absent", caught.exception.message)

    def test_wrong_types_of_names_are_refused_before_the_library(self) -> None:
        wrong: Any
        for wrong in (None, 5, b"relay", object()):
            for call in (self.manager.unload, self.manager.registration, self.manager.enable, self.manager.policy):
                with self.assertRaises(TypeError):
                    call(wrong)
            with self.assertRaises(TypeError):
                self.manager.call(wrong, "!echo")
            with self.assertRaises(TypeError):
                self.manager.call("relay", wrong)
        with self.assertRaises(TypeError):
            self.manager.load(wrong)

    def test_names_with_zero_bytes_and_surrogates_are_refused(self) -> None:
        with self.assertRaises(gp.PluginError):
            self.manager.call("re\0lay", "!echo")
        with self.assertRaises(UnicodeEncodeError):
            self.manager.call("\udc80", "!echo")

    def test_times_to_wait_are_checked(self) -> None:
        for wrong in (-1, float("nan")):
            with self.assertRaises(ValueError):
                self.manager.unload("relay", timeout=wrong)

    def test_stats_count_the_calls(self) -> None:
        for _ in range(3):
            self.manager.call("relay", "!echo", b"{}")
        one = self.manager.stats("relay")
        self.assertIn("3", json.dumps(one))
        self.assertIn("relay", json.dumps(self.manager.stats()))

    def test_logs_are_filtered_and_forgotten(self) -> None:
        self.manager.call("relay", "!glog", b"first line")
        self.manager.call("relay", "!glog", b"second line")
        messages = [entry["message"] for entry in self.manager.logs(plugin="relay")]
        self.assertEqual(messages[:2], ["second line", "first line"])
        self.assertEqual([e["message"] for e in self.manager.logs(plugin="relay", limit=1)], ["second line"])
        self.assertEqual([e["message"] for e in self.manager.logs("relay", level="error")], [])
        self.manager.clear_logs()
        self.assertEqual(self.manager.logs(), [])

    def test_a_wrong_log_filter_is_refused(self) -> None:
        with self.assertRaises(gp.ArgumentError):
            self.manager.logs(level="deafening")
        with self.assertRaises(gp.ArgumentError):
            self.manager.logs(limit=-1)


class BuiltPlugins(unittest.TestCase):
    """The plugins of the examples, built by the harness."""

    def test_each_loads_registers_and_answers(self) -> None:
        for name in ("ticket-stats-go", "ticket-stats-c"):
            with self.subTest(name), gp.Manager({"version": 1, "database": database_config()}) as manager:
                plugin = manager.load(built_plugin(name))
                self.assertEqual(manager.registration(plugin)["name"], plugin)
                self.assertIsNotNone(manager.call_json(plugin, "overview", {}))

    def test_the_reference_module_loads(self) -> None:
        with gp.Manager() as manager:
            plugin = manager.load(built_plugin("reference.wasm"))
            self.assertEqual(manager.registration(plugin)["name"], plugin)

    def test_two_managers_hold_the_same_plugin(self) -> None:
        with gp.Manager() as one, gp.Manager() as two:
            for manager in (one, two):
                manager.load(built_plugin("reference.wasm"))
            one.close()
            self.assertEqual(len(two.list()), 1)


class Guest(unittest.TestCase):
    def test_the_assembled_guest_is_deterministic(self) -> None:
        self.assertEqual(guest.module("a"), guest.module("a"))
        self.assertTrue(Path(guest.__file__).exists())
