#!/bin/sh
# Makes the archives in tests/fixtures/archives anew, with every tool that is installed: Info-ZIP zip, Python's zipfile, Go's
# archive/zip, Java's jar and ZipOutputStream, 7-Zip. All hold the same files. usage: make_fixtures.sh OUTDIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C.UTF-8
mkdir -p "$work/p/assets/img" "$work/p/i18n"
cd "$work/p"
printf '{"name": "demo", "version": "0.1.0"}' > manifest.json
printf '\0asm\1\0\0\0' > demo.wasm
printf '{"hello": "hall\303\266chen"}' > i18n/de.json
i=0; while [ $i -lt 300 ]; do echo "line $i of a text that compresses"; i=$((i + 1)); done > assets/text.txt
: > assets/img/empty.svg
printf 'x' > "assets/$(printf 'h\303\266he').txt"

has() { command -v "$1" >/dev/null 2>&1; }
if has zip; then
  rm -f "$out"/infozip-*.zip
  # Info-ZIP on Linux writes names beyond ASCII without saying in which encoding: readers disagree, so that they are refused.
  zip -q -r "$out/infozip-unmarked-name.zip" .
  ascii='assets/h*'
  zip -q -r "$out/infozip-plain.zip" . -x "$ascii"
  zip -q -r -X -0 "$out/infozip-stored-no-extras.zip" . -x "$ascii"
  zip -q -r -D -9 "$out/infozip-no-directories.zip" . -x "$ascii"
  zip -q -r - . -x "$ascii" > "$out/infozip-stream.zip"
  zip -q -r -fz "$out/infozip-zip64.zip" . -x "$ascii"
  echo "a comment" | zip -q -r -z "$out/infozip-comment.zip" . -x "$ascii" >/dev/null
fi
if has python3; then python3 "$here/make_fixtures.py" "$out"; fi
if has go; then GOFLAGS=-mod=mod go run "$here/make_fixtures.go" "$out"; fi
if has jar; then
  rm -f "$out"/java-*.zip
  jar cf "$out/java-jar.zip" .
  jar cMf "$out/java-jar-no-manifest.zip" .
  jar cMf0 "$out/java-jar-stored.zip" .
  java "$here/MakeFixtures.java" "$out"
fi
if has 7z; then
  rm -f "$out"/7zip-*.zip
  7z a -tzip -bd "$out/7zip-plain.zip" . >/dev/null
  7z a -tzip -bd -mx=0 "$out/7zip-stored.zip" . >/dev/null
  7z a -tzip -bd -mx=9 -mtc=on "$out/7zip-ntfs-times.zip" . >/dev/null
fi
ls "$out"
