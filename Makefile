# SPDX-License-Identifier: BSD-2-Clause
# Owns the build: build/pyebpf from bpf/, include/ and user/. tests/tests.mk owns what checks it.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
V ?= 0
ifeq ($(V),0)
  quiet = @printf '  %-8s %s\n' $(1) $(2);
else
  quiet =
endif

CLANG ?= clang
LLVM_OBJCOPY ?= llvm-objcopy
BPFTOOL ?= $(firstword $(shell command -v bpftool) /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
BUILD := build
ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
VERSION := 0.1.0

PACKAGES := libbpf libdw libelf liblzma zlib libprotobuf-c jansson libcap ncursesw
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter -Wvla -Wformat=2
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DPYEBPF_VERSION='"$(VERSION)"' $(WARNINGS) $(CFLAGS) \
	-Iinclude -Iuser -isystem $(BUILD)/generated $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -liberty -lm
# The program is all that a user copies to another machine: of shared libraries it needs only libc's.
PROGRAM_LIBS = -Wl,-Bstatic $(shell $(PKG_CONFIG) --static --libs $(PACKAGES)) -liberty \
	-Wl,-Bdynamic -lm
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror \
	-Wno-unused-parameter -Wno-address-of-packed-member -Iinclude -Ibpf \
	-idirafter /usr/include/$(MULTIARCH)

BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
SKELETONS := $(BUILD)/generated/pyebpf.skel.h $(BUILD)/generated/pyebpf_maps.skel.h
PROTOBUF := $(BUILD)/generated/pprof.pb-c
SYSCALL_NAMES := $(BUILD)/generated/syscall_names.h
SOURCES := $(filter-out user/main.c,$(wildcard user/*.c user/*/*.c))
OBJECTS := $(SOURCES:user/%.c=$(BUILD)/user/%.o) $(BUILD)/user/pprof.pb-c.o
LIBRARY := $(BUILD)/libpyebpf.a
PROGRAM := $(BUILD)/pyebpf

.PHONY: all clean
all: $(PROGRAM)

$(PROGRAM): $(BUILD)/user/main.o $(LIBRARY)
	$(call quiet,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PROGRAM_LIBS)

$(LIBRARY): $(OBJECTS)
	$(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/user/%.o: user/%.c | $(SKELETONS) $(PROTOBUF).h $(SYSCALL_NAMES)
	$(call quiet,CC,$<)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MD -MP -c -o $@ $<

$(BUILD)/user/pprof.pb-c.o: $(PROTOBUF).h
	$(call quiet,CC,$(PROTOBUF).c)mkdir -p $(@D) && $(CC) -O2 -I$(BUILD)/generated -c -o $@ $(PROTOBUF).c

# Names by number, as the C library's headers have them.
$(SYSCALL_NAMES):
	$(call quiet,NAMES,$@)mkdir -p $(@D) && { \
		echo '/* SPDX-License-Identifier: BSD-2-Clause */'; \
		echo 'static const char *const syscall_names[] = {'; \
		echo '#include <sys/syscall.h>' | $(CC) -E -dM - | \
			sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/\t[\2] = "\1",/p'; \
		echo '};'; } > $@.new && mv $@.new $@

$(PROTOBUF).h: user/profile/pprof.proto
	$(call quiet,PROTOC,$<)mkdir -p $(@D) && \
		protoc-c --proto_path=user/profile --c_out=$(BUILD)/generated pprof.proto

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call quiet,BPF,$<)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MD -MP -c -o $@ $<

$(BUILD)/bpf/pyebpf.o: $(BPF_OBJECTS)
	$(call quiet,BPFLINK,$@)$(BPFTOOL) gen object $@ $^

# For its maps alone: without the relocations libbpf need not read the kernel's types to make them.
$(BUILD)/bpf/pyebpf_maps.o: $(BUILD)/bpf/pyebpf.o
	$(call quiet,OBJCOPY,$@)$(LLVM_OBJCOPY) --remove-section=.BTF.ext --remove-section=.rel.BTF.ext $< $@

$(SKELETONS): $(BUILD)/generated/%.skel.h: $(BUILD)/bpf/%.o
	$(call quiet,SKELETON,$@)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name $* > $@.new && mv $@.new $@

# user/python/offset_table.c holds, for CPython up to 3.12, what later ones tell of themselves. Made
# anew from builds with debug information: make layout-table LIBPYTHONS='libpython3.8.so.1.0 …'
.PHONY: layout-table
layout-table: tools/offset_table.c
	$(call quiet,CC,$<)mkdir -p $(BUILD)/tools && \
		$(CC) $(ALL_CFLAGS) -o $(BUILD)/tools/offset_table $< $(LIBS) -ldw
	$(call quiet,TABLE,user/python/offset_table.c)$(BUILD)/tools/offset_table $(LIBPYTHONS) \
		> $(BUILD)/tools/offset_table.out && \
		clang-format --assume-filename=user/python/offset_table.c < $(BUILD)/tools/offset_table.out \
		> user/python/offset_table.c

clean:
	rm -rf $(BUILD)

include tests/tests.mk

-include $(shell find $(addprefix $(BUILD)/,bpf user tests asan fuzz) -name '*.d' -type f 2>/dev/null)
