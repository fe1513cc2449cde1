#!/bin/sh
# The load test: hosts in C, Go and Python call plugins of both runtimes as fast as they can while versions are exchanged at
# random, good ones and bad ones. Prints one line of JSON for each host and a table; fails when any call was lost, failed
# without the plugin's fault, or was answered by a version that did not serve.
#
#   run.sh                        half a minute in all
#   run.sh --long                 at least 1,000,000 calls and 1,000 exchanges in all
#   run.sh [--long] c|go|python   one of them
set -eu
here=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$ROOT/target}
DIST=${DIST:-$target/dist}
out="$target/load"
GOATFLOW_PLUGIN_LIBRARY=${GOATFLOW_PLUGIN_LIBRARY:-$DIST/libgoatflow_plugin.so.1}
export GOATFLOW_PLUGIN_LIBRARY
libraries=$(dirname "$GOATFLOW_PLUGIN_LIBRARY")

# Seconds without and with exchanges; calls and exchanges that there must be.
c_terms="2 4 0 0"
go_terms="2 4 0 0"
python_terms="2 4 0 0"
init_timeout=4s
if [ "${1-}" = --long ]; then
  shift
  c_terms="15 60 450000 450"
  go_terms="15 60 450000 400"
  python_terms="15 60 100000 150"
  # On a busy machine programs take long to start; the short form can't wait so long for those that hang.
  init_timeout=15s
fi

sh "$here/build.sh" "$out"
sed "s/\"init_timeout\": \"4s\"/\"init_timeout\": \"$init_timeout\"/" "$here/config.json" > "$out/config.json"
lines="$out/lines.json"
: > "$lines"
# It may say what is wrong and go on to the next host.
host() { "$@" | tee -a "$lines" || true; }
# Terms are words.
# shellcheck disable=SC2086
for name in ${*:-c go python}; do
  case $name in
  c)
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I"$ROOT/include" "$here/host-c/load.c" -o "$out/host-c" \
      -L"$libraries" "-l:$(basename "$GOATFLOW_PLUGIN_LIBRARY")" -Wl,-rpath,"$libraries" -pthread
    host "$out/host-c" "$out/config.json" "$out/scenario.txt" $c_terms
    ;;
  go)
    (cd "$here/host-go" && go vet ./... && go build -o "$out/host-go" .)
    host "$out/host-go" "$out/config.json" "$out/scenario.txt" $go_terms
    ;;
  python)
    PYTHONPATH="$ROOT/bindings/python" host python3 "$here/host-python/main.py" "$out/config.json" "$out/scenario.txt" $python_terms
    ;;
  *)
    echo "unknown: $name" >&2
    exit 2
    ;;
  esac
  count=$((${count-0} + 1))
  [ "$(wc -l < "$lines")" -eq "$count" ] || { echo "$name ended without a report" >&2; exit 1; }
done
python3 "$here/report.py" "$lines"
