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

"$program" new hello-native --native --dir "$work" >/dev/null
make -s -C "$work/hello-native"
answer=$("$program" run --quiet "$work/hello-native" hello '{"name":"Ada"}')
check "a new native plugin runs" '{"message":"Hello, Ada!"}' "$answer"
"$program" inspect "$work/hello-native" | grep -q "a program (static, sealed) that speaks grpc"
check "inspect tells what it is" 0 $?
(cd "$work/hello-native" && go test ./... >/dev/null)
check "the test of a new native plugin passes" 0 $?
"$program" new hello-python --lang python --dir "$work" >/dev/null
make -s -C "$work/hello-python"
answer=$("$program" run --quiet --policy "$work/hello-python/policy.json" "$work/hello-python" hello '{"name":"Ada"}')
check "a new plugin in Python runs" '{"message":"Hello, Ada!"}' "$answer"
refusal=$("$program" new hello-none --lang c --native --dir "$work" 2>&1 >/dev/null || true)
check "no template for native plugins in C" argument.invalid "$(printf %s "$refusal" | python3 -c 'import json,sys; print(json.load(sys.stdin)["code"])')"

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

# Stored policies, without a host: in a directory, and in GoatFlow's tables beside the tickets.
mkdir -m 700 "$work/policies"
printf '{"version":1,"status":"approved","permissions":[{"type":"db","access":"read","scope":["ticket"]}]}' > "$work/set.json"
python3 - "$work/goatflow.db" tests/all/policy_store.rs <<'PY'
import re, sqlite3, sys
schema = re.search(r'SYSCONFIG: &str = "(.*?)";', open(sys.argv[2], encoding="utf-8").read(), re.S).group(1)
sqlite3.connect(sys.argv[1]).executescript(schema)
PY
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)'"$1"')'; }
for place in "--store $work/policies" "--database $work/goatflow.db"; do
  # shellcheck disable=SC2086 # two words on purpose
  policy() { verb=$1; shift; "$program" policy "$verb" "$@" $place; }
  check "nothing is stored at first" "no policies are stored" "$(policy show)"
  check "a policy is stored" 1 "$(policy set stats "$work/set.json" --json | field '["revision"]')"
  check "and shown" approved "$(policy show stats --json | field '["stored"]["status"]')"
  refusal=$(policy set stats "$work/set.json" --expect 0 2>&1 >/dev/null || true)
  check "a lost update is refused" policy.revision_conflict "$(printf %s "$refusal" | field '["code"]')"
  check "the stored policy is asked" True "$(policy check db_query '{"query":"SELECT id FROM ticket"}' --plugin stats --json | field '["allow"]')"
  check "and refuses" policy.sql.table_denied "$(policy check db_query '{"query":"SELECT id FROM queue"}' --plugin stats --json | field '["code"]')"
  printf '{"denied":[{"function":"db_query","code":"policy.sql.table_denied","target":"queue","count":3,"first_seen":"2026-01-01T00:00:00.000Z","last_seen":"2026-01-02T00:00:00.000Z","message":"no","suggestions":[{"type":"db","access":"read","scope":["queue"]}]}]}' > "$work/evidence.json"
  policy suggest stats --evidence "$work/evidence.json" | grep -q "denied 3 times by db_query"
  check "a suggestion has its evidence" 0 $?
  policy suggest stats --evidence "$work/evidence.json" --json > "$work/suggestion.json"
  check "it is accepted" 2 "$(policy apply stats "$work/suggestion.json" --json | field '["revision"]')"
  refusal=$(policy apply stats "$work/suggestion.json" 2>&1 >/dev/null || true)
  check "once" policy.revision_conflict "$(printf %s "$refusal" | field '["code"]')"
  check "and grants what it says" "['ticket', 'queue']" "$(policy show stats --json | field '["stored"]["permissions"][0]["scope"]')"
  check "observation begins" 3 "$(policy observe stats 30m --json | field '["revision"]')"
  check "and ends" 4 "$(policy observe stats 0 --actor ann --json | field '["revision"]')"
  check "a policy is removed" 0 "$(policy remove stats --json | field '["revision"]')"
  check "the record is whole" "True removed observed ann" "$(policy history stats --json | python3 -c 'import json,sys; h=json.load(sys.stdin); print(h["whole"], h["rows"][0]["action"], h["rows"][1]["action"], h["rows"][1]["actor"])')"
  policy history | grep -q "the record is whole"
  check "and says so" 0 $?
done
sed -i 's/"actor":"ann"/"actor":"bob"/' "$work/policies/audit.jsonl"
check "a changed record is noticed" 4 "$("$program" policy history --store "$work/policies" --json | field '["first_broken"]')"
printf '{"version":1,"status":"aproved"}' | "$program" policy validate - > "$work/report.txt" 2>/dev/null && status=0 || status=$?
check "a wrong document fails" 1 "$status"
grep -q "/status must be" "$work/report.txt"
check "and is explained" 0 $?

"$program" doctor | python3 -c 'import json,sys; d = json.load(sys.stdin); assert d["library"]["abi"] == 1 and "native_plugins" in d'
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
