#!/bin/sh
# Runs the example hosts in C, Go and Python on the same plugins and a fresh copy of the same database.
#   hosts.sh demo     shows what they print
#   hosts.sh compare  checks that all three print the same, and what was recorded
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
target=${CARGO_TARGET_DIR:-$root/target}
plugins="$target/plugins"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make -s -C examples-c OUT="$work"
(cd examples-go/host && go build -o "$work/host-go" .)

database() {
  python3 - "$work/$1.db" examples-sql/tickets.sql <<'PY'
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.executescript(open(sys.argv[2], encoding="utf-8").read())
PY
  echo "$work/$1.db"
}
run() {
  name=$1
  shift
  "$@" "$(database "$name")" "$plugins/ticket-stats-go" "$plugins/ticket-stats-c" > "$work/$name.txt"
}
export GOATFLOW_PLUGIN_LIBRARY="$target/dist/libgoatflow_plugin.so.1"
run c "$work/host"
run go "$work/host-go"
PYTHONPATH="$root/bindings/python" run python python3 examples-python/host.py

if [ "$1" = demo ]; then
  echo "== the host in C"
  cut -c1-160 "$work/c.txt"
  echo "== the hosts in Go and Python print"
  cmp "$work/c.txt" "$work/go.txt" && cmp "$work/c.txt" "$work/python.txt" && echo "exactly the same"
else
  cmp "$work/c.txt" "$work/go.txt"
  cmp "$work/c.txt" "$work/python.txt"
  if [ -n "${UPDATE_HOSTS:-}" ]; then cp "$work/c.txt" tests/fixtures/hosts.txt; fi
  diff tests/fixtures/hosts.txt "$work/c.txt"
  echo "the hosts in C, Go and Python print the same, and what was recorded"
fi
