"""What served when: the versions of one plugin in the order in which they were put into service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List


@dataclass
class Entry:
    """One version in service."""

    version: str
    crashes: bool = False
    answered: bool = False
    overlapped: bool = False  # it answered while a call of the version before was under way


@dataclass
class Window:
    """A call's view: what may serve it, from its begin to its end."""

    oldest: int = 0
    newest: int = 0
    changing: bool = False


class History:
    """One thread writes, all ask."""

    def __init__(self, version: str) -> None:
        self.entries: List[Entry] = [Entry(version)]
        self.settled = 0  # the newest entry before which none serves any more
        self.started = 0  # the newest entry that may serve already
        self.changing = False  # an exchange is under way, perhaps one that will fail

    def start(self, version: str, crashes: bool = False) -> None:
        """From now on `version` may answer as well."""
        self.entries.append(Entry(version, crashes))
        self.started += 1

    def settle(self) -> None:
        """From now on new calls meet the newest version only."""
        self.settled = self.started

    def serving(self) -> str:
        return self.entries[self.started].version

    def open(self) -> Window:
        changing = self.changing
        return Window(self.settled, self.settled, changing)

    def close(self, window: Window) -> None:
        window.newest = self.started
        window.changing = window.changing or self.changing or window.newest != window.oldest

    def has_crashing(self, window: Window) -> bool:
        return any(entry.crashes for entry in self.entries[window.oldest : window.newest + 1])

    def admits(self, window: Window, version: str) -> bool:
        """Whether the version may have answered. Notes that it did, and that two versions served side by side: this call
        began before the next version's, and ends after one of that version's has."""
        for at in range(window.newest, window.oldest - 1, -1):
            if self.entries[at].version == version:
                self.entries[at].answered = True
                if at < window.newest and self.entries[at + 1].answered:
                    self.entries[at + 1].overlapped = True
                return True
        return False

    def overlaps(self) -> int:
        return sum(entry.overlapped for entry in self.entries)
