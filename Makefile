# The only list of commands. A line `target: ## text` is what `make help` prints.
# Needs the Rust toolchain and Node 20; on Debian everything else is installed by the target that needs it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Two of these at once would only compile against each other.
.NOTPARALLEL:

TARGET := $(or $(CARGO_TARGET_DIR),target)
BUF := clients/ts/node_modules/.bin/buf
NODE_MODULES := clients/ts/node_modules/.package-lock.json
PAGES_MODULES := tests/pages/node_modules/.package-lock.json
# Where the pages are drawn to before a browser looks at them.
PAGES_DRAWN := $(abspath $(TARGET))/tmp/pages
SCRIPTS := .ci/run .ci/apt-install .ci/breaking .ci/deny .ci/proto-check tests/services.sh $(wildcard benches/*.sh benches/shared/*.sh)

.PHONY: help
help: ## Prints this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##### everyday

.PHONY: run
run: cc ## Builds and starts the server, embedded mode, data in ./data (more arguments: ARGS='...')
	cargo build --locked
# Embedded whatever the shell has set: these two are what would make it a production node.
	exec env -u DATABASE_URL -u REDIS_URL $(TARGET)/debug/linkforty serve $(ARGS)

.PHONY: test
test: cc ## All tests with private PostgreSQL and Redis (one name: T=redirect, which leaves out the clients)
# Built before the servers start, so that a compile error costs nothing. The clients come before the
# server's own tests so that the last lines say how `cargo test` ended; both run even if one fails.
	@echo 'cargo test --features failpoints'
	cargo test --features failpoints --no-run
	failed=''
	if [ -z '$(T)' ]; then $(MAKE) --no-print-directory test-clients || failed=clients; fi
	tests/services.sh -- cargo test --features failpoints --no-fail-fast -- $(T) || failed="$$failed cargo"
	if [ -n "$$failed" ]; then echo "make test: failed: $$failed" >&2; exit 1; fi

.PHONY: test-clients
test-clients: cc $(NODE_MODULES) ## The TypeScript client's tests, against the server built here
# The same build as for `make test`: `cargo build` would choose other features and compile half the tree again.
	cargo test --features failpoints --no-run --quiet
	LINKFORTY_BIN="$$(realpath $(TARGET)/debug/linkforty)" npm --prefix clients/ts test

.PHONY: test-pages
test-pages: pages-drawn chromium ## The pages in Chromium: strangers' words, accessibility, sizes, behaviour
	LINKFORTY_PAGES_DIR='$(PAGES_DRAWN)' npm --prefix tests/pages test

.PHONY: pages-screenshots
pages-screenshots: pages-drawn chromium ## Takes pictures of the pages into docs/pages
	LINKFORTY_PAGES_DIR='$(PAGES_DRAWN)' npm --prefix tests/pages run screenshots

.PHONY: pages-drawn
pages-drawn: cc $(PAGES_MODULES)
	rm -rf '$(PAGES_DRAWN)'
	LINKFORTY_PAGES_DIR='$(PAGES_DRAWN)' cargo test --features failpoints --test it --quiet -- pages::

.PHONY: lint
lint: fmt-check clippy proto-lint deny shellcheck ## Everything that reads the code without running it

.PHONY: fmt
fmt: $(NODE_MODULES) ## Formats Rust and protos
	cargo fmt
	$(BUF) format --write

.PHONY: bench
bench: ## The load runs behind the figures in the docs
	command -v wrk >/dev/null || .ci/apt-install wrk
	benches/run.sh $(ARGS)

.PHONY: bench-overload
bench-overload: ## Ten times as many calls as can be answered, and a noisy workspace; fails when a promise is missed
	benches/overload.sh $(ARGS)

GEOIP := data/geoip/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb
.PHONY: geoip
geoip: ## Brings a free file of countries (8 MB, from public registries: CC0 and CC BY 4.0 of NRO) into data/geoip/ and prints its setting
	npm install --prefix data/geoip --no-save --no-package-lock --no-audit --no-fund --loglevel=error @ip-location-db/geo-whois-asn-country-mmdb
	test -s '$(GEOIP)'
	echo 'export GEOIP_FILE=$(GEOIP)'

##### the contract

.PHONY: proto
proto: $(NODE_MODULES) ## Generates the clients' code from proto/
	$(BUF) generate

.PHONY: proto-check
proto-check: proto ## Fails when the committed generated code is not what the protos give
	.ci/proto-check

.PHONY: breaking
breaking: $(NODE_MODULES) ## Compares the protos with the newest release
	.ci/breaking

##### the parts of lint

.PHONY: fmt-check
fmt-check: ## Rust formatting
	cargo fmt --check

.PHONY: clippy
clippy: cc ## Clippy: pedantic is advice, the list in Cargo.toml is law
	cargo clippy --all-targets --features failpoints

.PHONY: proto-lint
proto-lint: $(NODE_MODULES) ## Protos: style, a comment on everything, formatting
	$(BUF) lint
	$(BUF) format --diff --exit-code

.PHONY: deny
deny: ## Dependencies: licences, bans, sources, advisories (installs cargo-deny, about 3 minutes, once)
	.ci/deny

.PHONY: shellcheck
shellcheck: ## Shell scripts, where shellcheck is installed
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); \
	else echo "SKIPPED: shellcheck is not installed"; fi

##### cleaning

.PHONY: clean
clean: ## Removes what was built; ./data stays
	cargo clean
	rm -rf clients/*/node_modules tests/pages/node_modules

.PHONY: clean-data
clean-data: ## Removes ./data, after asking
	@if [ ! -e data ]; then echo "there is no ./data"; exit 0; fi
	du -sh data
	read -r -p 'Delete ./data with every link and click in it? Type yes: ' answer </dev/tty
	if [ "$$answer" = yes ]; then rm -rf data; else echo "kept"; exit 1; fi

# rustup brings no linker, and SQLite and ring are C.
.PHONY: cc
cc:
	@command -v cc >/dev/null || .ci/apt-install gcc libc6-dev

# The browser that the pages are looked at in.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || .ci/apt-install chromium

# npm writes this file last, so it stands for "installed, and from this lock file".
$(NODE_MODULES): clients/ts/package.json clients/ts/package-lock.json
	npm ci --prefix clients/ts --no-audit --no-fund --loglevel=error
	touch $@

$(PAGES_MODULES): tests/pages/package.json tests/pages/package-lock.json
	npm ci --prefix tests/pages --no-audit --no-fund --loglevel=error
	touch $@

# One shell per recipe: `exec`, `failed=` and the early exits above rely on it.
.ONESHELL:
