#!/usr/bin/env python3
"""Writes name, version and fate into a copy of the built program: one build serves for all versions."""

import os
import sys

MARK = b"@load-identity@"
ROOM = 79


def main() -> None:
    source, target, *identity = sys.argv[1:]
    with open(source, "rb") as file:
        program = file.read()
    start = program.find(MARK + b" " * (ROOM - len(MARK)))
    if start < 0 or program.count(MARK) != 1:
        sys.exit(f"{source}: no place for the identity, or two")
    text = b" ".join([MARK, *(word.encode() for word in identity)]).ljust(ROOM)
    if len(text) != ROOM:
        sys.exit(f"{identity}: too long")
    with open(target, "wb") as file:
        file.write(program[:start] + text + program[start + ROOM :])
    os.chmod(target, 0o755)


main()
