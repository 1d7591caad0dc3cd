# SPDX-License-Identifier: BSD-2-Clause
# Owns everything that checks build/pyebpf: unit, bpf, fuzz, end-to-end tests, lint, benchmarks,
# the demo, and the packages all that needs. Leaves the build itself to the Makefile.
#
#   check       all of it, on a fresh Debian machine too      unit, bpf-test, e2e, fuzz, lint   parts
#   demo        build, record a real workload, show the report
#   bench       what profiling costs                          bench-peers   the same of others
#   compare-stacks  native stacks against another unwinder
# FUZZ_SECONDS: per fuzzer, default 10. E2E_ARGUMENTS: for pytest (`-k waits`).

PYTHON ?= /usr/bin/python3
FUZZ_SECONDS ?= 10
E2E_ARGUMENTS ?=

.PHONY: unit bpf-test fuzz e2e lint check demo bench bench-peers vm
.PHONY: install-build-dependencies install-dependencies

# Packages. Installed only where one is missing; anybody but root is told what to install.
BUILD_PACKAGES := bpftool clang gcc libbpf-dev libbz2-dev libcap-dev libdw-dev libelf-dev libiberty-dev \
	libjansson-dev liblzma-dev libncurses-dev libprotobuf-c-dev linux-libc-dev llvm make pkg-config protobuf-c-compiler uthash-dev zlib1g-dev
TEST_PACKAGES := clang-format clang-tidy cppcheck debian-archive-keyring g++ libclang-rt-14-dev \
	libcmocka-dev libpython3-dev mmdebstrap mount postgresql python3 python3-psycopg2 python3-pytest \
	python3-venv tmux util-linux

# $(1): packages. dpkg-query's status is the only thing that says whether one is there.
define install_packages
	@missing=$$(for package in $(1); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q '^install ok installed' \
			|| echo $$package; \
	done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then \
		echo "missing packages, install them as root:" $$missing >&2; exit 1; fi; \
	printf '  %-8s %s\n' APT "$$(echo $$missing)"; \
	export DEBIAN_FRONTEND=noninteractive; \
	log=$$(mktemp); \
	{ apt-get update && apt-get install -y --no-install-recommends $$missing; } >$$log 2>&1 \
		|| { cat $$log >&2; rm -f $$log; exit 1; }; \
	rm -f $$log
endef

install-build-dependencies:
	$(call install_packages,$(BUILD_PACKAGES))

install-dependencies:
	$(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES))

# Unit tests: each tests/unit/test_*.c is a program, built twice: as the product is, and with the
# sanitizers, against a library built with them too.
CMOCKA_FLAGS = $(shell $(PKG_CONFIG) --cflags cmocka)
CMOCKA_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_SUPPORT := $(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
BPF_TESTS := $(patsubst tests/bpf/%.c,$(BUILD)/tests/bpf/%,$(wildcard tests/bpf/test_*.c))
BPF_SUPPORT := $(filter-out $(wildcard tests/bpf/test_*.c tests/bpf/*.bpf.c),$(wildcard tests/bpf/*.c))
BPF_TEST_OBJECTS := $(patsubst %.bpf.c,$(BUILD)/%.bpf.o,$(wildcard tests/bpf/*.bpf.c))
MECHANISMS := $(BUILD)/generated/mechanisms.skel.h
ASAN_TESTS := $(patsubst $(BUILD)/%,$(BUILD)/asan/%,$(UNIT_TESTS))
ASAN_OBJECTS := $(patsubst $(BUILD)/%,$(BUILD)/asan/%,$(OBJECTS))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJECTS := $(patsubst $(BUILD)/%,$(BUILD)/fuzz/%,$(OBJECTS))
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

$(BUILD)/tests/unit/%: tests/unit/%.c $(UNIT_SUPPORT) $(LIBRARY)
	$(call quiet,CC,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CMOCKA_FLAGS) -Itests/unit -MD -MP \
		-o $@ $< $(UNIT_SUPPORT) $(LIBRARY) $(LIBS) $(CMOCKA_LIBS)

# The programs of tests/bpf/*.bpf.c are linked into one object, as the product's are.
$(BUILD)/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c
	$(call quiet,BPF,$<)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -Itests/bpf -MD -MP -c -o $@ $<

$(BUILD)/tests/bpf/mechanisms.o: $(BPF_TEST_OBJECTS)
	$(call quiet,BPFLINK,$@)$(BPFTOOL) gen object $@ $^

$(MECHANISMS): $(BUILD)/tests/bpf/mechanisms.o
	$(call quiet,SKELETON,$@)mkdir -p $(@D) && \
		$(BPFTOOL) gen skeleton $< name mechanisms > $@.new && mv $@.new $@

$(BUILD)/tests/bpf/%: tests/bpf/%.c $(BPF_SUPPORT) $(LIBRARY) $(MECHANISMS)
	$(call quiet,CC,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CMOCKA_FLAGS) -Itests/bpf -Ibpf -MD -MP \
		-o $@ $< $(BPF_SUPPORT) $(LIBRARY) $(LIBS) $(CMOCKA_LIBS) -lm

$(BUILD)/asan/user/%.o: user/%.c | $(SKELETONS) $(PROTOBUF).h $(SYSCALL_NAMES)
	$(call quiet,ASAN,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) -MD -MP -c -o $@ $<

$(BUILD)/asan/user/pprof.pb-c.o: $(PROTOBUF).h
	$(call quiet,ASAN,$(PROTOBUF).c)mkdir -p $(@D) && $(CC) -O1 $(SANITIZE) -I$(BUILD)/generated \
		-c -o $@ $(PROTOBUF).c

$(BUILD)/asan/libpyebpf.a: $(ASAN_OBJECTS)
	$(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $^

# The program itself, for tests/e2e/test_bad_targets.py.
$(BUILD)/asan/pyebpf: $(BUILD)/asan/user/main.o $(BUILD)/asan/libpyebpf.a
	$(call quiet,LINK,$@)$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/asan/tests/unit/%: tests/unit/%.c $(UNIT_SUPPORT) $(BUILD)/asan/libpyebpf.a
	$(call quiet,ASAN,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -O1 $(SANITIZE) $(CMOCKA_FLAGS) \
		-Itests/unit -MD -MP -o $@ $< $(UNIT_SUPPORT) $(BUILD)/asan/libpyebpf.a $(LIBS) $(CMOCKA_LIBS)

unit: $(UNIT_TESTS) $(ASAN_TESTS)
	@V=$(V) tests/run_tests.sh $^

# BPF programs on made-up memory; they need root, as loading does.
bpf-test: $(BPF_TESTS)
	@V=$(V) tests/run_tests.sh $^

# Fuzzers: each tests/fuzz/fuzz_*.c with its corpus in tests/fuzz/corpus/NAME. What a run finds new
# stays in build/fuzz/corpus; `make fuzz-merge` adds what is worth keeping to the committed corpus.
$(BUILD)/fuzz/user/%.o: user/%.c | $(SKELETONS) $(PROTOBUF).h $(SYSCALL_NAMES)
	$(call quiet,FUZZ,$<)mkdir -p $(@D) && $(CLANG) $(ALL_CFLAGS) -O1 -fsanitize=fuzzer-no-link \
		$(FUZZ_FLAGS) -MD -MP -c -o $@ $<

$(BUILD)/fuzz/user/pprof.pb-c.o: $(PROTOBUF).h
	$(call quiet,FUZZ,$(PROTOBUF).c)mkdir -p $(@D) && $(CLANG) -O1 -fsanitize=fuzzer-no-link \
		$(FUZZ_FLAGS) -I$(BUILD)/generated -c -o $@ $(PROTOBUF).c

$(BUILD)/fuzz/libpyebpf.a: $(FUZZ_OBJECTS)
	$(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/libpyebpf.a
	$(call quiet,FUZZ,$<)mkdir -p $(@D) && $(CLANG) $(ALL_CFLAGS) -O1 -fsanitize=fuzzer $(FUZZ_FLAGS) \
		-MD -MP -o $@ $< $(BUILD)/fuzz/libpyebpf.a $(LIBS)

fuzz: $(FUZZERS)
	@passed=0; for fuzzer in $^; do \
		name=$$(basename $$fuzzer); name=$${name#fuzz_}; \
		mkdir -p $(BUILD)/fuzz/corpus/$$name tests/fuzz/corpus/$$name; \
		printf '  %-8s %s, %s s\n' FUZZ $$name $(FUZZ_SECONDS); \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
			-print_final_stats=0 -verbosity=0 -artifact_prefix=$(BUILD)/fuzz/$$name- \
			$(BUILD)/fuzz/corpus/$$name tests/fuzz/corpus/$$name \
			>$$fuzzer.log 2>&1 || { cat $$fuzzer.log; exit 1; }; \
		passed=$$((passed + 1)); \
	done; echo "$$passed passed, 0 failed"

.PHONY: fuzz-merge
fuzz-merge: $(FUZZERS)
	@for fuzzer in $^; do \
		name=$$(basename $$fuzzer); name=$${name#fuzz_}; \
		mkdir -p tests/fuzz/corpus/$$name $(BUILD)/fuzz/corpus/$$name; \
		$$fuzzer -merge=1 tests/fuzz/corpus/$$name $(BUILD)/fuzz/corpus/$$name 2>/dev/null; \
	done

# Lint. Generated files are not ours. cppcheck takes the loop variables of uthash's HASH_ITER for
# uninitialized; what really is, the compilers and the sanitizers find.
C_FILES = $(sort $(wildcard bpf/*.[ch] include/*.h user/*.[ch] user/*/*.[ch] tests/*/*.[ch]))
LINTED = $(filter user/%.c,$(C_FILES))

lint: $(SKELETONS) $(PROTOBUF).h
	$(call quiet,FORMAT,"$(words $(C_FILES)) files")clang-format --dry-run -Werror $(C_FILES)
	$(call quiet,CPPCHECK,"$(words $(LINTED)) files")cppcheck --quiet --std=c11 --error-exitcode=1 \
		--enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=uninitvar -D_GNU_SOURCE -D__x86_64__ -Iinclude -Iuser \
		-i$(BUILD) -j2 $(LINTED)
	$(call quiet,TIDY,"$(words $(LINTED)) files")printf '%s\n' $(LINTED) | xargs -P2 -n8 sh -c \
		'clang-tidy --quiet "$$@" -- $(subst ','\'',$(ALL_CFLAGS)) >$(BUILD)/tidy.$$$$ 2>&1 \
		|| { cat $(BUILD)/tidy.$$$$; exit 1; }; rm -f $(BUILD)/tidy.$$$$' clang-tidy

# End-to-end tests against every interpreter there is. They compare with clocks on a machine that is
# shared, on kernels that do not report every switch: what fails is recorded and compared again, twice
# at most, and all runs are shown.
e2e: $(PROGRAM) $(BUILD)/asan/pyebpf $(BUILD)/tests/unwind/compare
	@$(PYTHON) -B -m pytest tests/e2e $(E2E_ARGUMENTS) || for turn in 1 2; do \
		echo "what failed, once more:"; \
		$(PYTHON) -B -m pytest tests/e2e --last-failed $(E2E_ARGUMENTS) && exit 0; \
	done

# Stacks, compared with libdwfl's: `make compare-stacks` for a table of many programs, COMPARE_ARGUMENTS
# for compare_stacks.py (`-k perl -n 100000`). A short version is one of the end-to-end tests.
COMPARE := $(BUILD)/tests/unwind/compare
WALK := $(BUILD)/generated/walk.skel.h

$(BUILD)/tests/unwind/walk.bpf.o: tests/unwind/walk.bpf.c
	$(call quiet,BPF,$<)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -Itests/unwind -MD -MP -c -o $@ $<

$(BUILD)/tests/unwind/walk.o: $(BUILD)/tests/unwind/walk.bpf.o
	$(call quiet,BPFLINK,$@)$(BPFTOOL) gen object $@ $<

$(WALK): $(BUILD)/tests/unwind/walk.o
	$(call quiet,SKELETON,$@)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name walk > $@.new && mv $@.new $@

$(COMPARE): $(wildcard tests/unwind/*.[ch]) $(LIBRARY) $(WALK)
	$(call quiet,CC,$@)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -Itests/unwind -o $@ \
		$(filter tests/unwind/%.c,$(filter-out %.bpf.c,$^)) $(LIBRARY) $(LIBS)

.PHONY: compare-stacks
compare-stacks: $(PROGRAM) $(COMPARE)
	@PYEBPF_BUILD=$(abspath $(BUILD)) $(PYTHON) -B tests/unwind/compare_stacks.py $(COMPARE_ARGUMENTS)

# In a make of its own: what the Makefile asks the compiler is asked after it is installed.
check: install-dependencies
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory bpf-test
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory e2e

# The program with shared libraries: tests/vm makes it believe that a kernel lacks hooks by standing
# between it and libbpf.
$(BUILD)/pyebpf-shared: $(BUILD)/user/main.o $(LIBRARY)
	$(call quiet,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Other kernels, emulated. VM_SUITES: Debian's suites, default all.
vm: $(PROGRAM) $(BUILD)/pyebpf-shared
	@tests/vm/run.py $(VM_SUITES)

demo: install-build-dependencies
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(PROGRAM)

# Figures, as markdown tables. Nothing of it is a test.
bench: $(PROGRAM)
	@$(PYTHON) -B tests/bench/bench.py $(BENCH_ARGUMENTS)

bench-peers: $(PROGRAM)
	@$(PYTHON) -B tests/bench/bench.py --peers $(BENCH_ARGUMENTS)
