#!/bin/sh
# Builds the sample plugins and collects them, with the contract module, in target/plugins for tests and demos.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/plugins"
out=$(cd "$target/plugins" && pwd)
for plugin in ticket-stats-go ticket-stats-c; do
  make -s -C "examples-plugins/$plugin"
  mkdir -p "$out/$plugin"
  cp "examples-plugins/$plugin/plugin.yaml" "examples-plugins/$plugin/$plugin.wasm" "$out/$plugin/"
done
"$target/release/examples/wat2wasm" tests/fixtures/wat/reference.wat "$out/reference.wasm"
# Programs that speak go-plugin's net/rpc as existing plugins do, with its newest and its oldest release.
for modfile in go.mod go.oldest.mod; do
  (cd tests/native/netrpc-peer && CGO_ENABLED=0 go build -modfile="$modfile" -trimpath -buildvcs=false \
    -o "$out/netrpc-peer-${modfile%.mod}")
done
