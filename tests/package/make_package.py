"""Writes a package of 77 files and about 1.4 MB, as plugins have them, for measurements. usage: make_package.py FILE"""

import random
import sys
import zipfile

DICE = random.Random(7)
WORDS = [bytes(DICE.choices(b"abcdefghijklmnopqrstuvwxyz", k=DICE.randint(2, 9))) for _ in range(3_000)]


def text(size):
    out = b""
    while len(out) < size:
        out += b" ".join(DICE.choices(WORDS, k=200)) + b"\n"
    return out[:size]


with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("manifest.json", '{"name": "demo", "version": "0.1.0"}')
    # Code: half of it repeats, half does not.
    archive.writestr("demo.wasm", b"".join(text(2_000) + DICE.randbytes(2_000) for _ in range(150)))
    for number in range(75):
        folder = ("assets", "assets/img", "templates", "i18n")[number % 4]
        archive.writestr(f"{folder}/file{number}.txt", text(DICE.randint(2_000, 19_000)))
