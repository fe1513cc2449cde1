#!/bin/sh
# Builds the plugins of the load test and the list of their versions, scenario.txt: plugin, version, fate, path.
#
#   good      serves
#   crashes   passes the probe, then falls over at every call
#   refused   must never serve: does not compile, does not register, has another name, is not well, or hangs
#
#   build.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
clang=${CLANG:-$(command -v clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 2>/dev/null | head -n 1)}
scenario="$out/scenario.txt"
: > "$scenario"

# place PLUGIN VERSION FATE RUNTIME FILE: the directory of a version, with its manifest; its line, for all but the first step
place() {
  directory="$out/$1/$2"
  mkdir -p "$directory"
  if [ "$4" = wasm ]; then
    printf 'name: %s\nversion: %s\nruntime: wasm\nwasm: %s\nresources:\n  instances: auto\n' "$1" "$2" "$5" > "$directory/plugin.yaml"
  else
    printf 'name: %s\nversion: %s\nruntime: grpc\nbinary: %s\n' "$1" "$2" "$5" > "$directory/plugin.yaml"
  fi
  printf '%s %s %s %s\n' "$1" "$2" "$3" "$directory" >> "$scenario"
}

# module PLUGIN VERSION FATE CONSTANT [REGISTERED NAME]
module() {
  place "$1" "$2" "$3" wasm plugin.wasm
  "$clang" --target=wasm32 -std=c11 -Oz -Wall -Wextra -mbulk-memory -ffreestanding -nostdlib -I../../bindings/plugin-c \
    -DNAME="\"${5-$1}\"" -DVERSION="\"$2\"" -DFATE="$4" -Wno-unused-function \
    -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=65536 -Wl,--strip-all -o "$directory/plugin.wasm" plugin-c/plugin.c
}

# program PLUGIN VERSION FATE WORD [REGISTERED NAME]
program() {
  place "$1" "$2" "$3" grpc plugin
  python3 identify.py "$out/program" "$directory/plugin" "${5-$1}" "$2" "$4"
}

modules() {
  for version in 1.1.0 1.2.0 1.3.0 1.4.0; do module "$1" $version good GOOD; done
  module "$1" 1.9.0 crashes CRASHES
  module "$1" 1.9.2 refused MUTE
  module "$1" 1.9.3 refused GOOD somebody
  module "$1" 1.9.4 refused SICK
  # Where programs get the time that they need to start on a busy machine, this one would burn it.
  [ "$1" = load-mixed ] || module "$1" 1.9.5 refused HANGS
  place "$1" 1.9.1 refused wasm plugin.wasm
  echo garbage > "$directory/plugin.wasm"
}

programs() {
  for version in 2.1.0 2.2.0 2.3.0; do program "$1" $version good good; done
  program "$1" 2.9.0 crashes crashes
  program "$1" 2.9.2 refused mute
  program "$1" 2.9.3 refused good somebody
  program "$1" 2.9.4 refused sick
  program "$1" 2.9.5 refused hangs
  place "$1" 2.9.1 refused grpc plugin
  echo garbage > "$directory/plugin"
  chmod +x "$directory/plugin"
}

(cd plugin-go && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o "$out/program" .)
modules load-module
programs load-program
modules load-mixed
programs load-mixed
