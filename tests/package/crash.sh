#!/bin/sh
# Kills the program while it changes installed packages, 700 times at random moments, and lets every single system call of
# an installation and a roll-back fail or be the last one. Needs strace.
set -eu
cd "$(dirname "$0")/../.."
GOATFLOW_CRASH_TRIALS=${GOATFLOW_CRASH_TRIALS:-700} cargo test --test all -- --include-ignored --nocapture package_crash
