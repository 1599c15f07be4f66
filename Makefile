# cowrie_migrate: `make` and `sudo make install` build and install the extension (PGXS);
# `make demo` and `make test` need nothing prepared, see the end of this file.

# Where the sources are, when that is not here: mkdir b; make -C b -f ../Makefile
sources := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

EXTENSION = cowrie_migrate
MODULE_big = cowrie_migrate
DATA = $(patsubst $(sources)/%,%,$(wildcard $(sources)/sql/cowrie_migrate--*.sql))
# make installcheck, on a server that has the extension: the same tests as make test has.
REGRESS = $(shell sed -n 's/^test: //p' '$(sources)/test/regress_schedule')
# Each folder of sources is compiled as one file, which includes them: src/core/online/*.cpp is
# build/src/core/online.o. Compiled one by one they take three times as long, most of it for the same headers.
folders = src $(patsubst $(sources)/%/.,%,$(wildcard $(addprefix $(sources)/src/,api/. core/*/. pg/*/.)))
OBJS = $(folders:%=build/%.o)

# gnu++17: the server's headers use typeof. They are system headers to us, so that -Wextra speaks of
# our code only. Nothing is exported but what carries PGDLLEXPORT, which is empty before PostgreSQL 16.
PG_CPPFLAGS = -I$(sources)/src -isystem $(includedir_server) \
	'-DPGDLLEXPORT=__attribute__((visibility("default")))'
PG_CXXFLAGS = -std=gnu++17 -O2 -Wall -Wextra -Werror -Wno-register \
	-fvisibility=hidden -fvisibility-inlines-hidden
SHLIB_LINK = -lsimdjson -lstdc++
EXTRA_CLEAN = build

# No bitcode: the functions here are far too large to be worth inlining into queries.
override with_llvm = no

PG_CONFIG ?= pg_config
ifeq ($(filter check,$(MAKECMDGOALS)),)
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
else
# For whoever is working: the core, what an operator sees, and the rules for what has changed. (PGXS has a
# target of this name, which says that there is none.)
check:
	PARTS="unit regress lint" LINT_CHANGED=1 scripts/test.sh
endif

ifneq ($(PGXS),)
include $(PGXS)
# A changed header rebuilds what includes it, another server or other flags rebuild everything.
COMPILE.cc += -MMD -MP
# The server's flags are of the compiler that built it; clang knows gcc's levels of this one as one.
ifneq ($(shell $(CXX) --version 2>/dev/null | grep -c clang),0)
override CXXFLAGS := $(patsubst -Wimplicit-fallthrough=%,-Wimplicit-fallthrough,$(CXXFLAGS)) -Wno-unknown-warning-option \
	-Wno-unused-command-line-argument -Wno-ignored-optimization-argument
endif
# With the sanitizer gcc sees values without a beginning that have one; its manual says so.
ifneq ($(findstring -fsanitize,$(CXXFLAGS)),)
override CXXFLAGS += -Wno-maybe-uninitialized
endif
# Of functions and lines, as a backtrace has them; DEBUG_INFO=-g adds variables and types, and a half to the time
# that compiling takes.
DEBUG_INFO ?= -g1
override CXXFLAGS += $(DEBUG_INFO)
-include $(OBJS:.o=.d)
# What is written is looked for where the sources are; what is built there is not taken from there.
ifneq ($(sources),.)
VPATH :=
vpath %.cpp $(sources)
vpath %.sql $(sources)
vpath %.control $(sources)
endif
# A file that comes or goes changes the list of its folder.
$(folders:%=build/%.cpp): build/%.cpp: force
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(patsubst $(sources)/src/%,%,$(sort $(wildcard $(sources)/$*/*.cpp))) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(OBJS): build/compiled-for
build/compiled-for: force
	@mkdir -p $(@D)
	@echo '$(VERSION) $(subst ','\'',$(CXX) $(CXXFLAGS) $(CPPFLAGS))' | cmp -s - $@ || \
	  echo '$(VERSION) $(subst ','\'',$(CXX) $(CXXFLAGS) $(CPPFLAGS))' > $@
.PHONY: force
else
all install:
	@echo 'PostgreSQL development files not found (PG_CONFIG=$(PG_CONFIG)).'
	@echo 'Try "make deps" on Debian or Ubuntu, or name the pg_config: make PG_CONFIG=/path/to/pg_config'
	@false
clean:
	rm -rf build $(MODULE_big).so
.PHONY: all install clean
endif

# From here on for a bare machine too: each script first installs the packages that are missing.
# PG=16 and so on chooses the server version, PG_CONFIG a particular installation.
ifneq ($(origin PG_CONFIG),file)
export PG_CONFIG
endif
ifdef PG
export PG
endif
.PHONY: report-check metrics-check deps demo test check test-full unit bench lint map matrix arm64 cleanup-script reference valgrind asan assert \
	dist dist-check deb deb-check

deps:
	scripts/install-packages.sh

demo:
	scripts/demo.sh

test:
	scripts/test.sh

test-full:
	COWRIE_FULL=1 scripts/test.sh

# The pure core alone: no server needed.
unit: deps
	env -u CXXFLAGS -u LDFLAGS cmake -S . -B build/unit -DCMAKE_BUILD_TYPE=RelWithDebInfo
	cmake --build build/unit --parallel --target unit_tests
	build/unit/unit_tests

# The cleanup as plain SQL, from the declaration.
cleanup-script: deps
	cmake -S . -B build/unit -DCMAKE_BUILD_TYPE=RelWithDebInfo
	cmake --build build/unit --parallel --target write_cleanup_script
	build/unit/write_cleanup_script >build/cleanup_v16_incomplete.sql
	cp build/cleanup_v16_incomplete.sql scripts/cleanup_v16_incomplete.sql

# docs/REFERENCE.md, out of the comments in the catalog.
reference: deps
	scripts/reference.sh

# The migration beside its floors and peers; BENCH_SCALES="100000 400000", see bench/run.sh.
bench:
	bench/run.sh

# pg_regress with the server under valgrind: 0 errors in our code. TESTS="migrate failure" for some.
valgrind:
	scripts/valgrind.sh

# In a server compiled from Debian's source package, which is kept in build/: with AddressSanitizer, the hostile
# tests; with assertions, every test that needs a server, and some where caches are emptied whenever they can be.
asan:
	scripts/asan.sh
assert:
	scripts/assert.sh

lint: deps
	scripts/lint.sh

# The report in a real browser: pictures by day, by night and on a phone, in build/report, to be looked at. And
# contrib/prometheus with a real exporter and a real Prometheus. Both say so where these are not installed.
report-check:
	scripts/report-check.sh
metrics-check:
	scripts/metrics-check.sh

# docs/map.svg, the picture of the wings, from the includes.
map:
	scripts/map.pl

# The release for PGXN, of what is committed: build/cowrie_migrate-VERSION.zip. The check builds it,
# installs it elsewhere and migrates with it.
dist:
	scripts/dist.sh
dist-check:
	scripts/dist.sh check

# Debian packages of it: build/deb/*.deb. The check, as root, installs one in a minimal Debian of its own,
# and runs there what its autopkgtest runs.
deb:
	scripts/deb.sh
deb-check:
	scripts/deb.sh check

# As root on Debian: every release that carries a supported server, each in a root of its own. PG=17
# takes one; ASSERT=1 make matrix runs make assert there. And the core compiled for another processor.
matrix:
	scripts/matrix.sh

arm64:
	scripts/arm64.sh
