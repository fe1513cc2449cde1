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
  "$@" "$(database "$name")" "$plugins/ticket-stats-go" "$plugins/ticket-stats-c" -- "$plugins/ticket-stats-c-next" \
    > "$work/$name.txt"
}
export GOATFLOW_PLUGIN_LIBRARY="$target/dist/libgoatflow_plugin.so.1"
run c "$work/host"
run go "$work/host-go"
PYTHONPATH="$root/bindings/python" run python python3 examples-python/host.py

# explain: says before the first line of each part what it shows.
explain() {
  awk '
    function part(title) { if (!(title in told)) { told[title] = 1; print "-- " title } }
    /^loaded /                          { part("load") }
    /^overview /                        { part("query the database") }
    /^users .*"denied":true/            { part("refusal of the table users") }
    /^policy .* changed/                { part("its policy is changed live") }
    /^swapped /                         { part("a new version takes over under load, and no call fails") }
                                        { print substr($0, 1, 160) }'
}

if [ "$1" = demo ]; then
  echo "== the host in C"
  explain < "$work/c.txt"
  echo "== the hosts in Go and Python print"
  cmp "$work/c.txt" "$work/go.txt" && cmp "$work/c.txt" "$work/python.txt" && echo "exactly the same"
else
  cmp "$work/c.txt" "$work/go.txt"
  cmp "$work/c.txt" "$work/python.txt"
  if [ -n "${UPDATE_HOSTS:-}" ]; then cp "$work/c.txt" tests/fixtures/hosts.txt; fi
  diff tests/fixtures/hosts.txt "$work/c.txt"
  echo "the hosts in C, Go and Python print the same, and what was recorded"
fi
