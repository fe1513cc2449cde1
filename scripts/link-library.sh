#!/bin/sh
# Links the static library into target/dist/libgoatflow_plugin.so.1: only goatflow_plugin_* is exported, versioned, and the
# library stays mapped once it is loaded. (LLD drops symbol versions when rustc links the cdylib itself.)
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/dist"
cat > "$target/dist/exports.map" <<'MAP'
GOATFLOW_PLUGIN_1 {
  global: goatflow_plugin_*;
  local: *;
};
MAP
new="$target/dist/.libgoatflow_plugin.so.1.new"
${CC:-cc} -shared -o "$new" \
  -Wl,--whole-archive "$target/release/libgoatflow_plugin.a" -Wl,--no-whole-archive \
  -Wl,--version-script="$target/dist/exports.map" -Wl,-soname,libgoatflow_plugin.so.1 \
  -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,nodelete -Wl,--no-undefined -Wl,--build-id \
  -static-libgcc -lpthread -lm -ldl -lc
# Names of the functions inside, for debuggers and valgrind, beside the library.
objcopy --only-keep-debug "$new" "$target/dist/libgoatflow_plugin.so.1.debug"
strip "$new"
(cd "$target/dist" && objcopy --add-gnu-debuglink=libgoatflow_plugin.so.1.debug "$(basename "$new")")
mv "$new" "$target/dist/libgoatflow_plugin.so.1"
ln -sf libgoatflow_plugin.so.1 "$target/dist/libgoatflow_plugin.so"
cp "$target/release/goatflow-plugin" "$target/dist/goatflow-plugin"
