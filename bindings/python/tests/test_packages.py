"""Packages, trust and files of plugins."""

from __future__ import annotations

import hashlib
import json
import tempfile
import unittest
import zipfile
from pathlib import Path

import goatflow_plugin as gp

ROOT = Path(__file__).resolve().parents[3]
KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def write_package(path: Path, version: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("manifest.json", json.dumps({"name": "theme", "version": version}))
        package.writestr("templates/page.html", f"<h1>{version}</h1>")


class Signatures(unittest.TestCase):
    def test_every_published_vector_gets_its_verdict(self) -> None:
        verdicts = {"accept": 0, "reject": 0}
        for line in (ROOT / "tests/fixtures/signature/ed25519.jsonl").read_text().splitlines():
            vector = json.loads(line)
            if vector["expected"] == "either":
                continue
            fields = (bytes.fromhex(vector[field]) for field in ("public_key", "msg", "sig"))
            self.assertEqual(gp.is_valid_signature(*fields), vector["expected"] == "accept", vector["id"])
            verdicts[vector["expected"]] += 1
        self.assertEqual(verdicts, {"accept": 88, "reject": 74})


class Installed(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        packages = {"directory": str(self.place / "plugins"), "trust_file": str(self.place / "trust.json")}
        self.manager = gp.Manager({"packages": packages})
        self.addCleanup(self.manager.close)
        self.manager.trust_key({"public_key": KEY, "label": "a", "names": ["*"]})

    def package(self, version: str) -> Path:
        path = self.place / f"{version}.zip"
        write_package(path, version)
        return path

    def test_versions_come_and_go(self) -> None:
        for version in ("1.0.0", "2.0.0"):
            self.assertEqual(self.manager.install_package(self.package(version))["current"], version)
        self.assertEqual(self.manager.rollback_package("theme")["current"], "1.0.0")
        self.manager.load_package("theme")
        (asset,) = self.manager.assets("theme")
        content = self.manager.asset("theme", "templates/page.html")
        self.assertEqual((content, asset["sha256"]), (b"<h1>1.0.0</h1>", hashlib.sha256(content).hexdigest()))
        with self.assertRaises(gp.PackageAssetNotFound):
            self.manager.asset("theme", "templates/other.html")
        self.manager.remove_package("theme", "2.0.0")
        self.assertEqual([len(package["versions"]) for package in self.manager.packages()], [1])
        self.manager.remove_package("theme")
        self.assertEqual(self.manager.packages(), [])

    def test_what_is_refused_says_why(self) -> None:
        package = self.package("1.0.0")
        self.assertEqual(self.manager.inspect_package(package)["signature"]["status"], "unsigned")
        Path(f"{package}.sig").write_text("00" * 64)
        with self.assertRaises(gp.SignatureBadSignature):
            self.manager.install_package(package)
        with self.assertRaises(gp.PackageNothingPending):
            Path(f"{package}.sig").unlink()
            self.manager.install_package(package, allow_downgrade=True, approve=True)
            self.manager.approve_package("theme")

    def test_trust_is_given_and_taken_back(self) -> None:
        self.assertEqual(self.manager.trust()["keys"][0]["label"], "a")
        with self.assertRaises(gp.SignatureTrustConflict):
            self.manager.trust_key({"public_key": KEY, "label": "b", "names": ["*"]})
        trusted = self.manager.revoke_trust({"key": KEY, "reason": "lost"})
        self.assertEqual(trusted["keys"][0]["revoked"]["reason"], "lost")
        self.assertEqual(gp.trust_schema()["title"], "goatflow-plugin trust store")


if __name__ == "__main__":
    unittest.main()
