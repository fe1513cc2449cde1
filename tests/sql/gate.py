"""The gate as the tests drive it: `check sql` as a process, one request and one verdict at a time."""
import json
import subprocess

DEFAULT_SCHEMA = {"postgres": "public", "mysql": "app", "sqlite": "main"}


class Gate:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, dialect, sql, read=("*", "other.*"), write=("*", "other.*")):
        """Verdict with the text that would run; by default everything is granted."""
        request = {"dialect": dialect, "sql": sql, "whitelist_read": sorted(read), "whitelist_write": sorted(write),
                   "default_schema": DEFAULT_SCHEMA[dialect], "explain": True}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the gate died on {sql!r}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
