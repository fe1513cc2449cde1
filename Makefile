# The only door: people and CI call the same targets. `make help` lists them.
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
DIST := $(CARGO_TARGET_DIR)/dist
export GOATFLOW_PLUGIN_LIBRARY := $(DIST)/libgoatflow_plugin.so.1
export GOATFLOW_TEST_PLUGINS := $(CARGO_TARGET_DIR)/plugins
export GOATFLOW_TEST_SQL := $(CURDIR)/examples-sql/tickets.sql
CARGO := cargo
LOCKED := --locked

.PHONY: help setup build plugins header test test-rust test-launcher test-model test-c test-go test-python test-cli test-sql-engines demo lint fmt doc bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## install what is missing (clang, lld, valgrind, an SMTP server; by apt)
	@scripts/setup.sh

build: setup ## build the library into target/dist, with the command line program
	$(CARGO) build --release $(LOCKED) --lib --bins --example wat2wasm
	scripts/link-library.sh

plugins: build ## build the sample plugins into target/plugins
	scripts/plugins.sh

header: ## write include/goatflow_plugin.h and the schemas anew
	UPDATE_HEADER=1 $(CARGO) test --release $(LOCKED) --test abi -- header_is_current schemas_are_current
	cp include/goatflow_plugin.h bindings/go/include/goatflow_plugin.h

test: plugins test-rust test-launcher test-model test-c test-go test-python test-cli test-hosts test-load test-sql-engines ## run all tests, after building what they need

test-rust: plugins
	$(CARGO) test --release $(LOCKED)

test-launcher:
	cd launcher && $(CARGO) test $(LOCKED) --target-dir $(CARGO_TARGET_DIR)/launcher

test-model: ## check the exchange of versions in every interleaving of some threads
	cd tests/model && $(CARGO) test $(LOCKED) --target-dir $(CARGO_TARGET_DIR)/model

test-c: plugins
	tests/c/run.sh

test-go: plugins
	cd bindings/plugin-go && go vet ./... && go test -count=1 ./...
	cd bindings/plugin-go/native && go vet ./... && go test -race -count=1 -timeout 5m ./...
	cd examples-go/native-plugin && go vet ./...
	cd bindings/go && go vet ./... && go test -race -count=1 ./...
	cd examples-go/host && go vet ./...

test-python: plugins
	cd bindings/python && python3 -m unittest discover -s tests
	cd bindings/plugin-python && python3 -m unittest discover -s tests

.PHONY: test-load
test-load: plugins ## call plugins from C, Go and Python while their versions are exchanged (tests/load/run.sh --long: a million calls)
	tests/load/run.sh

test-cli: plugins
	scripts/cli.sh

test-sql-engines: build ## hold the SQL gate against real PostgreSQL, MariaDB and SQLite (installs the servers by apt)
	scripts/setup.sh databases
	python3 tests/sql/verify.py $(DIST)/goatflow-plugin check sql

.PHONY: test-hosts
test-hosts: plugins
	scripts/hosts.sh compare

demo: plugins ## run the main job: hosts in C, Go and Python on a real database
	scripts/hosts.sh demo

lint: ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --release $(LOCKED) --lib --bins -- -D warnings
	cd launcher && $(CARGO) fmt --check && $(CARGO) clippy $(LOCKED) --target-dir $(CARGO_TARGET_DIR)/launcher -- -D warnings
	cd fuzz && $(CARGO) check $(LOCKED) --target-dir $(CARGO_TARGET_DIR)/fuzz
	cd benches/native/tonic && $(CARGO) fmt --check

fmt: ## format the Rust code
	$(CARGO) fmt

doc: ## build the documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release $(LOCKED) --no-deps

bench: ## measure the call path beside raw wasmtime
	$(CARGO) bench $(LOCKED)

.PHONY: bench-native
bench-native: plugins ## measure native plugins beside a bare socket, tonic, go-plugin's host and bubblewrap
	benches/native/run.sh

clean:
	$(CARGO) clean
