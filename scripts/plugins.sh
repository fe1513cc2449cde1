#!/bin/sh
# Builds the sample plugins and those of the tests, and collects them, with the contract module, in target/plugins for tests
# and demos. What plugins in Python need is put into target/python-site.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
out="$target/plugins"
mkdir -p "$out"
for plugin in ticket-stats-go ticket-stats-c; do
  make -s -C "examples-plugins/$plugin"
  mkdir -p "$out/$plugin"
  cp "examples-plugins/$plugin/plugin.yaml" "examples-plugins/$plugin/$plugin.wasm" "$out/$plugin/"
done
# Its next version, for exchanges of versions.
next="$target/ticket-stats-c-next"
mkdir -p "$next" "$out/ticket-stats-c-next"
for file in ticket_stats.c plugin.yaml; do
  sed 's/1\.0\.0/1.1.0/' "examples-plugins/ticket-stats-c/$file" > "$next/$file"
done
make -s -C "$next" -f "$PWD/examples-plugins/ticket-stats-c/Makefile" SDK="$PWD/bindings/plugin-c"
cp "$next/plugin.yaml" "$next/ticket-stats-c.wasm" "$out/ticket-stats-c-next/"
wat2wasm="$target/${PROFILE:-release}/examples/wat2wasm"
"$wat2wasm" tests/fixtures/wat/reference.wat "$out/reference.wasm"

# A native plugin is one static file: its jail has no libraries.
go_program() { (cd "$1" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o "$2" .); }
go_module() {
  (cd "$1" && GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o "$2" .)
}
# A plugin in Python is one file, too: its own modules and the SDK. grpcio, which is native code, is the host's.
python_program() {
  work="$target/python-build"
  rm -rf "$work"
  mkdir -p "$work/goatflow_plugin_sdk"
  cp "$1"/*.py "$work/"
  cp bindings/plugin-python/goatflow_plugin_sdk/*.py "$work/goatflow_plugin_sdk/"
  python3 -m zipapp -p "/usr/bin/env python3" -m main:plugin.serve -o "$2" "$work"
}

site="$target/python-site"
if ! cmp -s bindings/plugin-python/requirements.txt "$site/requirements.txt"; then
  python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --upgrade --target "$site" \
    --python-version "$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" --only-binary :all: \
    -r bindings/plugin-python/requirements.txt
  cp bindings/plugin-python/requirements.txt "$site/"
fi

mkdir -p "$out/ticket-stats-native" "$out/ticket-stats-python"
go_program examples-go/native-plugin "$out/ticket-stats-native/ticket-stats-native"
cp examples-go/native-plugin/plugin.yaml "$out/ticket-stats-native/"
python_program bindings/plugin-python/example "$out/ticket-stats-python/ticket-stats-python.pyz"
cp bindings/plugin-python/example/plugin.yaml "$out/ticket-stats-python/"

# One plugin, four times: tests/all/native_contract.rs.
for build in wasm go netrpc python; do
  mkdir -p "$out/contract-$build"
done
go_module tests/native/contract-go "$out/contract-wasm/contract-suite.wasm"
go_program tests/native/contract-go "$out/contract-go/contract-suite"
go_program tests/native/contract-netrpc "$out/contract-netrpc/contract-suite"
python_program tests/native/contract-python "$out/contract-python/contract-suite.pyz"
manifest() { printf 'name: contract-suite\nversion: 1.2.3\nruntime: %s\n%s: %s\n' "$2" "$3" "$4" > "$out/contract-$1/plugin.yaml"; }
manifest wasm wasm wasm contract-suite.wasm
printf 'resources:\n  instances: auto\n' >> "$out/contract-wasm/plugin.yaml"
manifest go grpc binary contract-suite
manifest netrpc grpc binary contract-suite
manifest python grpc binary contract-suite.pyz

# Programs that speak go-plugin's net/rpc as existing plugins do, with its newest and its oldest release.
for modfile in go.mod go.oldest.mod; do
  (cd tests/native/netrpc-peer && CGO_ENABLED=0 go build -modfile="$modfile" -trimpath -buildvcs=false \
    -o "$out/netrpc-peer-${modfile%.mod}")
done
