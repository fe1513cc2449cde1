"""Learning: refused or observed, suggested, accepted, working; asked without a call."""

from __future__ import annotations

import os
import tempfile
import unittest
from typing import Any, Dict

import goatflow_plugin as gp
from support import ManagerCase

KEY = {"key": "app.name"}


class Loop(ManagerCase):
    def setUp(self) -> None:
        super().setUp()
        self.manager.set_policy("relay", None)

    def ask(self, key: str) -> Dict[str, Any]:
        answer: Dict[str, Any] = self.manager.call_json("relay", "config_get", {"key": key})
        return answer

    def test_refused_suggested_accepted_works_and_nothing_more(self) -> None:
        self.assertEqual(self.ask("app.name")["code"], "policy.permission_missing")
        self.assertEqual(self.ask("smtp.password")["code"], "policy.permission_missing")
        verdict = self.manager.check_policy("relay", "config_get", KEY)
        self.assertEqual((verdict["allow"], verdict["rule"]), (False, "permission"))
        suggestion = self.manager.suggest_policy("relay")
        entry = {"type": "config", "access": "read", "scope": ["app.name"]}
        self.assertIn(entry, suggestion["document"]["permissions"])
        self.assertNotIn("smtp.password", str(suggestion["document"]))
        self.assertIn("smtp.password", str(self.manager.suggest_policy("relay", sensitive=True)["document"]))
        revision = self.manager.apply_policy("relay", suggestion)
        self.assertEqual(self.manager.policy("relay")["revision"], revision)
        self.assertEqual(self.ask("app.name"), {"value": "GoatFlow"})
        self.assertEqual(self.ask("app.other")["code"], "policy.config.key_denied")
        self.assertTrue(self.manager.check_policy("relay", "config_get", KEY)["allow"])
        with self.assertRaises(gp.PolicyRevisionConflict):
            self.manager.apply_policy("relay", suggestion)
        self.assertEqual(self.manager.policy_history("relay", limit=1)[0]["action"], "applied")

    def test_an_observed_plugin_may_what_only_lacks_a_grant(self) -> None:
        self.manager.observe_policy("relay", 3600)
        self.assertEqual(self.ask("app.name"), {"value": "GoatFlow"})
        self.assertEqual(self.ask("smtp.password")["code"], "policy.permission_missing")
        self.assertIn("until", self.manager.policy("relay")["effective"]["observe"])
        self.manager.observe_policy("relay", 0)
        self.assertEqual(self.ask("app.name")["code"], "policy.permission_missing")
        for wrong in (-1, 2**64):
            with self.assertRaises(ValueError):
                self.manager.observe_policy("relay", wrong)
        with self.assertRaises(gp.ArgumentInvalid):
            self.manager.observe_policy("relay", 32 * 86_400)

    def test_wrong_suggestions_change_nothing(self) -> None:
        before = self.manager.policy("relay")
        wrong: Any
        for wrong in ("", "{", "[]", {}, {"plugin": "other", "revision": 0, "document": {}}, {"plugin": "relay"}):
            with self.assertRaises(gp.ArgumentError if hasattr(gp, "ArgumentError") else gp.PluginError):
                self.manager.apply_policy("relay", wrong)
        self.assertEqual(self.manager.policy("relay"), before)


class Documents(unittest.TestCase):
    def test_a_document_is_checked_without_a_manager(self) -> None:
        request = {"function": "db_query", "arguments": {"query": "SELECT id FROM ticket"}, "dialect": "mysql"}
        self.assertEqual(gp.check_policy(None, request)["code"], "policy.permission_missing")
        permission = {"type": "db", "access": "read", "scope": ["ticket"]}
        policy = {"version": 1, "status": "approved", "permissions": [permission]}
        self.assertTrue(gp.check_policy(policy, request)["allow"])
        with self.assertRaises(gp.PolicyDocumentInvalid):
            gp.check_policy("{", request)

    def test_a_store_outlives_the_manager(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            store = {"kind": "file", "directory": os.path.join(directory, "policies")}
            with gp.Manager({"version": 1, "policy_store": store}) as manager:
                manager.set_policy("kept", {"version": 1, "status": "blocked"})
            with gp.Manager({"version": 1, "policy_store": store}) as manager:
                self.assertEqual(manager.policy("kept")["stored"]["status"], "blocked")


if __name__ == "__main__":
    unittest.main()
