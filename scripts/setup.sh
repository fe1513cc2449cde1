#!/bin/sh
# Installs what the build and the tests need beyond Rust, Go, Python 3 and gcc; `setup.sh databases` also the servers that the
# SQL gate is held against. Does nothing when it is all there.
set -eu
# Servers live where only administrators have their path.
PATH="$PATH:/usr/sbin:/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need clang clang
need wasm-ld lld
need valgrind valgrind
need make make
/usr/bin/python3 -c "import aiosmtpd" 2>/dev/null || missing="$missing python3-aiosmtpd"
need unzip unzip
if [ "${1:-}" = databases ]; then
  [ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing="$missing postgresql"
  need mariadbd mariadb-server
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo

# Only the programs are wanted: the tests start servers of their own, so the packages must start none.
start_nothing() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
  $as_root chmod 755 /usr/sbin/policy-rc.d
  trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

if [ -n "$missing" ]; then
  echo "setup: installing$missing"
  start_nothing
  $as_root apt-get update -qq
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
for tool in cargo go python3 cc; do
  command -v "$tool" >/dev/null 2>&1 || { echo "setup: $tool is missing; install Rust (rustup, 1.95 or newer), Go 1.26, Python 3.9 and gcc" >&2; exit 1; }
done
