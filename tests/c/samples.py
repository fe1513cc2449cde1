#!/usr/bin/env python3
"""Compiles every ```c sample of the header's comments and of the Markdown files named on the command line.

    samples.py HEADER [README.md …]

A sample with a function or #include stands at file scope, any other inside a function. Each is compiled as C11 and as
C++17 with -Wall -Wextra -Werror. Exit code 1 when one fails, 2 when there is none at all."""
import os
import re
import subprocess
import sys
import tempfile

PRELUDE = """#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "goatflow_plugin.h"
"""
# What a sample may take for granted, because the text before it spoke of it; its own declarations hide these.
GIVEN = """extern const goatflow_plugin_manager *manager;
extern const goatflow_plugin_queue *queue;
extern const goatflow_plugin_function *function;
"""
COMPILERS = [
    ["cc", "-std=c11", "-x", "c"],
    ["c++", "-std=c++17", "-x", "c++"],
]
FLAGS = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]


def samples(path):
    """(line number, text) of each sample."""
    header = path.endswith(".h")
    found, block, begun = [], None, 0
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        text = line.rstrip("\n")
        if header:
            stripped = re.sub(r"^\s*(?:\*|///)(?!/) ?", "", text)
            if stripped == text and block is not None and text.strip():
                sys.exit(f"{path}:{number}: a sample is not closed")
            text = stripped
        fence = text.strip()
        if block is None and fence == "```c":
            block, begun = [], number
        elif block is not None and fence == "```":
            found.append((begun, "\n".join(block) + "\n"))
            block = None
        elif block is not None:
            block.append(text)
    if block is not None:
        sys.exit(f"{path}:{begun}: a sample is not closed")
    return found


def program(text):
    """A whole file as it is; a fragment inside a function, its #include lines before."""
    if re.search(r"^[A-Za-z_][\w\s*]*\([^;]*\)\s*\{", text, re.M) and not re.search(r"^(?:if|for|while|switch)\b", text, re.M):
        return PRELUDE + text
    lines = text.splitlines()
    includes = "".join(f"{line}\n" for line in lines if line.startswith("#include"))
    body = "".join(f"    {line}\n" for line in lines if not line.startswith("#include"))
    return f"{PRELUDE}{includes}{GIVEN}int sample(void);\nint sample(void) {{\n{body}    return 0;\n}}\n"


def main():
    include = os.path.dirname(os.path.abspath(sys.argv[1]))
    failed = passed = 0
    for path in sys.argv[1:]:
        if not os.path.exists(path):
            continue
        found = samples(path)
        for line, text in found:
            with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
                file.write(program(text))
                file.flush()
                for compiler in COMPILERS:
                    run = subprocess.run([*compiler, *FLAGS, f"-I{include}", file.name], capture_output=True, text=True)
                    if run.returncode:
                        failed += 1
                        print(f"not ok {path}:{line} {' '.join(compiler[:2])}\n{run.stderr}\n{program(text)}")
                    else:
                        passed += 1
        print(f"ok {os.path.basename(path)}: {len(found)} samples")
    print(f"{passed} passed, {failed} failed")
    if passed + failed == 0:
        sys.exit(2)
    sys.exit(1 if failed else 0)


main()
