"""Policies: read, checked, changed while plugins run."""

from __future__ import annotations

import unittest
from typing import Any

import goatflow_plugin as gp
from support import EVERYTHING, ManagerCase, environment

KEY = {"key": "app.name"}


class Live(ManagerCase):
    def test_a_change_is_in_force_with_the_next_call(self) -> None:
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "GoatFlow"})
        self.manager.set_policy("relay", None)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY)["code"], "policy.permission_missing")
        self.manager.set_policy("relay", EVERYTHING)
        self.assertEqual(self.manager.call_json("relay", "config_get", KEY), {"value": "GoatFlow"})

    def test_reading_tells_revision_and_documents(self) -> None:
        policy = self.manager.policy("relay")
        self.assertEqual(policy["plugin"], "relay")
        self.assertEqual(policy["stored"]["status"], "approved")
        self.assertEqual(policy["effective"]["status"], "approved")
        self.assertIn("source", policy["effective"])
        self.manager.set_policy("relay", None)
        self.assertIsNone(self.manager.policy("relay")["stored"])

    def test_revisions_guard_against_lost_updates(self) -> None:
        revision = self.manager.policy("relay")["revision"]
        changed = self.manager.set_policy("relay", EVERYTHING, expected_revision=revision)
        self.assertEqual(self.manager.policy("relay")["revision"], changed)
        self.assertNotEqual(changed, revision)
        with self.assertRaises(gp.PolicyRevisionConflict):
            self.manager.set_policy("relay", EVERYTHING, expected_revision=revision)
        for wrong in (-1, 2**64 - 1, 2**64):
            with self.assertRaises(ValueError):
                self.manager.set_policy("relay", EVERYTHING, expected_revision=wrong)

    def test_a_blocked_plugin_is_not_called(self) -> None:
        self.manager.set_policy("relay", {"version": 1, "status": "blocked", "permissions": []})
        with self.assertRaises(gp.PolicyBlocked):
            self.manager.call("relay", "!echo")

    def test_wrong_documents_change_nothing(self) -> None:
        wrong: Any
        before = self.manager.policy("relay")
        for wrong in ("{", {"version": 1, "colour": 1}, {"version": 1, "status": "Blocked"}, {"version": "1"}, "[]"):
            with self.subTest(str(wrong)), self.assertRaises(gp.PluginError):
                self.manager.set_policy("relay", wrong)
        self.assertEqual(self.manager.policy("relay"), before)

    def test_documents_can_be_texts(self) -> None:
        self.manager.set_policy("relay", '{"version": 1, "status": "blocked", "permissions": []}')
        with self.assertRaises(gp.PolicyBlocked):
            self.manager.call("relay", "!echo")


class Configured(ManagerCase):
    config = {
        "config": {"values": {"app.name": "GoatFlow"}},
        "policies": {"relay": {"version": 1, "status": "blocked", "permissions": []}},
    }

    def setUp(self) -> None:
        super().setUp()
        self.other = self.load("other", policy=None)

    def load(self, name: str, *arguments: Any, **options: Any) -> str:
        options["policy"] = None
        return super().load(name, *arguments, **options)

    def test_policies_of_the_configuration_are_in_force(self) -> None:
        with self.assertRaises(gp.PolicyBlocked):
            self.manager.call("relay", "!echo")
        self.assertEqual(self.manager.call("other", "!echo", b"1"), b"1")


class Validation(unittest.TestCase):
    def setUp(self) -> None:
        environment("GOATFLOW_PLUGIN_LIBRARY")

    def test_a_report_tells_instead_of_an_exception(self) -> None:
        good = gp.validate_policy(EVERYTHING)
        bad = gp.validate_policy({"version": 1, "colour": "red"})
        broken = gp.validate_policy("{")
        self.assertNotEqual(good, bad)
        for report in (good, bad, broken, gp.validate_policy(None)):
            self.assertIsInstance(report, dict)
        self.assertIn("colour", str(bad))
