# weft: a thin face on Meson. One switch each: BUILD=debug|release|asan|ubsan|tsan|cov and CC=gcc|clang.
#
#   make            compile                         make run     crawl the example site
#   make test       everything that is tested       make help    all targets
#
# Each BUILD and CC has its own directory, build/$(BUILD)-$(CC). T=suite.name chooses tests, as failures print it.

BUILD ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
MINUTES ?= 10
FUZZ_SECONDS ?= 10

cc_name := $(notdir $(firstword $(CC)))
ifeq ($(cc_name),clang)
real_cc := $(or $(shell for c in clang-19 clang clang-18 clang-17 clang-16 clang-15 clang-14; do command -v $$c && break; done),clang-19)
setup_what := test
else
real_cc := $(CC)
endif
B := build/$(BUILD)-$(cc_name)
export PKG_CONFIG_PATH := $(CURDIR)/.deps/lib/pkgconfig:$(PKG_CONFIG_PATH)
unexport CC
export ARGS T MINUTES VALGRIND

MESON_debug   := --buildtype=debug
MESON_release := --buildtype=release -Ddebug=true
MESON_asan    := --buildtype=debugoptimized -Db_sanitize=address
MESON_ubsan   := --buildtype=debugoptimized -Db_sanitize=undefined
MESON_tsan    := --buildtype=debugoptimized -Db_sanitize=thread
MESON_cov     := --buildtype=debug -Db_coverage=true
ifndef MESON_$(BUILD)
$(error BUILD=$(BUILD) is not one of debug, release, asan, ubsan, tsan, cov)
endif

# Meson lists the folders of tests and examples itself, but only when it configures: a changed list makes it do so.
listed := $(sort $(wildcard tests/unit/test_*.c tests/death/test_*.c tests/conf/test_*.c tests/stress/stress_*.c tests/e2e/accept_*.c tests/tools/prog_*.c tests/fuzz/fuzz_*.c examples/*.c))

.DEFAULT_GOAL := build

.PHONY: build
## build: compile the library, the programs and the tests into build/$(BUILD)-$(CC)
build: $(B)/build.ninja
	@echo '$(listed)' | cmp -s - $(B)/.listed || { meson setup --reconfigure $(B) >$(B)/reconfigure.log || { cat $(B)/reconfigure.log; exit 1; }; \
	  echo '$(listed)' >$(B)/.listed; }
	@ninja -C $(B) --quiet $(TARGETS)

$(B)/build.ninja: | setup
	@mkdir -p $(B)
	@CC='$(real_cc)' meson setup $(B) $(MESON_$(BUILD)) --prefix=/usr/local --libdir=lib >$(B)/setup.log || \
	  { cat $(B)/setup.log; rm -f $(B)/build.ninja; exit 1; }
	@echo '$(listed)' >$(B)/.listed

.PHONY: setup
## setup: install what is missing, by package name; build lexbor and llhttp into .deps
setup:
	@scripts/setup $(setup_what)

.PHONY: run
## run: crawl the bundled site, or what you like: make run ARGS="https://example.org -o pages.csv"
run: setup build
	@scripts/run $(B)

.PHONY: test
## test: everything, also a debug build by the other compiler; T=suite.name for some
test: setup_what := test
test: setup build
	@BUILD=$(BUILD) CC=$(cc_name) MAKE='$(MAKE)' tests/run $(B)

.PHONY: test-neg
## test-neg: only the code that must not compile
test-neg: setup_what := test
test-neg: setup
	@tests/neg/run.py $(T)

.PHONY: check
## check: layers, lint and the API's documentation, seconds
check: setup
	@python3 tools/layers.py
	@python3 tools/lint.py
	@python3 tools/apicheck.py
	@python3 tools/proofcheck.py
	@python3 tools/parklint.py
	@python3 tools/parklint.py --expect tests/tools/keeps.c

.PHONY: bench
## bench: the first table of micro benchmarks, beside Go where there is a Go
bench: setup build
	@python3 bench/run.py --build $(B) $(ARGS)

.PHONY: bench-go
## bench-go: all rows beside Go; ARGS="--rounds 3 --only chan --procs 1"
bench-go: setup build
	@python3 bench/run.py --build $(B) --all $(ARGS)
	@python3 bench/goals.py

.PHONY: bench-net
## bench-net: CPU time and memory of the net, HTTP, HTTP/2, TLS and DNS beside floors, Go, nginx, h2o: docs/perf/net.md (about 13 minutes)
bench-net: setup build
	-@python3 bench/http.py --build $(B) $(ARGS)
	-@python3 bench/http2.py --build $(B) $(ARGS)
	-@python3 bench/fetch.py --build $(B) $(ARGS)
	-@python3 bench/echo.py --build $(B) $(ARGS)
	-@python3 bench/tls.py --build $(B) $(ARGS)
	@$(B)/bench/net-bulk
	@python3 bench/goals.py

.PHONY: bench-connections
## bench-connections: 50,000 idle connections at once over several processes; ARGS="--conns 200000 --per-process 18500"
bench-connections: setup build
	@python3 bench/connections.py --build $(B) $(ARGS)

.PHONY: accept
## accept: what a release must show: real documentation, webgen, 10,000 URLs beside Go, scheduler figures (minutes)
accept: setup build
	@WEFT_BUILD='$(CURDIR)/$(B)' tests/e2e/accept_sched.sh
	@WEFT_BIN='$(CURDIR)/$(B)/crawl/weft' python3 tests/e2e/accept_crawl.py $(ARGS)

.PHONY: model
## model: check the models of the protocols in tests/model (needs spin)
model:
	@sh tests/model/run.sh

.PHONY: sim
## sim: tests under simulation (release builds); T=sim.suite.name for some, ARGS="--scale 400" for more seeds
sim: TARGETS := sim
sim: setup build
	@tests/sim/run $(B) $(ARGS)

.PHONY: stress
## stress: the stress programs for MINUTES=10 in all; best with BUILD=tsan, BUILD=asan, or VALGRIND=1
stress: setup build
	@scripts/stress $(B)

.PHONY: fuzz
## fuzz: every fuzz target, FUZZ_SECONDS=10 each (clang); ARGS="--for 60 http1 wire" for some, again and again
fuzz: setup_what := test
fuzz: setup
	@tests/fuzz/run --seconds $(FUZZ_SECONDS) $(ARGS)

.PHONY: install
## install: the library, headers, weft.pc and the weft program below PREFIX=/usr/local (and DESTDIR)
install: build
	@scripts/install $(B) '$(PREFIX)' '$(DESTDIR)'

.PHONY: ci
## ci: what continuous integration runs
ci:
	@.ci/run

.PHONY: format
## format: clang-format on the files that differ from HEAD
format:
	@scripts/format

.PHONY: clean
## clean: remove build/; the dependencies in .deps stay
clean:
	rm -rf build

.PHONY: help
## help: this list
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST)) | awk -F': ' '{printf "  %-10s %s\n", $$1, $$2}'
	@echo 'BUILD=debug|release|asan|ubsan|tsan|cov  CC=gcc|clang  T=suite.name'
