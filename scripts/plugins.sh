#!/bin/sh
# Builds the sample plugins and collects them, with the contract module, in target/plugins for tests and demos.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
out="$target/plugins"
mkdir -p "$out"
for plugin in ticket-stats-go ticket-stats-c; do
  make -s -C "examples-plugins/$plugin"
  mkdir -p "$out/$plugin"
  cp "examples-plugins/$plugin/plugin.yaml" "examples-plugins/$plugin/$plugin.wasm" "$out/$plugin/"
done
"$target/release/examples/wat2wasm" tests/fixtures/wat/reference.wat "$out/reference.wasm"
