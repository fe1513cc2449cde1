"""Archives of the current directory as Python's zipfile writes them. usage: make_fixtures.py OUTDIR"""

import pathlib
import sys
import zipfile

OUT = pathlib.Path(sys.argv[1])
FILES = sorted(path for path in pathlib.Path(".").rglob("*"))


class Stream:
    """An output that can't be sought in, so that sizes follow the contents."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        return self.file.write(data)

    def flush(self):
        self.file.flush()


def add(archive, force_zip64=False):
    for path in FILES:
        if force_zip64 and path.is_file():
            with archive.open(zipfile.ZipInfo(str(path)), "w", force_zip64=True) as entry:
                entry.write(path.read_bytes())
        else:
            archive.write(path)


with zipfile.ZipFile(OUT / "python-plain.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    add(archive)
with zipfile.ZipFile(OUT / "python-stored.zip", "w") as archive:
    add(archive)
with zipfile.ZipFile(OUT / "python-zip64.zip", "w") as archive:
    add(archive, force_zip64=True)
with open(OUT / "python-stream.zip", "wb") as file:
    with zipfile.ZipFile(Stream(file), "w", zipfile.ZIP_DEFLATED) as archive:
        add(archive)
with open(OUT / "python-stream-zip64.zip", "wb") as file:
    with zipfile.ZipFile(Stream(file), "w") as archive:
        add(archive, force_zip64=True)
with zipfile.ZipFile(OUT / "python-writestr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for path in FILES:
        if path.is_file():
            archive.writestr(str(path), path.read_bytes())
