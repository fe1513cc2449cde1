"""The base of all errors. Its subclasses, one per status code, are generated into `codes`."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping, Optional, Sequence


class PluginError(Exception):
    """What the library refused or failed: a code for programs, a sentence for people.

    Catch a class of `codes` (``PolicySqlTableDenied``), a family (``PolicyError``), or this base. Raise one from a host
    function to give the plugin its message, and its code if it is a `PolicyError` or `HostError`; the text of any other
    exception is kept from the plugin.
    """

    default_status: ClassVar[int] = 0
    default_code: ClassVar[str] = "unknown"
    default_retryable: ClassVar[bool] = False

    status: int
    """Stable number, as in the C header."""
    code: str
    """Stable dotted name, for example ``policy.sql.table_denied``."""
    message: str
    plugin: str
    """The plugin the error is about; empty when it is not about one."""
    detail: Dict[str, Any]
    """Facts about the error, for programs."""
    retryable: bool
    """True when the same request may succeed later without any change."""

    def __init__(
        self,
        message: str = "",
        *,
        status: Optional[int] = None,
        code: Optional[str] = None,
        plugin: str = "",
        detail: Optional[Mapping[str, Any]] = None,
        retryable: Optional[bool] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.code = self.default_code if code is None else code
        self.plugin = plugin
        self.detail = dict(detail or {})
        self.retryable = self.default_retryable if retryable is None else retryable

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.message else self.code


class LibraryNotFound(ImportError):
    """No usable ``libgoatflow_plugin.so.1`` was found; the message says where it was looked for."""

    def __init__(self, message: str, tried: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tried = tuple(tried)
