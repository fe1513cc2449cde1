"""What other tools make of archives: one JSON object per archive on standard output, in the order of the arguments' file.

usage: read_archives.py LIST    LIST holds one path per line

Each object: {"python": …, "unzip": …}, each of them {"error": text} or {"names": [in order], "files": {name: sha256}}.
Directories are in "names" with their slash. "dos_names" of "python" tells that Info-ZIP can't be asked.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile

ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}


def by_python(path):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            bad = archive.testzip()
            if bad is not None:
                return {"error": "bad content of " + bad}
            files = {name: digest(archive.read(name)) for name in names if not name.endswith("/")}
            # Info-ZIP takes such names for those of a DOS code page, although the flag says UTF-8; Go and Java write them.
            dos = any(entry.create_system == 0 and not entry.filename.isascii() for entry in archive.infolist())
            return {"names": names, "files": files, "dos_names": dos}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def by_unzip(path):
    listing = subprocess.run(["unzip", "-Z1", path], capture_output=True, env=ENVIRONMENT)
    if listing.returncode != 0:
        return {"error": "listing: " + listing.stderr.decode(errors="replace")}
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(["unzip", "-qq", "-o", path, "-d", directory], capture_output=True, env=ENVIRONMENT)
        if done.returncode != 0:
            return {"error": f"{done.returncode} {(done.stderr + done.stdout).decode(errors='replace')}"}
        files = {}
        for root, _, names in os.walk(directory):
            for name in names:
                full = os.path.join(root, name)
                with open(full, "rb") as file:
                    inside = os.fsencode(os.path.relpath(full, directory)).decode(errors="replace")
                    files[inside] = digest(file.read())
    return {"names": listing.stdout.decode(errors="replace").split("\n")[:-1], "files": files}


def digest(content):
    return hashlib.sha256(content).hexdigest()


with open(sys.argv[1], encoding="utf-8") as paths:
    for line in paths:
        path = line.rstrip("\n")
        print(json.dumps({"python": by_python(path), "unzip": by_unzip(path)}), flush=True)
