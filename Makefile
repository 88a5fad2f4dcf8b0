# "make" lists the targets. CI runs .ci/run, which runs "make ci".

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # tests measure time, and the machine is small

GO ?= go
TOOL := $(GO) tool -modfile=tools.mod
VERSION := $(shell .ci/version)
LDFLAGS := -X main.version=$(VERSION)

SEEDS ?= 20000
FUZZTIME ?= 30s
BENCH ?= .
RUN ?= .

# Each test run leaves its results in dist/test for the summary of .ci/run. Tests
# of what the test cache does not see (seeds, programs, kernels) have -count=1.
GOTEST = mkdir -p dist/test && $(TOOL) gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg \
	--jsonfile dist/test/$@.json -- -run '$(RUN)'

# The simulator's seeds and the hosts of the lab take long and hold no data
# races of their own: they run without the race detector.
PLAIN := test/sim test/e2e test/vm
RACE = $$($(GO) list ./... | grep -vE '/($(subst $() ,|,$(PLAIN)))(/|$$)')

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t16

setup: ## install what the build and the tests need: Debian packages, Go tools
	@.ci/setup

# The GUI is built where its sources have changed. GUI=no leaves it out: the binary
# then serves a page that says so.
GUI ?= yes
WEB := gui/web
WEB_SRC := $(shell find $(WEB)/src $(WEB)/build $(WEB)/public -type f -not -name '*.test.ts*' -not -name schema.d.ts) \
	$(addprefix $(WEB)/,index.html vite.config.ts tsconfig.json package.json)
NPM := npm --prefix $(WEB) --no-update-notifier

$(WEB)/node_modules/.package-lock.json: $(WEB)/package-lock.json
	$(NPM) ci --no-audit --no-fund --loglevel error || { echo "The packages of the web GUI can't be had; GUI=no builds without it." >&2; exit 1; }
	@touch $@

$(WEB)/src/api/schema.d.ts: docs/reference/openapi.json $(WEB)/node_modules/.package-lock.json
	$(NPM) run --silent types

$(WEB)/dist/app/index.html: $(WEB_SRC) $(WEB)/src/api/schema.d.ts docs/reference/cluster.schema.json
	$(NPM) run --silent build -- --logLevel warn

gui: $(if $(filter no,$(GUI)),,$(WEB)/dist/app/index.html) ## build the pages of the web GUI

build: gui ## build every program into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/belay-mgmtd-pam

demo: ## build, and run a cluster on this machine to try, until Ctrl-C; no rights needed
	@.ci/setup build
	@$(MAKE) --no-print-directory build
	bin/belay dev

test: setup test-race test-rest ## every test

# The browser and the lab mostly wait, the simulator only computes: it gets the time
# that they leave, and what it prints comes at the end.
test-rest: build ## test-gui, test-e2e and test-vm, and test-sim in the time that they leave
	mkdir -p dist/test
	chrt --idle 0 $(MAKE) --no-print-directory test-sim >dist/test/sim.log 2>&1 & sim=$$!; trap 'kill $$sim 2>/dev/null || true' EXIT; \
	status=0; $(MAKE) --no-print-directory --keep-going test-gui test-e2e test-vm || status=$$?; \
	wait $$sim || status=$$?; cat dist/test/sim.log; exit $$status

test-gui: export BELAY_BIN = $(CURDIR)/bin
test-gui: build ## the GUI: its logic, and its pages in a browser against a cluster
	BELAY_RESULTS=$(CURDIR)/dist/test/gui-unit.json $(NPM) test
	BELAY_RESULTS=$(CURDIR)/dist/test/gui-browser.json $(NPM) run e2e

test-race: ## unit tests, goldens and import rules, with the race detector
	$(GOTEST) -race -timeout 20m $(RACE)

test-sim: export SIM_SEEDS = $(SEEDS)
test-sim: ## the simulator with CI's seeds
	$(GOTEST) -count=1 -timeout 60m ./test/sim/...

test-e2e: export BELAY_BIN = $(CURDIR)/bin
test-e2e: build ## the product, between hosts of the lab (root)
	$(GOTEST) -count=1 -timeout 45m ./test/e2e/...

test-vm: export BELAY_BIN = $(CURDIR)/bin
test-vm: build ## a real watchdog and real reservations, in virtual machines
	$(GOTEST) -count=1 -timeout 15m ./test/vm/...

race: test-race ## the same as test-race
e2e: setup test-e2e ## end-to-end tests only; RUN=pattern chooses
soak: export SOAK_KILLS = 100
soak: export BELAY_BIN = $(CURDIR)/bin
soak: setup build ## two nodes, long: each of their tests 20 times, and 100 double kills
	$(GO) test -count=1 -timeout 6h -v -run '^TestQuorumDoubleKill$$' ./test/e2e
	$(GO) test -count=20 -timeout 12h -run '^TestQuorum' -skip '^TestQuorumDoubleKill$$' ./test/e2e
vmtest: setup test-vm ## virtual machines only
sim: ## the simulator only, as long as it takes; SEEDS=n chooses how many worlds
	$(GO) run ./test/sim/cmd/belay-sim -seeds $(SEEDS)

sim-mutants: export SIM_MUTANTS = 1
sim-mutants: ## break the engine on purpose; the simulator must notice each time
	$(GOTEST) -count=1 -timeout 4h ./test/sim/...

compat: ## other clusters' scheduler cases
	$(GOTEST) -count=1 ./test/compat/...

fuzz: ## run each fuzz target for FUZZTIME
	GO=$(GO) FUZZTIME=$(FUZZTIME) .ci/fuzz

bench: build ## measure; fails below a goal; BENCH=pattern chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./engine/... ./audit/...
	BELAY_BIN=$(CURDIR)/bin $(GO) run ./test/bench/run -run '$(BENCH)'

lab: setup build ## hosts with a cluster on them, and a shell (root); NODES=n
	GO=$(GO) test/lab/up

ci: lint tidy-check test ## what must pass

lint: gui ## linters, dead code, shell scripts
	$(TOOL) golangci-lint config verify
	$(TOOL) golangci-lint run ./...
	@dead=$$($(TOOL) deadcode -test ./...); [ -z "$$dead" ] || { echo "$$dead"; exit 1; }
	$(NPM) run --silent check
	$(NPM) run --silent lint
	shellcheck $$(git grep -lE '^#!/(usr/)?bin/(env )?(ba)?sh' -- . ':!*.md' ':!*testdata*')

fmt: ## format
	$(TOOL) golangci-lint fmt

fix: ## format, and let the linters repair what they can; read the diff
	$(TOOL) golangci-lint run --fix ./...

golden: ## rewrite the goldens; read the diff before you commit it
	$(GO) test $$(git grep -lE --untracked '^\s+"github.com/cockroachdb/datadriven"$$' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's,^,./,') -rewrite

generate: ## rebuild generated files
	$(GO) generate ./...

tidy-check: ## go.mod and generated files are up to date
	GO=$(GO) .ci/tidy-check

docs: build ## man pages into dist/man
	rm -rf dist/man && mkdir -p dist/man
	bin/belay docs man dist/man
	cp deploy/man/*.8 dist/man/

deb: ## Debian packages into dist/
	GO=$(GO) deploy/deb/build
	GO=$(GO) deploy/deb/build-quorumd

clean: ## remove what was built
	rm -rf bin dist coverage $(WEB)/dist/app $(WEB)/src/api/schema.d.ts $(WEB)/e2e/out

.PHONY: help setup gui build demo test test-race test-rest test-gui test-sim test-e2e test-vm race e2e soak vmtest sim sim-mutants compat fuzz \
	bench lab ci lint fmt fix golden generate tidy-check docs deb clean
