# awsenv
#
#   make                 build everything under build/ (V=1 shows the commands)
#   make awsenv          the one file for other hosts alone; of another architecture
#                        with CC=aarch64-linux-gnu-gcc B=build-arm64
#   make deps            install what is missing, by apt (make -n deps lists it)
#   make demo            see it work: no AWS account, no root, nothing installed
#   make attack          try to steal a login from it, and from other tools
#   make mutants         take each protection away, see its test fail
#   make check           all tests; as root there are more of them
#   make check-quick     the part that takes a minute
#   make check-desktop   as root: from a greeter on, pictures in build/desktop
#   make check-system    as root: packages, logins and agents on a booted system
#   make check-clients   AWS's tools and SDKs, from their own registries
#   make check-reproducible   two builds give the same bytes
#   make lint            format, static analysis, pages, hygiene of the tree
#   make fuzz-cover      do the corpora reach 95 % of each parser's lines?
#   make fail-cover      did a test see each call fail that can fail?
#   make fuzz            libFuzzer on each target (FUZZ_SECONDS=60)
#   make valgrind        memcheck over unit tests, corpora, the agent's programs
#   make fuzz-mutants    do the targets find planted faults? (MUTANT_SECONDS=600,
#                        SAMPLE=1 plants one for each target)
#   make fuzz-edges      each target until it finds nothing new any more
#                        (EDGE_RUNS=10000000, EDGE_SECONDS=3600, KEEP=1)
#   make cov             the tests once more, with line coverage
#   make chaos           everything goes wrong at once (CHAOS_SECONDS=600)
#   make bench           measure, print one table
#   make install         PREFIX=/usr/local BINDIR LIBEXECDIR MANDIR PAMDIR
#                        SYSCONFDIR USERUNITDIR ... DESTDIR; switches nothing on
#   make uninstall       take away what install put there
#   make deb             Debian packages, into build/deb/
#   make clean           remove the output folder
#   make help            this text
#
# Variables: CC=clang; WERROR=1; SAN=address,undefined (output in build-san/);
# B=FOLDER for the output; WRAPPER=dynamic links awsenv against the system's
# libc where there is no musl; T="PATTERN..." runs only the tests that match.
# CFLAGS LDFLAGS HARDEN PKG_CONFIG belong to whoever packages this.

VERSION    := 0.1.0
SAN        ?=
B          ?= $(if $(SAN),build-san,build)
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/awsenv
MANDIR     ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
PKG_CONFIG ?= pkg-config
# libpam looks for modules in one place only, whatever PREFIX is.
PAMDIR     ?= $(call once,PAMDIR,$(or $(shell $(PKG_CONFIG) --variable=libdir \
	pam 2>/dev/null),/usr/lib/$(shell $(CC) -print-multiarch))/security)
PYTHON     := /usr/bin/python3
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 600
MUTANT_SECONDS ?= 600
EDGE_RUNS ?= 10000000
EDGE_SECONDS ?= 3600

CFLAGS  ?= -O2 -g
# A compiler for another architecture, such as aarch64-linux-gnu-gcc, says so by
# its name; awsenv needs its libc only, static where its musl-dev is installed.
CROSS   := $(if $(findstring -linux-gnu-,$(CC)),$(firstword $(subst -, ,$(notdir $(CC)))))
SPECS   := $(wildcard /usr/lib/$(CROSS)-linux-musl/musl-gcc.specs)
MUSL_CC ?= $(if $(CROSS),$(CC) -specs $(SPECS),musl-gcc)
WRAPPER ?= $(if $(or $(SAN),$(and $(CROSS),$(if $(SPECS),,dynamic))),dynamic,static)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wvla -Wpointer-arith -Wundef -Wwrite-strings -Wcast-qual \
	-Wimplicit-fallthrough $(if $(WERROR),-Werror)

# Options that only some compilers know are tried once, when first needed:
# "make deps check" on a bare machine has no compiler yet as it reads this.
once   = $(eval $1 := $2)$($1)
knows  = $(shell $(CC) -Werror -O2 $1 -include stdio.h -x c -c -o /dev/null \
	/dev/null 2>/dev/null && echo yes)
fortify = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=
PROBED = $(call once,PROBED,$(strip $(foreach o,-fstack-clash-protection \
	-ftrivial-auto-var-init=zero -fcf-protection,$(if $(call knows,$o),$o)) \
	$(fortify)$(if $(call knows,$(fortify)3),3,2)))

ifeq ($(SAN),)
HARDEN  ?= -fstack-protector-strong $(PROBED)
else
HARDEN  ?= -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-DAWSENV_SANITIZED=1
LINKSAN := -fsanitize=$(SAN)
endif

CPPFLAGS += -Iinclude -I. -D_GNU_SOURCE -DAWSENV_VERSION='"$(VERSION)"' \
	-DAWSENV_LIBEXECDIR='"$(LIBEXECDIR)"' -DAWSENV_BINDIR='"$(BINDIR)"'
# The folder's name is kept out of what is built: it would change the bytes.
COMPILE   = -std=gnu11 $(WARN) $(HARDEN) $(CPPFLAGS) $(CFLAGS) -MMD -MP \
	-ffile-prefix-map=$(CURDIR)=.
RELRO    := -pie -Wl,-z,relro,-z,now,-z,noexecstack

# ---- who is made of what ---------------------------------------------------

.DEFAULT_GOAL := all
.SECONDEXPANSION:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all awsenv deps demo attack mutants check check-quick check-clients check-desktop \
	check-system check-reproducible tests replays lint fuzzers fuzz \
	fail-cover fuzz-cover fuzz-edges fuzz-mutants chaos valgrind cov bench \
	install uninstall deb clean help FORCE

# Each room is an archive of everything in its folder but main.c ...
objects = $(patsubst %.c,$2/%.o,$(filter-out %/main.c $(if $(CROSS),%/filter.c),\
	$(wildcard $1/*.c)))
COMMON := $B/agent/common.a
ROOMS  := $(patsubst %,$B/%.a,$(addprefix agent/,broker fetch profile supervisor \
	cli cli/ctl common) pam_module)

# ... and this is who may use whom.
AGENT   := $B/awsenv-agent
HELPERS := $B/awsenv-broker $B/awsenv-profile $B/awsenv-fetch
CTL     := $B/awsenv-ctl

$B/awsenv-agent:   $B/agent/supervisor/main.o $B/agent/supervisor.a $(COMMON)
$B/awsenv-broker:  $B/agent/broker/main.o     $B/agent/broker.a     $(COMMON)
$B/awsenv-profile: $B/agent/profile/main.o    $B/agent/profile.a    $(COMMON)
$B/awsenv-fetch:   $B/agent/fetch/main.o      $B/agent/fetch.a      $(COMMON)
$B/awsenv-ctl:     $B/agent/cli/ctl/main.o    $B/agent/cli/ctl.a    \
	$B/agent/cli.a $(COMMON)

FETCHLIBS = $(call once,FETCHLIBS,$(shell $(PKG_CONFIG) --libs \
	libcurl libcjson libcrypto libqrencode))

SODIUM = $(call once,SODIUM,$(shell $(PKG_CONFIG) --libs libsodium))

CTLLIBS = $(call once,CTLLIBS,$(shell $(PKG_CONFIG) --libs libsystemd))

$B/awsenv-agent:   LDLIBS = -lkeyutils -lseccomp -lpthread
$B/awsenv-broker:  LDLIBS = -lkeyutils -lmd -lseccomp $(SODIUM)
$B/awsenv-profile: LDLIBS = -lcjson -lcrypto -lseccomp
$B/awsenv-fetch:   LDLIBS = $(FETCHLIBS) -lseccomp $(SODIUM)
$B/awsenv-ctl:     LDLIBS = $(CTLLIBS)

# What people type is one small static file, so that it can be copied to any
# jump host; its objects are of their own, glibc's would carry __memcpy_chk.
ifeq ($(WRAPPER),static)
$B/awsenv: $B/musl/agent/cli/main.o $B/musl/agent/cli.a $B/musl/agent/common.a
else
$B/awsenv: $B/agent/cli/main.o $B/agent/cli.a $(COMMON)
endif

# The PAM module is loaded into sshd and the like: of common it takes what it
# needs, of libraries nothing but libpam, and it exports what libpam calls.
MODULE := $B/pam_awsenv.so
$(MODULE): $(patsubst %.c,$B/%.o,$(wildcard pam_module/*.c)) $(COMMON)
$(MODULE): LDLIBS = -lpam

COMPLETIONS := $(addprefix $B/completion.,bash zsh fish)

awsenv: $B/awsenv

all: $B/awsenv $(CTL) $(AGENT) $(HELPERS) $(MODULE) $(COMPLETIONS)

# ---- rules -----------------------------------------------------------------

run = $(if $(V),,@printf '  %-5s %s\n' $1 $(patsubst $B/%,%,$@);)
define archive
@mkdir -p $(@D)
@rm -f $@
$(call run,AR)$(AR) rcDs $@ $(filter %.o,$^)
endef
archives = -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

# Changed flags rebuild everything, a file that came or went the archives. With
# "make -n", which expands recipes too, nothing is written.
$B/.flags: NOW = $(CC) $(COMPILE) $(MUSL_FLAGS) $(LDFLAGS) $(WRAPPER)
$B/.files: NOW = $(sort $(wildcard agent/*/*.c agent/*/*/*.c pam_module/*.c \
	tests/*/*.c))
$B/.flags $B/.files: FORCE | $B
	$(if $(findstring n,$(firstword -$(MAKEFLAGS))),,$(file >$@.new,$(NOW)))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$B:
	@mkdir -p $@

$B/%.o: %.c $B/.flags
	@mkdir -p $(@D)
	$(call run,CC)$(CC) $(COMPILE) -fPIC -c -o $@ $<

$(ROOMS): $B/%.a: $$(call objects,$$*,$B) $B/.files
	$(archive)

$(AGENT) $(HELPERS) $(CTL):
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ \
		$(filter %.o,$^) $(archives) $(LDLIBS)

$(MODULE): pam_module/pam_awsenv.map $B/.files
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) -shared \
		-Wl,-z,defs,-z,relro,-z,now,-z,noexecstack \
		-Wl,--version-script=pam_module/pam_awsenv.map \
		$(LDFLAGS) -o $@ $(filter %.o,$^) $(archives) $(LDLIBS)

# What completes words in shells is printed by what knows them.
$(COMPLETIONS): $B/completion.%: $(CTL)
	$(call run,GEN)$< completion $* >$@

# musl-gcc cannot make a static PIE by itself: -static-pie gives a dynamic
# file, -static one that is not PIE. So the start file is named here, and it
# alone: there are no constructors, for which the others are.
# musl has no kernel headers of its own; the system's come last.
MUSL_DIR  = $(call once,MUSL_DIR,/usr/lib/$(or $(CROSS:%=%-linux-musl),$(patsubst \
	%-gnu,%-musl,$(shell $(MUSL_CC) -print-multiarch))))
MUSL_INC  = $(call once,MUSL_INC,$(if $(CROSS),-idirafter \
	/usr/$(CROSS)-linux-gnu/include,-idirafter /usr/include -idirafter \
	/usr/include/$(shell $(MUSL_CC) -print-multiarch)))
# It may weigh 64 KiB: no gaps between segments, no tables for unwinding, no
# zeros put into arrays that are written anyway, no landing pads, which do
# nothing in a program whose libc has none, and no RELRO, which musl's start
# files do not apply: it would only fill the file up to a page.
SMALLEST   = $(call once,SMALLEST,$(if $(call knows,-Oz),-Oz,-Os))
MUSL_FLAGS = -DAWSENV_WRAPPER $(SMALLEST) -fPIE -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-jump-tables \
	$(if $(filter -fcf-protection,$(HARDEN)),-fcf-protection=none) $(MUSL_INC)
MUSL_COMPILE = $(filter-out -ftrivial-auto-var-init=zero,$(COMPILE)) $(MUSL_FLAGS)

$B/musl/%.o: %.c $B/.flags
	@mkdir -p $(@D)
	$(call run,MUSL)$(MUSL_CC) $(MUSL_COMPILE) -c -o $@ $<

$B/musl/agent/cli.a $B/musl/agent/common.a: $B/musl/%.a: $$(call objects,$$*,$B/musl) $B/.files
	$(archive)

ifeq ($(WRAPPER),static)
$B/awsenv:
	$(call run,LD)$(MUSL_CC) $(CFLAGS) -nostartfiles -static \
		-Wl,-pie,--no-dynamic-linker,--gc-sections,-z,noseparate-code \
		-Wl,-z,norelro,-z,common-page-size=64,-z,now,-z,noexecstack,--hash-style=gnu \
		$(LDFLAGS) -o $@ $(MUSL_DIR)/rcrt1.o $(filter %.o,$^) $(archives)
else
$B/awsenv:
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ \
		$(filter %.o,$^) $(archives)
endif

# ---- tests -----------------------------------------------------------------

# A test is linked with the rooms whose headers it includes, and with common;
# what it defines itself wins over an archive's member. Link options of its own
# stand in tests/unit/test_X.ld.
TESTLIBS = -lcmocka -lkeyutils -lmd -lseccomp -lpthread $(FETCHLIBS) $(SODIUM) \
	$(CTLLIBS)
included = $(sort $(patsubst %/,$2/%.a,$(dir $(shell \
	grep -ohE '(agent/[a-z/]+|pam_module)/[a-z_]+\.h' $1.d)))) \
	$2/agent/common.a
group    = -Wl,--start-group $1 -Wl,--end-group $(TESTLIBS)
UNIT    := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
REPLAY  := $(patsubst tests/fuzz/fuzz_%.c,$B/tests/fuzz/replay_%,$(wildcard \
	tests/fuzz/fuzz_*.c))

$B/tests/unit/helpers.a: $$(patsubst %.c,$B/%.o,$$(filter-out \
	tests/unit/test_%,$$(wildcard tests/unit/*.c))) $B/.files
	$(archive)

$(UNIT): $B/tests/unit/test_%: $B/tests/unit/test_%.o \
		$B/tests/unit/helpers.a $(ROOMS) $$(wildcard tests/unit/test_$$*.ld)
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ \
		$(patsubst %.ld,@%.ld,$(filter %.o %.ld,$^)) \
		$(call group,$B/tests/unit/helpers.a $(call included,$@,$B))

# The fuzz targets with a main of ours, which replays their corpora ...
$(REPLAY): $B/tests/fuzz/replay_%: $B/tests/fuzz/fuzz_%.o \
		$B/tests/fuzz/replay.o $(ROOMS) $$(wildcard tests/fuzz/fuzz_$$*.ld)
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ \
		$(patsubst %.ld,@%.ld,$(filter %.o %.ld,$^)) \
		$(call group,$(call included,$(<:.o=),$B))

# ... and with libFuzzer's.
FUZZERS := $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZROOMS := $(patsubst $B/%,$B/fuzz/%,$(ROOMS))
FUZZSAN  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZLINK := -fsanitize=fuzzer,address,undefined
$B/fuzz/%.o: %.c $B/.flags
	@mkdir -p $(@D)
	$(call run,FUZZ)clang -std=gnu11 $(WARN) $(CPPFLAGS) -O1 -g -MMD -MP -fPIC \
		$(FUZZSAN) -DAWSENV_SANITIZED=1 -c -o $@ $<

$(FUZZROOMS): $B/fuzz/%.a: $$(call objects,$$*,$B/fuzz) $B/.files
	$(archive)

$(FUZZERS): $B/fuzz/fuzz_%: $B/fuzz/tests/fuzz/fuzz_%.o $(FUZZROOMS) \
		$$(wildcard tests/fuzz/fuzz_$$*.ld)
	$(call run,LD)clang $(FUZZLINK) -o $@ \
		$(patsubst %.ld,@%.ld,$(filter %.o %.ld,$^)) \
		$(call group,$(call included,$(<:.o=),$B/fuzz))

replays: $(REPLAY)
tests: all $(UNIT) replays

check: tests
	@B=$(abspath $B) $(PYTHON) tests/run $(T)

check-quick: tests
	@B=$(abspath $B) $(PYTHON) tests/run --quick $(T)

check-desktop: all
	@B=$(abspath $B) $(PYTHON) tests/run --desktop $(T)

# On a system that systemd-nspawn boots, with the packages that make deb makes.
NEWER := $B/system/newer
check-system: all deb
	@mkdir -p $B/system
	@$(MAKE) --no-print-directory DEB=$(NEWER) VERSION=$(VERSION).1 \
		LINTIAN=: deb >$(NEWER).log
	@tests/system/rootfs $B/system/root $(DEB)/*awsenv_*.deb
	@B=$(abspath $B) $(PYTHON) tests/run --system $(T)

# What this needs beyond check it installs under $B/clients.
check-clients: all
	@B=$(abspath $B) $(PYTHON) tests/clients/run $(T)

check-reproducible: deps
	@tests/reproducible

fuzzers: $(FUZZERS)

fuzz: fuzzers
	@tests/fuzz/run $B/fuzz $(FUZZ_SECONDS) $(T)

# Without sanitizers, which take three fifths of the time.
fuzz-edges:
	@$(MAKE) --no-print-directory B=$B/edges T= FUZZLINK=-fsanitize=fuzzer \
		FUZZSAN=-fsanitize=fuzzer-no-link fuzzers
	@nice -n 19 $(PYTHON) tests/fuzz/edges $B/edges/fuzz $(EDGE_RUNS) \
		$(EDGE_SECONDS) $(if $(KEEP),--keep) $(T)

fuzz-mutants:
	@$(PYTHON) tests/fuzz/mutants $(abspath $B)/fuzz-mutants $(MUTANT_SECONDS) \
		$(if $(SAMPLE),--sample) $(T)

# A call of the source is one call of the program.
fail-cover: deps
	@+$(MAKE) --no-print-directory B=build-fail-cover CC=gcc WRAPPER=dynamic \
		HARDEN= CFLAGS='-O0 -g' tests
	@$(PYTHON) tests/unit/cover build-fail-cover $(T)

# By gcc's own means, without a sandbox or a sanitizer.
fuzz-cover: deps
	@+$(MAKE) --no-print-directory B=build-fuzz-cover CC=gcc WRAPPER=dynamic \
		HARDEN=--coverage LINKSAN=--coverage CFLAGS='-O0 -g' replays
	@$(PYTHON) tests/fuzz/cover build-fuzz-cover $(T)

lint: tests
	@B=$(abspath $B) tests/lint $(T)

# In a copy of the tree, without each protection in turn.
mutants: deps
	@B=$(abspath $B) $(PYTHON) tests/mutants/run $(T)

# On this machine, with a login at the simulator: who leaks what.
attack: all
	@B=$(abspath $B) $(PYTHON) tests/attack

# Without filters: memcheck's own calls would not pass them.
valgrind:
	@+$(MAKE) --no-print-directory B=build-valgrind WRAPPER=dynamic \
		HARDEN=-DAWSENV_SANITIZED=1 CFLAGS='-O1 -g' tests
	@tests/valgrind build-valgrind $(T)

cov:
	@+$(MAKE) --no-print-directory B=build-cov WRAPPER=dynamic \
		HARDEN=--coverage LINKSAN=--coverage CFLAGS='-O0 -g' check || true
	@tests/cov build-cov

LOAD := $(patsubst %.c,$B/%,$(wildcard tests/bench/load.c))
$(LOAD): $B/%: $B/%.o $(COMMON)
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ $^

# Without their sandboxes, to measure what those cost.
UNCONFINED := $B/tests/bench/awsenv-agent $B/tests/bench/awsenv-broker
$B/tests/bench/awsenv-agent:  LDLIBS = -lkeyutils -lpthread
$B/tests/bench/awsenv-broker: LDLIBS = -lkeyutils -lmd $(SODIUM)
$B/tests/bench/awsenv-agent:  $B/agent/supervisor/main.o $B/agent/supervisor.a
$B/tests/bench/awsenv-broker: $B/agent/broker/main.o $B/agent/broker.a
$(UNCONFINED): $B/tests/bench/unconfined.o $(COMMON)
	$(call run,LD)$(CC) $(CFLAGS) $(LINKSAN) $(RELRO) $(LDFLAGS) -o $@ \
		$(filter %.o,$^) $(archives) $(LDLIBS)

bench: all $(LOAD) $(UNCONFINED)
	@B=$(abspath $B) $(PYTHON) tests/bench/run $(T)

chaos: all
	@B=$(abspath $B) $(PYTHON) tests/chaos/run $(CHAOS_SECONDS)

demo: all
	@B=$(abspath $B) tests/demo

# These install what they need first, so they work in a fresh clone.
ifneq ($(filter demo attack mutants check check-quick check-clients check-desktop check-system bench chaos valgrind cov,$(MAKECMDGOALS)),)
$B/.flags: | deps
endif

# Debian 12 and 13, Ubuntu 22.04 and 24.04. Behind "--" stands what such a
# distribution may lack; what wants it says so. A goal installs its own needs,
# "make deps" all of them.
DEPS_BUILD := gcc libc6-dev make pkg-config musl-tools libcurl4-openssl-dev \
	libcjson-dev libssl-dev libkeyutils-dev libmd-dev libqrencode-dev \
	libpam0g-dev libseccomp-dev libsodium-dev libsystemd-dev
DEPS_DEMO  := python3 python3-botocore python3-cryptography keyutils
DEPS_CHECK := libcmocka-dev python3-boto3 python3-pytest procps acl strace \
	binutils iproute2
DEPS_WANT  := dbus python3-dbus python3-gi awscli python3-pyfuse3 fuse3 tmux curl \
	busybox zsh fish systemd openssh-server gpg-agent libpam-wrapper libnss-wrapper \
	pamtester rsync sudo cron podman crun uidmap gnome-keyring \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
DEPS_DEB   := dpkg-dev debhelper lintian
DEPS_DESKTOP := lightdm lightdm-gtk-greeter xvfb xauth xdotool openbox python3-xdg \
	dunst chromium chromium-driver xterm imagemagick desktop-file-utils \
	fonts-dejavu-core
DEPS_SYSTEM := debootstrap systemd-container openssh-client
DEPS_CLIENTS := protobuf-compiler libprotobuf-dev
DEPS_LINT  := patch valgrind clang clang-tidy clang-format libclang-rt-dev|libclang-rt-*-dev \
	cppcheck shellcheck mandoc git
deps: NEED = $(DEPS_BUILD) \
	$(if $(filter deps deb check-system check-reproducible,$(MAKECMDGOALS)),$(DEPS_DEB)) \
	$(if $(filter deps check-system,$(MAKECMDGOALS)),$(DEPS_SYSTEM)) \
	$(if $(filter check-desktop,$(MAKECMDGOALS)),$(DEPS_DESKTOP)) \
	$(if $(filter check-clients,$(MAKECMDGOALS)),$(DEPS_CLIENTS)) \
	$(if $(filter-out deb,$(MAKECMDGOALS)),$(DEPS_DEMO)) \
	$(if $(filter-out demo deb,$(MAKECMDGOALS)),$(DEPS_CHECK) -- $(DEPS_WANT)) \
	$(if $(filter deps,$(MAKECMDGOALS)),$(DEPS_LINT)) \
	$(if $(filter valgrind,$(MAKECMDGOALS)),valgrind)
deps:
	@tests/deps $(patsubst %,'%',$(NEED))

# ---- install ---------------------------------------------------------------

# A program its user cannot read is not dumpable from exec on: what possesses
# the keyring or carries secrets is root's, and 0711.
STRIP  ?= -s
OWNER  := $(if $(filter 0,$(shell id -u)),-o root -g root)
PAGES   = $(wildcard agent/*/*.[1578] pam_module/*.8)
manual  = $(MANDIR)/man$(subst .,,$(suffix $1))/$(notdir $1)
USERUNITDIR    ?= $(PREFIX)/lib/systemd/user
ENVIRONMENTDIR ?= $(PREFIX)/lib/environment.d
SYSUSERSDIR    ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR    ?= $(PREFIX)/lib/tmpfiles.d
PAMCONFIGDIR   ?= $(PREFIX)/share/pam-configs
BASHCOMPDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
UNITS = $(wildcard examples/systemd/awsenv-agent*)

# What is copied as it is: FILE>TARGET.
COPIES = $(foreach p,$(PAGES),$p>$(call manual,$p)) \
	$(foreach u,$(UNITS),$u>$(USERUNITDIR)/$(notdir $u)) \
	examples/systemd/awsenv.environment>$(ENVIRONMENTDIR)/50-awsenv.conf \
	examples/systemd/awsenv.sysusers>$(SYSUSERSDIR)/awsenv.conf \
	examples/systemd/awsenv.tmpfiles>$(TMPFILESDIR)/awsenv.conf \
	examples/pam-configs/awsenv>$(PAMCONFIGDIR)/awsenv \
	$B/completion.bash>$(BASHCOMPDIR)/awsenv \
	$B/completion.zsh>$(ZSHCOMPDIR)/_awsenv \
	$B/completion.fish>$(FISHCOMPDIR)/awsenv.fish \
	examples/profile.d/awsenv.sh>$(SYSCONFDIR)/profile.d/awsenv.sh \
	examples/autostart/awsenv.desktop>$(SYSCONFDIR)/xdg/autostart/awsenv.desktop
source = $(firstword $(subst >, ,$1))
target = $(DESTDIR)$(lastword $(subst >, ,$1))

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR)
	install $(OWNER) $(STRIP) -m 0755 $B/awsenv $(DESTDIR)$(BINDIR)
	install $(OWNER) $(STRIP) -m 0711 $(AGENT) $(DESTDIR)$(BINDIR)
	install $(OWNER) $(STRIP) -m 0711 $(HELPERS) $(DESTDIR)$(LIBEXECDIR)
	install $(OWNER) $(STRIP) -m 0755 $(CTL) $(DESTDIR)$(LIBEXECDIR)
	install $(OWNER) $(STRIP) -D -m 0644 -t $(DESTDIR)$(PAMDIR) $(MODULE)
	$(foreach c,$(COPIES),install $(OWNER) -D -m 0644 $(call source,$c) \
		$(call target,$c) &&) true
	sed -i 's|/usr/bin/|$(BINDIR)/|' \
		$(DESTDIR)$(USERUNITDIR)/awsenv-agent.service

uninstall:
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,awsenv $(notdir $(AGENT)))
	rm -f $(addprefix $(DESTDIR)$(LIBEXECDIR)/,$(notdir $(HELPERS) $(CTL)))
	-rmdir $(DESTDIR)$(LIBEXECDIR)
	rm -f $(DESTDIR)$(PAMDIR)/$(notdir $(MODULE))
	rm -f $(foreach c,$(COPIES),$(call target,$c))

# In a tree of its own, where debian/ may stand at the top. What this make was
# told is not for the one in there.
DEB  ?= $B/deb
LINTIAN ?= lintian --allow-root --fail-on error,warning
DATE  = $(shell date -R -u -d "@$${SOURCE_DATE_EPOCH:-$$(stat -c %Y CHANGELOG.md)}")
deb: deps
	rm -rf $(DEB)
	mkdir -p $(DEB)/awsenv
	cp -a Makefile *.md LICENSE agent include pam_module examples $(DEB)/awsenv
	cp -a examples/debian $(DEB)/awsenv
	printf 'awsenv (%s) unstable; urgency=medium\n\n  * %s\n\n -- %s  %s\n' \
		$(VERSION) 'What is new: CHANGELOG.md.' \
		"$$(sed -n 's/^Maintainer: //p' examples/debian/control)" \
		'$(DATE)' >$(DEB)/awsenv/debian/changelog
	cd $(DEB)/awsenv && env -u MAKEFLAGS -u MAKELEVEL -u B \
		dpkg-buildpackage -b -us -uc >../build.log 2>&1 || \
		{ tail -n 30 ../build.log; exit 1; }
	$(LINTIAN) $(DEB)/*.changes
	@rm -r $(DEB)/awsenv
	@ls $(DEB)/*.deb

clean:
	rm -rf $B

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

-include $(shell find $B -path $B/deb -prune -o -path $B/system -prune -o \
	-path $B/clients -prune -o -path $B/mutants -prune -o \
	-path $B/fuzz-mutants -prune -o -path $B/edges -prune -o \
	-name '*.d' -print 2>/dev/null)
