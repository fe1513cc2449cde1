"""Functions and services, without a host. With one: bindings/plugin-go/native and tests/all/native_contract.rs."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from goatflow_plugin_sdk import Call, Failure, HostError, Plugin  # noqa: E402


class Functions(unittest.TestCase):
    def setUp(self):
        self.plugin = Plugin("test", "1.0.0")
        self.logged = []

    def invoke(self, function, body=b""):
        return self.plugin.invoke(Call(self.ask, function, body))

    def ask(self, function, arguments):
        self.logged.append((function, json.loads(arguments)))
        return b'{"ok":true}'

    def test_what_is_returned_is_the_answer(self):
        for value, answer in [
            (None, b""),
            ({"a": "ä<"}, '{"a":"ä<"}'.encode()),
            (b" [1] ", b" [1] "),
            (0, b"0"),
        ]:
            self.plugin = Plugin("test", "1.0.0")
            self.plugin.function("f")(lambda call, value=value: value)
            self.assertEqual(self.invoke("f"), answer)

    def test_what_is_raised_is_an_answer_too(self):
        def refused(call):
            raise HostError("db_query", "policy.sql.table_denied", "no")

        def fails(call):
            raise Failure("no such ticket", "not_found")

        self.plugin.function(refused)
        self.plugin.function(fails)
        self.assertEqual(self.invoke("refused"), b'{"error":"db_query: no","code":"policy.sql.table_denied"}')
        self.assertEqual(self.invoke("fails"), b'{"error":"no such ticket","code":"not_found"}')
        self.assertEqual(self.invoke("absent"), b'{"error":"unknown function: absent"}')
        self.assertEqual(self.logged, [])

    def test_mistakes_are_logged(self):
        self.plugin.function("f")(lambda call: {}["x"])
        self.assertEqual(self.invoke("f"), b"""{"error":"KeyError: 'x'"}""")
        [(function, line)] = self.logged
        self.assertEqual((function, line["level"]), ("log", "error"))
        self.assertIn("Traceback", line["message"])

    def test_a_function_that_exits_is_a_mistake(self):
        self.plugin.function("f")(lambda call: sys.exit(4))
        self.assertEqual(self.invoke("f"), b'{"error":"SystemExit: 4"}')
        self.assertEqual(len(self.logged), 1)

    def test_results_that_are_no_json_are_mistakes(self):
        self.plugin.function("f")(lambda call: object())
        self.assertEqual(self.invoke("f"), b'{"error":"TypeError: Object of type object is not JSON serializable"}')
        self.plugin.function("nan")(lambda call: float("nan"))
        self.assertIn(b'{"error":"ValueError: ', self.invoke("nan"))

    def test_arguments_are_read(self):
        self.plugin.function("f")(lambda call: [call.arguments])
        self.assertEqual(self.invoke("f", b'{"a":1}'), b'[{"a":1}]')
        self.assertEqual(self.invoke("f"), b"[null]")
        self.assertTrue(self.invoke("f", b"{").startswith(b'{"error":"arguments of f: '))

    def test_a_function_is_defined_once(self):
        self.plugin.function("f")(lambda call: 1)
        with self.assertRaises(ValueError):
            self.plugin.function("f")(lambda call: 2)

    def test_the_host_can_not_be_called_too_early(self):
        with self.assertRaises(HostError) as raised:
            self.plugin.host.config("app.name")
        self.assertEqual(raised.exception.code, "lifecycle.not_ready")


class HostCalls(unittest.TestCase):
    """Every service sends the documented request and reads the documented reply."""

    def check(self, reply, use, function, arguments, result):
        sent = []
        call = Call(lambda *request: sent.append(request) or reply.encode(), "f")
        self.assertEqual(use(call), result)
        self.assertEqual([(name, body.decode()) for name, body in sent], [(function, arguments)])

    def test_services(self):
        ok = '{"ok":true}'
        for row in [
            ('[{"n":9007199254740993}]', lambda c: c.db.query("SELECT ?", 1, "x", None), "db_query",
             '{"query":"SELECT ?","args":[1,"x",null]}', [{"n": 9007199254740993}]),
            ("null", lambda c: c.db.query("SELECT 1"), "db_query", '{"query":"SELECT 1","args":null}', []),
            ('{"affected":3}', lambda c: c.db.execute("DELETE FROM t"), "db_exec",
             '{"query":"DELETE FROM t","args":null}', 3),
            ('{"found":true,"value":"aGk="}', lambda c: c.cache.get("k"), "cache_get", '{"key":"k"}', b"hi"),
            ('{"found":true,"value":null}', lambda c: c.cache.get("k"), "cache_get", '{"key":"k"}', b""),
            ('{"found":false,"value":null}', lambda c: c.cache.get("k"), "cache_get", '{"key":"k"}', None),
            (ok, lambda c: c.cache.set("k", b"hi", ttl=2), "cache_set", '{"key":"k","value":"aGk=","ttl":2}', None),
            (ok, lambda c: c.cache.delete("k"), "cache_delete", '{"key":"k"}', None),
            ('{"status":404,"body":"aGk="}', lambda c: c.http("GET", "https://example.com/"), "http_request",
             '{"method":"GET","url":"https://example.com/","headers":{},"body":""}', (404, b"hi")),
            (ok, lambda c: c.send_email("a@example.com", "s", "b"), "send_email",
             '{"to":"a@example.com","subject":"s","body":"b","html":false}', None),
            ('{"value":"GoatFlow"}', lambda c: c.config("app.name"), "config_get", '{"key":"app.name"}', "GoatFlow"),
            ('{"value":"3 Tickets"}', lambda c: c.translate("p.t", 3), "translate", '{"key":"p.t","args":[3]}', "3 Tickets"),
            ("", lambda c: c.call_plugin("p", "f"), "plugin_call", '{"plugin":"p","function":"f","args":null}', None),
            ('{"status":"ok"}', lambda c: c.publish("c", "e", "d"), "publish_event",
             '{"channel":"c","event_type":"e","data":"d"}', None),
            (ok, lambda c: c.log.warn("w", n=1), "log", '{"level":"warn","message":"w","fields":{"n":1}}', None),
            (ok, lambda c: c.host("declared"), "declared", "{}", {"ok": True}),
        ]:  # fmt: skip
            self.check(*row)


if __name__ == "__main__":
    unittest.main()
