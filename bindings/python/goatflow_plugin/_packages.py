"""Packages, trust and files of plugins: the part of a manager that has to do with them."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Union

from ._abi import Functions
from ._arguments import Document, document, path, text
from ._library import fetch, fetch_json, perform


class Packages:
    """Mixed into `Manager`, whose handle and functions it uses."""

    _c: Functions
    handle: Any

    def inspect_package(self, file: Union[str, "os.PathLike[str]"]) -> Dict[str, Any]:
        """What a package holds and who signed it, checked as for an installation; nothing is changed."""
        report: Dict[str, Any] = fetch_json(self._c, self._c.package_inspect, self.handle, *path(file))
        return report

    def install_package(
        self, file: Union[str, "os.PathLike[str]"], *, allow_downgrade: bool = False, approve: bool = False
    ) -> Dict[str, Any]:
        """Installs a package; no code of it runs. `needs_approval` of the report names what it asks for beyond what was
        approved: then the old version stays current until `approve_package`."""
        options = document({"allow_downgrade": allow_downgrade, "approve": approve})
        report: Dict[str, Any] = fetch_json(self._c, self._c.package_install, self.handle, *path(file), *options)
        return report

    def packages(self) -> List[Dict[str, Any]]:
        """Installed packages with their versions."""
        listed: List[Dict[str, Any]] = fetch_json(self._c, self._c.package_list, self.handle)
        return listed

    def load_package(self, name: str) -> None:
        """Loads the current version of an installed package."""
        perform(self._c, self._c.package_load, self.handle, *text(name))

    def rollback_package(self, name: str) -> Dict[str, Any]:
        """Makes the previous version the current one; what is loaded stays loaded."""
        report: Dict[str, Any] = fetch_json(self._c, self._c.package_rollback, self.handle, *text(name))
        return report

    def approve_package(self, name: str, version: Optional[str] = None) -> Dict[str, Any]:
        """Approves what the waiting version asks for and makes it the current one.

        With the version (or key) that was looked at, no other is approved."""
        which = (None, 0) if version is None else text(version)
        report: Dict[str, Any] = fetch_json(self._c, self._c.package_approve, self.handle, *text(name), *which)
        return report

    def remove_package(self, name: str, version: Optional[str] = None) -> Dict[str, Any]:
        """Removes a package, or one version of it that is not the current one."""
        which = (None, 0) if version is None else text(version)
        report: Dict[str, Any] = fetch_json(self._c, self._c.package_remove, self.handle, *text(name), *which)
        return report

    def assets(self, plugin: str) -> List[Dict[str, Any]]:
        """Files that a loaded plugin brought: name, size, sha256."""
        listed: List[Dict[str, Any]] = fetch_json(self._c, self._c.asset_list, self.handle, *text(plugin))
        return listed

    def asset(self, plugin: str, name: str) -> bytes:
        """Content of such a file: what was verified when the plugin was loaded."""
        return fetch(self._c, self._c.asset_read, self.handle, *text(plugin), *text(name))

    def trust(self) -> Dict[str, Any]:
        """Everything that is trusted, as a trust store."""
        trusted: Dict[str, Any] = fetch_json(self._c, self._c.trust_list, self.handle)
        return trusted

    def trust_key(self, key: Document) -> Dict[str, Any]:
        """Trusts a further key, given as an entry of a trust store; in force from the next load on."""
        trusted: Dict[str, Any] = fetch_json(self._c, self._c.trust_add, self.handle, *document(key))
        return trusted

    def revoke_trust(self, revocation: Document) -> Dict[str, Any]:
        """Trusts a key (`{"key": …}`) or a file (`{"sha256": …}`) no more; in force from the next load on."""
        trusted: Dict[str, Any] = fetch_json(self._c, self._c.trust_revoke, self.handle, *document(revocation))
        return trusted
