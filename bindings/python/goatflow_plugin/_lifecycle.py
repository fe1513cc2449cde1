"""Versions of plugins exchanged while they serve, health, and development: the part of a manager that has to do with them."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple, TypedDict, Union

from ._abi import Functions
from ._arguments import document, milliseconds, path, text
from ._library import fetch_json, perform

PathLike = Union[str, "os.PathLike[str]"]


class RegistrationChange(TypedDict):
    """What is different in one section of a registration."""

    added: List[str]
    removed: List[str]
    changed: List[str]


class Collision(TypedDict):
    """An item that another plugin registers, too."""

    section: str
    item: str
    plugin: str


class SwapReport(TypedDict):
    """What an exchange of versions did."""

    plugin: str
    kind: str
    """"replaced", "reloaded" or "rolled_back"."""
    old_version: str
    new_version: str
    old_generation: int
    generation: int
    enabled: bool
    drained: bool
    calls_running: int
    probation_ms: int
    changes: Dict[str, RegistrationChange]
    """By section, those that changed only."""
    asks_for_more: List[str]
    """What the new version asks for beyond the old one; nothing of it is granted."""
    collisions: List[Collision]
    warnings: List[str]


class ProbeResult(TypedDict):
    """What came of asking a plugin whether it is healthy."""

    at: str
    healthy: bool
    took_us: int
    error: Optional[Dict[str, Any]]


class Recovery(TypedDict):
    """Failures of a plugin, and how often it was started again."""

    failures: int
    recent_failures: int
    restarts: int
    crash_loop: bool


class Health(TypedDict):
    """What is known about the health of a plugin."""

    plugin: str
    state: str
    """"unknown", "healthy", "unhealthy" or "crash_loop"."""
    consecutive_failures: int
    last_probe: Optional[ProbeResult]
    recovery: Recovery


class _LayerName(TypedDict):
    name: str
    state: str
    """"ok", "reduced" or "missing"."""


class IsolationLayer(_LayerName, total=False):
    """One layer of the isolation of native plugins."""

    fact: str
    reason: str
    remedy: str
    """What an administrator can do about a missing layer."""


class IsolationReport(TypedDict):
    """How well this machine isolates native plugins."""

    level: int
    """0 (not at all) to 4."""
    layers: List[IsolationLayer]


def _replace_options(
    drain: Optional[float], probe: Optional[bool], probation: Optional[float]
) -> Tuple[Optional[bytes], int]:
    options: Dict[str, Any] = {}
    if drain is not None:
        options["drain_ms"] = milliseconds(drain)
    if probe is not None:
        options["probe"] = probe
    if probation is not None:
        options["probation_ms"] = milliseconds(probation)
    return document(options or None)


class Lifecycle:
    """Mixed into `Manager`, whose handle and functions it uses."""

    _c: Functions
    handle: Any

    def replace(
        self,
        plugin: PathLike,
        *,
        drain: Optional[float] = None,
        probe: Optional[bool] = None,
        probation: Optional[float] = None,
    ) -> SwapReport:
        """Puts what is at a path in place of the loaded plugin of the same name, without losing a call.

        Whatever fails, the old version serves on; `detail["step"]` of the exception tells how far it came. `drain`: seconds
        to wait for calls of the old version, by default the time that its policy gives a call; 0 in a host function of that
        very plugin. `probe=False`: the new version need not show that it is healthy. `probation`: seconds for which it is
        held against the old one, and taken back if it is much worse; by default what its policy says.
        """
        return self._exchange(self._c.manager_replace, path(plugin), drain, probe, probation)

    def reload(
        self,
        plugin: str,
        *,
        drain: Optional[float] = None,
        probe: Optional[bool] = None,
        probation: Optional[float] = None,
    ) -> SwapReport:
        """Loads a plugin again from where it came from and puts that in place of what serves, as `replace`."""
        return self._exchange(self._c.manager_reload, text(plugin), drain, probe, probation)

    def rollback(
        self,
        plugin: str,
        *,
        drain: Optional[float] = None,
        probe: Optional[bool] = None,
        probation: Optional[float] = None,
    ) -> SwapReport:
        """Puts the version before the one that serves back; `LifecycleNoPrevious` if there is none."""
        return self._exchange(self._c.manager_rollback, text(plugin), drain, probe, probation)

    async def replace_async(self, plugin: PathLike, **options: Any) -> SwapReport:
        """As `replace`, without blocking the event loop. A task that is cancelled stops waiting; the exchange goes on."""
        return await _elsewhere(partial(self.replace, plugin, **options))

    async def reload_async(self, plugin: str, **options: Any) -> SwapReport:
        """As `reload`, without blocking the event loop. A task that is cancelled stops waiting; the exchange goes on."""
        return await _elsewhere(partial(self.reload, plugin, **options))

    async def rollback_async(self, plugin: str, **options: Any) -> SwapReport:
        """As `rollback`, without blocking the event loop. A task that is cancelled stops waiting; the exchange goes on."""
        return await _elsewhere(partial(self.rollback, plugin, **options))

    def _exchange(
        self,
        function: Any,
        target: Tuple[bytes, int],
        drain: Optional[float],
        probe: Optional[bool],
        probation: Optional[float],
    ) -> SwapReport:
        options = _replace_options(drain, probe, probation)
        report: SwapReport = fetch_json(self._c, function, self.handle, *target, *options)
        return report

    def health(self, plugin: str) -> Health:
        """What is known about the health of a plugin; asks nobody."""
        return self._health(self._c.manager_health, plugin)

    def probe(self, plugin: str) -> Health:
        """Asks a plugin now whether it is healthy, within the configured time. That it is not is no exception."""
        return self._health(self._c.manager_probe, plugin)

    def reset_crash_loop(self, plugin: str) -> Health:
        """Forgets a plugin's failures, so that one that failed too often is started again."""
        return self._health(self._c.manager_reset_crash_loop, plugin)

    def _health(self, function: Any, plugin: str) -> Health:
        health: Health = fetch_json(self._c, function, self.handle, *text(plugin))
        return health

    def watch(
        self,
        target: PathLike,
        *,
        mode: Optional[str] = None,
        quiet: Optional[float] = None,
        poll: Optional[float] = None,
    ) -> Dict[str, Any]:
        """Loads a plugin again by itself whenever what it came from changes on disk. For development.

        `target`: name of a loaded plugin, or a path. `mode`: "auto" or "polling". `quiet`: seconds without a change before
        one is taken up. `poll`: seconds between looks.
        """
        options: Dict[str, Any] = {} if mode is None else {"mode": mode}
        if quiet is not None:
            options["quiet_ms"] = milliseconds(quiet)
        if poll is not None:
            options["poll_ms"] = milliseconds(poll)
        arguments = (*path(target), *document(options or None))
        report: Dict[str, Any] = fetch_json(self._c, self._c.manager_watch, self.handle, *arguments)
        return report

    def unwatch(self, target: PathLike) -> None:
        """Watches a plugin or path no more; the plugin stays loaded."""
        perform(self._c, self._c.manager_unwatch, self.handle, *path(target))

    def watches(self) -> List[Dict[str, Any]]:
        """Everything that is watched, and what became of it."""
        watched: List[Dict[str, Any]] = fetch_json(self._c, self._c.manager_watches, self.handle)
        return watched


async def _elsewhere(exchange: Callable[[], SwapReport]) -> SwapReport:
    return await asyncio.get_running_loop().run_in_executor(None, exchange)
