"""The built-in HTTP client, turned on by the configuration document, against a server on this machine."""

from __future__ import annotations

import base64
import http.server
import threading
import unittest
from typing import List, Tuple

import goatflow_plugin as gp
from support import EVERYTHING, ManagerCase


class Requests(ManagerCase):
    config = {"http": {"timeout_ms": 20000}}

    def setUp(self) -> None:
        super().setUp()
        seen: List[Tuple[str, str]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append((self.path, self.headers["X-GoatFlow-Plugin"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, *_: object) -> None:
                pass

        self.seen = seen
        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/x"
        self.entry = {"type": "http", "scope": [f"127.0.0.1:{server.server_port}"]}

    def test_a_private_address_needs_its_own_grant(self) -> None:
        for entry, code in (
            ({"type": "http", "scope": ["*"]}, "policy.http.url_denied"),
            (self.entry, "policy.http.address_denied"),
        ):
            self.manager.set_policy("relay", {**EVERYTHING, "permissions": [entry]})
            self.assertEqual(self.manager.call_json("relay", "http_request", {"url": self.url})["code"], code)
        self.assertEqual(self.seen, [])
        opened = {**self.entry, "allow_private": ["127.0.0.1/32"]}
        self.manager.set_policy("relay", {**EVERYTHING, "permissions": [opened]})
        answer = self.manager.call_json("relay", "http_request", {"url": self.url})
        self.assertEqual(answer, {"status": 200, "body": base64.b64encode(b"hello").decode()})
        self.assertEqual(self.seen, [("/x", "relay")])


class Configuration(unittest.TestCase):
    def test_sections_are_checked_and_secrets_are_not_repeated(self) -> None:
        mail = {"host": "h", "from": "a@b.example", "encryption": "plain", "username": "u", "password": "hunter2"}
        for section in ({"http": {"proxy": "x"}}, {"mail": {"host": "h"}}, {"mail": mail}):
            with self.assertRaises(gp.ArgumentConfig) as caught:
                gp.Manager({"version": 1, **section})
            self.assertNotIn("hunter2", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
