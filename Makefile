# SPDX-License-Identifier: GPL-2.0-or-later WITH x11vnc-openssl-exception
#
# make demo         see it work, in a throw-away ejabberd on this machine
# make serve        the same, left up for clients of yours (EXAMPLE=echo.py: with
#                   two of these bots behind the proxy host, or of your own in
#                   examples/; EXAMPLE=help)
# make check        the tests, with a summary; it says what it leaves out
# make check-all    the same with what takes long: all C tests under valgrind, 4000
#                   simulated worlds (1000 otherwise), check-two-nodes
# make check-on     the same on another release of Debian, in a root of its own
#                   (RELEASE=trixie; RUNNERS="core erl server": only these)
# make check-two-nodes
#                   what there is of the suites that makes sense over two nodes of a
#                   cluster (a part of it is in check)
# make coverage     which lines of C the tests do not run
# make mutants      are the tests good? Changes the sources at random and counts
#                   what no test notices (CORE=100 SRC=60; test/mutate/mutants)
# make fuzz         the fuzz targets for long: MINUTES=10 each (test/fuzz/Makefile)
# make dialyzer     the types of the Erlang sources
# make soak         everything at once, for as long as you say (MINUTES=30
#                   CARRIER=nif): does anything grow, is anything lost?
# make storm        a cluster of three nodes under load, one of which is killed and
#                   one cut off (OLD=REV: which are upgraded from that revision,
#                   OLD=messages: from another version of what they tell each other)
# make sum          after a change of c_src: writes the checksum of the C sources
#                   into the Erlang code, which says `outdated` of any other core
# make dist         _build/mod_client_proxy-VERSION.tar.gz of what is committed
# make contrib      _build/contrib/mod_client_proxy, an entry for ejabberd-contrib
# make package      Debian's package for this machine's ejabberd, in _build/package
# make check-package
#                   the package is built twice, and installed, upgraded, removed and
#                   purged in a root of its own (RELEASE=bookworm)
# make screenshots  doc/images/web-*.png, of the web page of a busy server
# make bench        what it costs: one table, also in test/bench/RESULTS.md
#                   (PARTS=core: only that part, only printed; BEFORE=REV:
#                   another revision beside it; SHORT=1: does it work?)
#
# demo, serve, check, check-all, check-on, check-package, package, coverage, mutants, fuzz,
# dialyzer, bench, soak, storm and screenshots install the Debian packages that they miss
# (as root); make deps installs all. For the module itself nothing of this is needed:
# ejabberd's installer runs c_src/Makefile.

CC ?= cc
include c_src/warnings.mk
CFLAGS = -std=c11 -O2 -g -D_DEFAULT_SOURCE $(WARNINGS)

DEMO_PACKAGES = ejabberd erlang-dev gcc make pkg-config libc6-dev \
                libxml2-dev libssl-dev libstrophe-dev
PACKAGES = $(DEMO_PACKAGES) erlang-eunit erlang-common-test erlang-proper \
           erlang-proper-dev \
           erlang-tools libcmocka-dev python3-slixmpp clang libclang-rt-dev \
           valgrind clang-format clang-tidy cppcheck shellcheck \
           prosody lua-unbound openssl git profanity tmux $(NODE_PACKAGES) \
           $(BROWSER) \
           $(PACKAGING)
# What looks at the web page
BROWSER = $(if $(SHORT),,chromium)
# What makes Debian's package
PACKAGING = build-essential debhelper lintian

# By the ending of an example: the packages that it needs, and what is built of it.
# Nothing is built of what is not there: test/demo/example says so.
EXAMPLE_DEPS.py = python3-slixmpp
EXAMPLE_DEPS.js = $(NODE_PACKAGES)
EXAMPLE_BUILT.c = $(patsubst examples/c/%.c,_build/examples/%,$(wildcard examples/c/$(EXAMPLE)))
EXAMPLE_BUILT.js = _build/examples/bot.js

# Node may come from elsewhere, with its own npm.
NODE_PACKAGES = $(if $(shell command -v npm),,nodejs npm)

TOOLS = _build/service _build/puppet _build/storm \
        $(if $(BROWSER),_build/web/browser_test.js)

.PHONY: all sum tools example smack demo serve check check-all check-on check-package check-lint check-core check-units \
        check-sim check-fuzz check-erl check-nif-asan check-server check-two-nodes coverage mutants fuzz soak storm \
        bench screenshots \
        dialyzer committed dist contrib package deps deps-demo clean

all:
	$(MAKE) -C c_src

# Writes into the Erlang code which C sources it goes with.
sum:
	@test/bed/sum

# What is handed to others is what is committed.
committed:
	@git rev-parse -q --verify HEAD >/dev/null 2>&1 || { echo "This is no clone" >&2; exit 1; }
	@git diff --quiet HEAD || { echo "Commit your changes first" >&2; exit 1; }

# The same commit makes the same octets. .gitattributes says what stays out.
dist: committed
	@mkdir -p _build
	@name=mod_client_proxy-$$($(MAKE) -s -C c_src version) && \
	    git -c tar.umask=0022 archive --prefix=mod_client_proxy/ -o _build/dist.tar HEAD && \
	    gzip -9n <_build/dist.tar >_build/$$name.tar.gz && rm _build/dist.tar && \
	    echo _build/$$name.tar.gz

contrib: committed
	@[ -z "$$(git ls-files -o --exclude-standard src c_src conf doc examples)" ] || \
	    { echo "Here are files that git does not know" >&2; exit 1; }
	@test/bed/entry _build/contrib/mod_client_proxy
	@echo _build/contrib/mod_client_proxy

package:
	@test/bed/deps $(DEMO_PACKAGES) $(filter-out lintian,$(PACKAGING))
	@test/package/build _build/package

deps:
	@test/bed/deps $(PACKAGES)

deps-demo:
	@test/bed/deps $(DEMO_PACKAGES)

demo: deps-demo
	@$(MAKE) -s tools example EXAMPLE=help_desk.c
	@test/demo/demo

# Without EXAMPLE it is the service of the demonstration.
serve: deps-demo
	@test/bed/deps $(EXAMPLE_DEPS$(suffix $(EXAMPLE)))
	@$(MAKE) -s tools example
	@test/demo/demo serve $(EXAMPLE)

# What test/demo/example needs to start it.
example: $(EXAMPLE_BUILT$(suffix $(EXAMPLE)))

RUNNERS = lint core sim fuzz erl nif-asan server

check: deps
	@test/check $(RUNNERS)

check-all: deps
	@ALL=1 test/check $(RUNNERS) two-nodes

RELEASE = trixie

check-on:
	@test/bed/deps debootstrap
	@test/check_on $(RELEASE) $(RUNNERS)

check-package: RELEASE = bookworm
check-package:
	@test/bed/deps debootstrap iproute2
	@test/check_package $(RELEASE)

check-lint:
	@test/check_lint

check-core:
	@$(MAKE) -s -j$$(nproc) -C test/core cov asan plain tsan
	$(MAKE) -C test/core check-cov check-asan check-oom check-valgrind check-tsan

# The C tests alone, with what the release has of libxml2 and libcrypto.
check-units:
	@$(MAKE) -s -j$$(nproc) -C test/core plain
	$(MAKE) -C test/core check

check-sim:
	@$(MAKE) -s -C test/sim -j$$(nproc) check

check-fuzz:
	@$(MAKE) -s -C test/fuzz -j$$(nproc) check

fuzz: deps
	@$(MAKE) -s -C test/fuzz -j$$(nproc) fuzz

# Which lines the tests run does not depend on the release.
check-erl:
	@COVERAGE=$(if $(SHORT),,1) test/check_erl

# What is not run, of the core and the carriers; a part of check-core and
# check-erl.
coverage: deps
	@$(MAKE) -s -C test/core check-cov
	@COVERAGE=1 test/check_erl

check-nif-asan:
	@SANITIZE=1 test/check_erl mod_client_proxy_nif_tests

check-server: tools
	@test/check_server

# Not a part of `check`, which runs the first of both.
check-two-nodes: tools
	@test/check_server -spec test/two_nodes.testspec test/two_nodes_more.testspec

# Not a part of `check`: it takes the better part of two hours.
mutants: deps
	@python3 test/mutate/self_test.py
	@env -u MAKEFLAGS -u MFLAGS test/mutate/mutants

# Not a part of `check`: the table of types takes minutes to make.
dialyzer:
	@test/bed/deps $(DEMO_PACKAGES) erlang-dialyzer
	@test/lint/dialyzer

bench: deps
	@test/bench/run $(PARTS)

MINUTES = 10
CARRIER = nif
RATE = 420

soak: deps
	@$(MAKE) -s tools
	@test/soak/soak minutes=$(MINUTES) carrier=$(CARRIER) rate=$(RATE)

storm: deps
	@$(MAKE) -s tools
	@test/storm/cluster $(if $(OLD),upgrade $(OLD),outages)

screenshots: deps
	@$(MAKE) -s tools
	@test/web/screenshots

tools: $(TOOLS)

# With bot*.c, and NAME.c for each NAME.h that it includes.
_build/examples/%: examples/c/%.c $(wildcard examples/c/*.[ch])
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(sort $< $(wildcard examples/c/bot*.c \
	    $(shell sed -n 's|^#include "\(.*\)[.]h"|examples/c/\1.c|p' $<))) -lstrophe

# Node looks for packages beside the file that asks for them, so all are copied.
_build/examples/bot.js: _build/examples/node_modules $(wildcard examples/javascript/*.js)
	cp examples/javascript/*.js $(@D)

_build/examples/node_modules: examples/javascript/package-lock.json
	@mkdir -p $(@D)
	cp examples/javascript/package*.json $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# The same for what looks at the web page.
_build/web/browser_test.js: _build/web/node_modules $(wildcard test/web/*.js)
	cp test/web/*.js $(@D)
	@touch $@

_build/web/node_modules: test/web/package-lock.json
	@mkdir -p $(@D)
	cp test/web/package*.json $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# An instance of Jicofo, as far as Smack goes, where there is a JDK with Maven.
smack: _build/smack/Focus.class

_build/smack/Focus.class: test/clients/smack/Focus.java _build/smack/fetched
	javac -cp '_build/smack/lib/*' -d $(@D) $<

_build/smack/fetched: test/clients/smack/pom.xml
	mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(@D)/lib
	@touch $@

_build/%: test/demo/%.c
	@mkdir -p _build
	$(CC) $(CFLAGS) -o $@ $< -lstrophe

_build/%: test/clients/%.c
	@mkdir -p _build
	$(CC) $(CFLAGS) -o $@ $< -lstrophe

_build/storm: $(wildcard test/storm/*.c) test/storm/storm.h test/arguments.h
	@mkdir -p _build
	$(CC) $(CFLAGS) -o $@ $(filter %.c,$^) -lstrophe

clean:
	rm -rf _build
	$(MAKE) -C c_src clean
	$(MAKE) -C test/core clean
