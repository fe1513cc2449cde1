"""Exceptions: classes, families, what they carry."""

from __future__ import annotations

import pickle
import unittest

import goatflow_plugin as gp
from goatflow_plugin import codes
from goatflow_plugin._library import error_from_json, new_error
from support import ManagerCase


class Classes(unittest.TestCase):
    def test_every_code_belongs_to_the_family_of_its_number(self) -> None:
        for status, kind in codes.ERRORS.items():
            self.assertTrue(issubclass(kind, codes.FAMILIES[status // 100]), kind)
            self.assertTrue(issubclass(kind, gp.PluginError), kind)
            self.assertIs(getattr(gp, kind.__name__), kind)

    def test_an_error_made_by_the_host_has_the_code_of_its_class(self) -> None:
        error = gp.HostFailed("the mail server is down")
        self.assertEqual((error.status, error.code, error.retryable), (700, "host.failed", False))
        self.assertEqual((error.message, error.plugin, error.detail), ("the mail server is down", "", {}))
        self.assertEqual(str(error), "the mail server is down (host.failed)")
        self.assertEqual(str(gp.HostFailed()), "host.failed")

    def test_codes_of_a_newer_library_fall_back_to_family_and_base(self) -> None:
        newer = new_error(499, "policy.newer", "no")
        self.assertIs(type(newer), gp.PolicyError)
        self.assertEqual((newer.status, newer.code), (499, "policy.newer"))
        self.assertIs(type(new_error(12345, "strange", "no")), gp.PluginError)

    def test_errors_survive_pickling(self) -> None:
        error = gp.PolicySqlTableDenied("no", plugin="p", detail={"table": "users"})
        copy = pickle.loads(pickle.dumps(error))
        self.assertIs(type(copy), gp.PolicySqlTableDenied)
        self.assertEqual(vars(copy), vars(error))

    def test_error_documents_become_exceptions(self) -> None:
        document = b'{"code":"plugin.trap","status":500,"message":"m","plugin":"p","detail":{"a":1}}'
        error = error_from_json(500, document)
        self.assertIs(type(error), gp.PluginTrap)
        self.assertEqual((error.message, error.plugin, error.detail, error.retryable), ("m", "p", {"a": 1}, False))


class FromTheLibrary(ManagerCase):
    def test_an_error_carries_everything(self) -> None:
        with self.assertRaises(gp.LifecyclePluginNotFound) as caught:
            self.manager.call("absent", "x")
        error = caught.exception
        self.assertIsInstance(error, gp.LifecycleError)
        self.assertEqual((error.status, error.code), (600, "lifecycle.plugin_not_found"))
        self.assertIn("absent", error.message)
        self.assertIsInstance(error.detail, dict)
        self.assertFalse(error.retryable)

    def test_an_error_names_the_plugin(self) -> None:
        with self.assertRaises(gp.PluginTrap) as caught:
            self.manager.call(self.relay, "!trap")
        self.assertEqual(caught.exception.plugin, "relay")
