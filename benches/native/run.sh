#!/bin/sh
# Calls of native plugins and their start, beside a bare Unix socket, plain tonic, go-plugin's own host and bubblewrap, in
# turn: `rounds.py`.
# Needs the library (GOATFLOW_PLUGIN_LIBRARY or target/dist), target/plugins, and bwrap for its row.
#
#   run.sh [ROUNDS [CALLS]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$ROOT/target}
library=${GOATFLOW_PLUGIN_LIBRARY:-$target/dist/libgoatflow_plugin.so.1}
libraries=$(dirname "$library")
out="$target/bench-native"
mkdir -p "$out/peer"
flags="-std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror"
# shellcheck disable=SC2086 # flags are words
${CC:-cc} $flags -I"$ROOT/include" "$here/ours.c" -o "$out/ours" -L"$libraries" "-l:$(basename "$library")" \
  -Wl,-rpath,"$libraries" -pthread
# shellcheck disable=SC2086
${CC:-cc} $flags "$here/raw.c" -o "$out/raw"
go_program() { (cd "$1" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o "$2" .); }
go_program "$here/goplugin" "$out/goplugin"
go_program "$ROOT/tests/native/netrpc-peer" "$out/peer/peer"
CARGO_TARGET_DIR="$target/bench-tonic" cargo build --quiet --release --locked --manifest-path "$here/tonic/Cargo.toml"
cp "$target/bench-tonic/release/goatflow-plugin-bench-tonic" "$out/tonic"
printf 'name: peer\nversion: 1.0.0\nruntime: grpc\nbinary: peer\n' > "$out/peer/plugin.yaml"
exec python3 "$here/rounds.py" "$out" "${GOATFLOW_TEST_PLUGINS:-$target/plugins}/contract-go" "${1-7}" "${2-5000}"
