#!/bin/sh
# Builds and runs the C tests against target/dist/libgoatflow_plugin.so.1.
#
#   run.sh              everything: build, C++17 syntax, samples, tests, examples, leak test, valgrind
#                       (GOATFLOW_TEST_QUICK=1: a short leak test and no valgrind)
#   run.sh test NAME    one test program (arguments calls callbacks lifecycle lifecycle_swap native native_host threads packages
#                       signals process fuzz)
#   run.sh leak [W M]   the leak test: W cycles of warm-up (1000), M more (9000)
#   run.sh valgrind [NAME…]   memcheck of the functional tests and the examples
#
# GOATFLOW_TEST_PLUGINS (ticket-stats-go/, ticket-stats-c/, contract-go/, reference.wasm) and GOATFLOW_TEST_SQL come from the harness;
# without them the plugins of examples-plugins are taken as they lie there, and what needs reference.wasm uses a guest of ours.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export ROOT="${ROOT:-$(cd "$here/../.." && pwd)}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"
export DIST="${DIST:-$CARGO_TARGET_DIR/dist}"
export OUT="${OUT:-$CARGO_TARGET_DIR/c-tests}"
export GOATFLOW_TEST_GUESTS="$OUT"
export GOATFLOW_TEST_LIBRARY="${GOATFLOW_TEST_LIBRARY:-$DIST/libgoatflow_plugin.so.1}"
export GOATFLOW_TEST_PLUGINS="${GOATFLOW_TEST_PLUGINS:-$ROOT/examples-plugins}"
export GOATFLOW_TEST_SQL="${GOATFLOW_TEST_SQL:-$ROOT/examples-sql/tickets.sql}"
FUNCTIONAL="arguments calls callbacks lifecycle lifecycle_swap native native_host threads packages"
# Not `native` and `native_host`: valgrind does not know the system calls that processes are watched with.
MEMCHECKED="arguments calls callbacks lifecycle lifecycle_swap packages fuzz examples"
SEPARATE="signals process" # start processes of their own, and are about signals: not under valgrind

build() {
    make -s -C "$here" all
    make -s -C "$ROOT/examples-c" OUT="$OUT/examples" INCLUDE="$ROOT/include"
}

run() {
    echo "== $*"
    "$@"
}

# Commands before a program, e.g. valgrind.
examples() {
    for name in ticket-stats-c ticket-stats-go; do
        [ -e "$GOATFLOW_TEST_PLUGINS/$name" ] || { echo "skipped the examples: $GOATFLOW_TEST_PLUGINS/$name is missing"; return 0; }
    done
    database="$OUT/tickets.db"
    rm -f "$database" "$database"-*
    python3 - "$database" "$GOATFLOW_TEST_SQL" <<'PY'
import sqlite3, sys
sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2], encoding="utf-8").read())
PY
    run "$@" "$OUT/examples/call" "$GOATFLOW_TEST_PLUGINS/ticket-stats-c" recall '{"key":"k"}'
    run "$@" "$OUT/examples/queue" "$GOATFLOW_TEST_PLUGINS/ticket-stats-c" recall 20
    run "$@" "$OUT/examples/callback" "$GOATFLOW_TEST_PLUGINS/ticket-stats-c" overview
    run "$@" "$OUT/examples/host" "$database" "$GOATFLOW_TEST_PLUGINS/ticket-stats-c" ${EXAMPLE_GO-"$GOATFLOW_TEST_PLUGINS/ticket-stats-go"}
}

memcheck_all() {
    # The engine's signal handlers and valgrind's would fight: traps by explicit checks. Everything gets more time.
    export GOATFLOW_TEST_SIGNALS=off GOATFLOW_TEST_SLOW=30
    # "Possibly lost" is what the engine keeps for the life of the process (one for all managers, with its compile threads):
    # reached by inner pointers only. What is lost for good is an error.
    memcheck="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite,indirect --suppressions=$here/valgrind.supp --num-callers=40 --fair-sched=yes"
    [ $# -gt 0 ] || set -- $MEMCHECKED
    for test in "$@"; do
        case $test in
        examples) EXAMPLE_GO="" examples $memcheck ;; # the Go plugin takes valgrind minutes to compile
        *) run $memcheck "$OUT/$test" ;;
        esac
    done
}

case "${1-all}" in
all)
    build
    make -s -C "$here" syntax
    run python3 "$here/samples.py" "$ROOT/include/goatflow_plugin.h" "$ROOT/README.md"
    for test in $FUNCTIONAL $SEPARATE; do run "$OUT/$test"; done
    run "$OUT/fuzz" 10
    examples
    if [ "${GOATFLOW_TEST_QUICK-0}" = 1 ]; then
        run "$OUT/leak" 200 400
    else
        run "$OUT/leak" 1000 9000
        memcheck_all
    fi
    ;;
test)
    build
    shift
    program=$1
    shift
    run "$OUT/$program" "$@"
    ;;
examples)
    build
    examples
    ;;
leak)
    build
    shift
    run "$OUT/leak" "$@"
    ;;
valgrind)
    build
    shift
    memcheck_all "$@"
    ;;
*)
    echo "unknown: $1" >&2
    exit 2
    ;;
esac
