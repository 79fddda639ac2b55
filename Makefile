# A thin face on Meson. BUILD=debug|release|asan|ubsan|tsan|cov, CC=gcc|clang.
BUILD ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
B := build/$(BUILD)-$(notdir $(CC))
export PKG_CONFIG_PATH := $(CURDIR)/.deps/lib/pkgconfig:$(PKG_CONFIG_PATH)

MESON_debug   := --buildtype=debug
MESON_release := --buildtype=release -Ddebug=true
MESON_asan    := --buildtype=debugoptimized -Db_sanitize=address -Db_lundef=false
MESON_ubsan   := --buildtype=debugoptimized -Db_sanitize=undefined -Db_lundef=false
MESON_tsan    := --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
MESON_cov     := --buildtype=debug -Db_coverage=true

.DEFAULT_GOAL := build

.PHONY: build
## build: compile the library and the programs into build/$(BUILD)-$(CC)
build: $(B)/build.ninja
	@ninja -C $(B)

$(B)/build.ninja: | setup
	@CC="$(CC)" meson setup $(B) $(MESON_$(BUILD)) >/dev/null || { CC="$(CC)" meson setup $(B) $(MESON_$(BUILD)); exit 1; }

.PHONY: setup
## setup: install what is missing, by package name
setup:
	@scripts/setup
