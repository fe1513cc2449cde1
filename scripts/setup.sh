#!/bin/sh
# Installs what the build and the tests need beyond Rust, Go, Python 3 and gcc; `setup.sh databases` also the servers that the
# SQL gate is held against. Does nothing when it is all there.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need clang clang
need wasm-ld lld
need valgrind valgrind
need make make
/usr/bin/python3 -c "import aiosmtpd" 2>/dev/null || missing="$missing python3-aiosmtpd"
if [ "${1:-}" = databases ]; then
  [ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing="$missing postgresql"
  need mariadbd mariadb-server
fi
if [ -n "$missing" ]; then
  echo "setup: installing$missing"
  as_root=""
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
for tool in cargo go python3 cc; do
  command -v "$tool" >/dev/null 2>&1 || { echo "setup: $tool is missing; install Rust (rustup, 1.95 or newer), Go 1.26, Python 3.9 and gcc" >&2; exit 1; }
done
