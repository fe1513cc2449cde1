#!/bin/sh
# Exercises the command line program from end to end: new plugins build and run, refusals are told, the gates answer.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$(pwd)/target}
program="$target/dist/goatflow-plugin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

# check NAME EXPECTED ACTUAL
check() {
  if [ "$2" != "$3" ]; then
    printf 'FAILED %s\n  expected: %s\n  actual:   %s\n' "$1" "$2" "$3" >&2
    exit 1
  fi
  count=$((count + 1))
}

for language in go c; do
  "$program" new "hello-$language" --lang "$language" --dir "$work" >/dev/null
  make -s -C "$work/hello-$language"
  answer=$("$program" run --quiet "$work/hello-$language" hello '{"name":"Ada"}')
  check "a new plugin in $language runs" '{"message":"Hello, Ada!"}' "$answer"
  "$program" inspect "$work/hello-$language" | grep -q "read database tables: ticket"
  check "inspect tells what it asks for" 0 $?
done
(cd "$work/hello-go" && GOFLAGS=-mod=mod GOPROXY=off go test ./... >/dev/null)
check "the test of a new Go plugin passes" 0 $?

refusal=$("$program" new hello-go --dir "$work" 2>&1 >/dev/null || true)
check "an existing directory is kept" argument.invalid "$(printf %s "$refusal" | python3 -c 'import json,sys; print(json.load(sys.stdin)["code"])')"
refusal=$("$program" run "$work/none" x 2>&1 >/dev/null || true)
check "a missing plugin is told" package.not_found "$(printf %s "$refusal" | python3 -c 'import json,sys; print(json.load(sys.stdin)["code"])')"

python3 - "$work/tickets.db" examples-sql/tickets.sql <<'PY'
import sqlite3, sys
sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2], encoding="utf-8").read())
PY
stats="$target/plugins/ticket-stats-c"
answer=$("$program" run --quiet --database "$work/tickets.db" "$stats" users '{}')
check "users are refused" True "$(printf %s "$answer" | python3 -c 'import json,sys; print(json.load(sys.stdin)["denied"])')"
printf '{"version":1,"status":"approved","permissions":[{"type":"db","access":"read","scope":["users"]}]}' > "$work/policy.json"
answer=$("$program" run --quiet --database "$work/tickets.db" --policy "$work/policy.json" "$stats" users '{}')
check "a policy grants them" False "$(printf %s "$answer" | python3 -c 'import json,sys; print(json.load(sys.stdin)["denied"])')"

"$program" doctor | python3 -c 'import json,sys; assert json.load(sys.stdin)["library"]["abi"] == 1'
check "doctor answers" 0 $?
"$program" jail report --json | python3 -c 'import json,sys; assert 0 <= json.load(sys.stdin)["level"] <= 4'
check "jail report answers" 0 $?
check "check policy answers every sample as expected" "" "$(python3 - "$program" tests/fixtures/policy/*.jsonl <<'PY'
import json, subprocess, sys
cases = [json.loads(line) for path in sys.argv[2:] for line in open(path, encoding="utf-8")]
lines = "".join(json.dumps(case) + "\n" for case in cases)
answers = subprocess.run([sys.argv[1], "check", "policy"], input=lines, capture_output=True, text=True, check=True).stdout
answers = [json.loads(line) for line in answers.splitlines()]
assert len(answers) == len(cases)
for case, answer in zip(cases, answers):
    if answer["allow"] != (case["expected"] == "allow"):
        print(case, answer)
PY
)"
python3 tests/sql/score.py --corpus tests/fixtures/sql -- "$program" check sql > "$work/score.txt" || { tail -40 "$work/score.txt" >&2; exit 1; }
check "check sql accepts nothing false" 0 $?
tail -12 "$work/score.txt"
echo "command line: $count passed"
