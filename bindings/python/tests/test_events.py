"""Subscriptions: what happens in the library, and what plugins publish."""

from __future__ import annotations

import threading
from typing import Any, Dict, List

import goatflow_plugin as gp
from goatflow_plugin._callbacks import live_registrations
from support import EVERYTHING, ManagerCase, collect_garbage, eventually

Event = Dict[str, Any]


class Events(ManagerCase):
    def collect(self, **filters: Any) -> List[Event]:
        events: List[Event] = []
        self.manager.subscribe(events.append, **filters)
        return events

    def arrived(self, events: List[Event], *kinds: str) -> bool:
        return eventually(lambda: [event["kind"] for event in events][: len(kinds)] == list(kinds))

    def test_lifecycle_events_arrive_in_order(self) -> None:
        events = self.collect(plugin="relay")
        self.manager.disable("relay")
        self.manager.enable("relay")
        self.manager.set_policy("relay", EVERYTHING)
        self.manager.unload("relay")
        kinds = ("plugin.disabled", "plugin.enabled", "policy.changed", "plugin.unloaded")
        self.assertTrue(self.arrived(events, *kinds), events)
        self.assertEqual({event["plugin"] for event in events}, {"relay"})

    def test_a_subscription_that_nobody_keeps_lasts(self) -> None:
        events = self.collect(kinds=["plugin.disabled"])
        collect_garbage()
        self.manager.disable("relay")
        self.assertTrue(self.arrived(events, "plugin.disabled"), events)

    def test_kinds_are_filtered(self) -> None:
        events = self.collect(kinds=["plugin.loaded"])
        self.manager.disable("relay")
        self.load("other", policy=None)
        self.assertTrue(self.arrived(events, "plugin.loaded"), events)
        self.assertEqual([(event["kind"], event["plugin"]) for event in events], [("plugin.loaded", "other")])

    def test_published_events_and_denials_arrive(self) -> None:
        self.grant("relay", {"type": "event", "access": "write", "scope": ["*"]})
        events = self.collect(kinds=["published", "call.denied"])
        answer = self.manager.call("relay", "publish_event", {"channel": "c", "event_type": "t", "data": "d"})
        self.manager.set_policy("relay", {"version": 1, "status": "approved", "permissions": []})
        self.manager.call("relay", "config_get", {"key": "app.name"})
        self.assertTrue(self.arrived(events, "published", "call.denied"), (answer, events))
        self.assertEqual((events[0]["channel"], events[0]["event_type"]), ("c", "t"))

    def test_log_lines_arrive(self) -> None:
        events = self.collect(kinds=["log"])
        self.manager.call("relay", "!glog", b"hello from the guest")
        self.assertTrue(eventually(lambda: "hello from the guest" in str(events)), events)

    def test_closing_stops_events_and_lets_the_function_go(self) -> None:
        events: List[Event] = []
        with self.manager.subscribe(events.append) as subscription:
            self.assertEqual(live_registrations(), 1)
        self.assertTrue(subscription.wait_closed(10))
        self.assertEqual(live_registrations(), 0)
        self.manager.disable("relay")
        self.assertEqual(events, [])
        subscription.close()

    def test_a_failing_subscriber_is_logged_and_gets_the_next_event(self) -> None:
        events: List[Event] = []

        def fail(event: Event) -> None:
            events.append(event)
            raise ValueError("broken subscriber")

        self.manager.subscribe(fail)
        with self.assertLogs("goatflow_plugin", "ERROR"):
            self.manager.disable("relay")
            self.manager.enable("relay")
            self.assertTrue(self.arrived(events, "plugin.disabled", "plugin.enabled"), events)

    def test_a_subscriber_may_use_the_library_and_close_itself(self) -> None:
        seen: List[Any] = []
        done = threading.Event()

        def subscriber(event: Event) -> None:
            seen.append(self.manager.call("relay", "!echo", b"1"))
            subscription.close()
            seen.append(subscription.wait_closed(0))
            done.set()

        subscription = self.manager.subscribe(subscriber, kinds=["plugin.enabled"])
        self.manager.disable("relay")
        self.manager.enable("relay")
        self.assertTrue(done.wait(10))
        self.assertEqual(seen, [b"1", False])
        self.assertTrue(subscription.wait_closed(10))

    def test_wrong_filters_are_refused_and_the_function_let_go(self) -> None:
        wrong: Any
        for wrong in ({"kinds": ["no.such.kind"]}, {"kinds": "plugin.loaded"}, {"plugin": 5}):
            with self.subTest(str(wrong)), self.assertRaises(gp.ArgumentError):
                self.manager.subscribe(print, **wrong)
        self.assertTrue(eventually(lambda: live_registrations() == 0))
