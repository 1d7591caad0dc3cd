/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks why a thread is said to wait: with descriptors that this test really has, in system calls
 * that it could be in, and for threads that really are blocked.
 */
#include "made_python.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* enum descriptor_kind of bpf/descriptor.bpf.h */
enum kind { KIND_UNKNOWN, KIND_SOCKET, KIND_LISTENER, KIND_OWN_SOCKET, KIND_PIPE, KIND_FILE };

/* One descriptor of each kind. */
struct open_files {
	int pipe[2];
	int event;
	int file;
	int listener;
	int connected; /* to `accepted`, over TCP */
	int accepted;
	int second; /* another connection */
	int second_accepted;
	int pair[2]; /* a unix socket pair of this process with itself */
	uint16_t port;
	char path[64];
};

static int connection_open(const struct open_files *files, int *accepted)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(files->port)};
	int client = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	*accepted = accept(files->listener, NULL, NULL);
	assert_true(*accepted >= 0);
	return client;
}

static void files_open(struct open_files *files)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(address);

	assert_int_equal(pipe(files->pipe), 0);
	files->event = eventfd(0, 0);
	strcpy(files->path, "/tmp/pyebpf_test_wait.XXXXXX");
	files->file = mkstemp(files->path);
	assert_true(files->event >= 0 && files->file >= 0);
	files->listener = socket(AF_INET, SOCK_STREAM, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(files->listener, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(listen(files->listener, 8), 0);
	assert_int_equal(getsockname(files->listener, (struct sockaddr *)&address, &bytes), 0);
	files->port = ntohs(address.sin_port);
	files->connected = connection_open(files, &files->accepted);
	files->second = connection_open(files, &files->second_accepted);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, files->pair), 0);
}

static void files_close(struct open_files *files)
{
	const int all[] = {files->pipe[0],         files->pipe[1],   files->event,    files->file,
			   files->listener,        files->connected, files->accepted, files->second,
			   files->second_accepted, files->pair[0],   files->pair[1]};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		close(all[i]);
	unlink(files->path);
}

struct world {
	struct run *run;
	struct open_files files;
};

static int world_set_up(void **state, enum viewpoint viewpoint)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->run = run_open(viewpoint, 1 << 20);
	files_open(&world->files);
	*state = world;
	return 0;
}

static int world_set_up_own(void **state)
{
	return world_set_up(state, VIEW_OWN);
}

static int world_set_up_other(void **state)
{
	return world_set_up(state, VIEW_OTHER);
}

static int world_tear_down(void **state)
{
	struct world *world = *state;

	files_close(&world->files);
	run_close(world->run);
	free(world);
	return 0;
}

/* Descriptors and what they lead to. */

static const struct wait_target *describe(struct world *world, int descriptor, enum kind kind,
					  enum target_kind target)
{
	struct mechanisms__bss *bss = world->run->programs->bss;

	bss->descriptor = (uint32_t)descriptor;
	run_program(world->run->programs->progs.describe);
	assert_int_equal(bss->descriptor_result.kind, kind);
	assert_int_equal(bss->descriptor_result.target.kind, target);
	return &bss->descriptor_result.target;
}

static void test_plain_descriptors(void **state)
{
	struct world *world = *state;
	int null = open("/dev/null", O_RDONLY), directory = open("/tmp", O_RDONLY);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), epoll = epoll_create1(0);
	int memory = memfd_create("held in memory", 0);
	const struct wait_target *target;

	describe(world, world->files.pipe[0], KIND_PIPE, TARGET_PIPE);
	describe(world, world->files.pipe[1], KIND_PIPE, TARGET_PIPE);
	describe(world, world->files.event, KIND_PIPE, TARGET_PIPE);
	describe(world, timer, KIND_PIPE, TARGET_PIPE);
	describe(world, epoll, KIND_PIPE, TARGET_PIPE);
	describe(world, null, KIND_PIPE, TARGET_PIPE);
	target = describe(world, world->files.file, KIND_FILE, TARGET_FILE);
	assert_string_equal(target->path, strrchr(world->files.path, '/') + 1);
	assert_string_equal(target->path + strlen(target->path) + 1, "tmp");
	target = describe(world, directory, KIND_FILE, TARGET_FILE);
	assert_string_equal(target->path, "tmp");
	describe(world, memory, KIND_FILE, TARGET_FILE);
	close(null);
	close(directory);
	close(timer);
	close(epoll);
	close(memory);
	describe(world, memory, KIND_UNKNOWN, TARGET_NONE);
	describe(world, 1 << 20, KIND_UNKNOWN, TARGET_NONE);
	describe(world, -1, KIND_UNKNOWN, TARGET_NONE);
	describe(world, 0x7fffffff, KIND_UNKNOWN, TARGET_NONE);
}

static void test_inet_targets(void **state)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	struct world *world = *state;
	const struct wait_target *target;
	uint16_t client;

	target = describe(world, world->files.listener, KIND_LISTENER, TARGET_INET);
	assert_int_equal(target->local_port, world->files.port);
	assert_int_equal(target->peer_port, 0);
	target = describe(world, world->files.connected, KIND_SOCKET, TARGET_INET);
	assert_int_equal(target->peer_port, world->files.port);
	assert_memory_equal(target->address, loopback, 4);
	client = target->local_port;
	assert_int_not_equal(client, 0);
	target = describe(world, world->files.accepted, KIND_SOCKET, TARGET_INET);
	assert_int_equal(target->local_port, world->files.port);
	assert_int_equal(target->peer_port, client);
	assert_memory_equal(target->address, loopback, 4);
}

/* A UDP socket that was connected has a peer as a TCP one has; in IPv6, of sixteen bytes. */
static void test_inet6_targets(void **state)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(5353)};
	struct world *world = *state;
	int client = socket(AF_INET6, SOCK_DGRAM, 0);
	const struct wait_target *target;

	if (client < 0)
		skip(); /* a kernel without IPv6 */
	address.sin6_addr = in6addr_loopback;
	describe(world, client, KIND_SOCKET, TARGET_INET6);
	if (!connect(client, (struct sockaddr *)&address, sizeof(address))) {
		target = describe(world, client, KIND_SOCKET, TARGET_INET6);
		assert_int_equal(target->peer_port, 5353);
		assert_memory_equal(target->address, &in6addr_loopback, 16);
	}
	close(client);
}

/* Connects another process to the listener, and holds it until it is waited for. */
static pid_t client_fork(const struct sockaddr_un *address)
{
	pid_t child = fork();
	int client;

	assert_true(child >= 0);
	if (child)
		return child;
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(client, (const struct sockaddr *)address, sizeof(*address)))
		_exit(1);
	pause();
	_exit(0);
}

static void test_unix_targets(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct world *world = *state;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	int accepted, foreign;
	const struct wait_target *target;
	pid_t child;

	describe(world, world->files.pair[0], KIND_OWN_SOCKET, TARGET_UNIX);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.socket", world->files.path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 2), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	accepted = accept(listener, NULL, NULL);
	target = describe(world, listener, KIND_LISTENER, TARGET_UNIX);
	assert_string_equal(target->path, address.sun_path);
	target = describe(world, client, KIND_OWN_SOCKET, TARGET_UNIX);
	assert_string_equal(target->path, address.sun_path);
	target = describe(world, accepted, KIND_OWN_SOCKET, TARGET_UNIX);
	assert_string_equal(target->path, address.sun_path);
	child = client_fork(&address);
	foreign = accept(listener, NULL, NULL);
	target = describe(world, foreign, KIND_SOCKET, TARGET_UNIX);
	assert_string_equal(target->path, address.sun_path);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(listener);
	close(client);
	close(accepted);
	close(foreign);
	unlink(address.sun_path);
}

/* System calls that this thread could be in. */

static const struct call_result *classify(struct world *world, const struct made_call *call)
{
	struct mechanisms__bss *bss = world->run->programs->bss;

	bss->made_call = *call;
	if (!call->task_state)
		bss->made_call.task_state = SLEEP_INTERRUPTIBLE;
	memset(&bss->call_result, 0xff, sizeof(bss->call_result));
	if (world->run->viewpoint == VIEW_OWN)
		assert_int_equal(run_program(world->run->programs->progs.classify_own), 0);
	else
		run_iterator(world->run->programs->progs.classify_other);
	return &bss->call_result;
}

static void expect_wait(struct world *world, enum state state, int descriptor, long number,
			uint64_t first, uint64_t second, uint64_t third, uint64_t fourth)
{
	const struct made_call call = {
		.number = number, .arguments = {first, second, third, fourth}, .now = 1000000000};
	const struct call_result *result = classify(world, &call);

	assert_int_equal(result->state, state);
	assert_int_equal(result->descriptor, descriptor);
}

static void expect_asleep(struct world *world, enum state state, uint32_t task_state,
			  uint32_t in_io_wait, long number, uint64_t first)
{
	const struct made_call call = {.number = number,
				       .arguments = {first},
				       .now = 1000000000,
				       .task_state = task_state,
				       .in_io_wait = in_io_wait};

	assert_int_equal(classify(world, &call)->state, state);
}

/* What no signal can end is no wait for others, but one for memory that the call is about. */
static void test_faults_in_calls(void **state)
{
	static const long calls[] = {SYS_clock_nanosleep, SYS_futex,       SYS_poll,  SYS_select,
				     SYS_epoll_wait,      SYS_epoll_pwait, SYS_ppoll, SYS_wait4};
	struct world *world = *state;
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		expect_asleep(world, STATE_OTHER, SLEEP_UNINTERRUPTIBLE, 0, calls[i], 0);
		expect_asleep(world, STATE_OTHER, SLEEP_KILLABLE, 0, calls[i], 0);
		expect_asleep(world, STATE_FAULT, SLEEP_UNINTERRUPTIBLE, 1, calls[i], 0);
	}
	expect_asleep(world, STATE_SLEEP, SLEEP_INTERRUPTIBLE, 0, SYS_clock_nanosleep, 0);
	expect_asleep(world, STATE_PIPE, SLEEP_UNINTERRUPTIBLE, 0, SYS_read,
		      (uint64_t)world->files.pipe[0]);
	expect_asleep(world, STATE_FILE, SLEEP_KILLABLE, 1, SYS_fsync, (uint64_t)world->files.file);
}

static void test_descriptor_calls(void **state)
{
	struct world *world = *state;
	const struct open_files *files = &world->files;

	expect_wait(world, STATE_PIPE, files->pipe[0], SYS_read, files->pipe[0], 0, 0, 0);
	expect_wait(world, STATE_PIPE, files->pipe[1], SYS_write, files->pipe[1], 0, 0, 0);
	expect_wait(world, STATE_PIPE, files->event, SYS_read, files->event, 0, 0, 0);
	expect_wait(world, STATE_FILE, files->file, SYS_fsync, files->file, 0, 0, 0);
	expect_wait(world, STATE_FILE, files->file, SYS_pread64, files->file, 0, 0, 0);
	expect_wait(world, STATE_SOCKET, files->connected, SYS_recvfrom, files->connected, 0, 0, 0);
	expect_wait(world, STATE_SOCKET, files->accepted, SYS_sendto, files->accepted, 0, 0, 0);
	expect_wait(world, STATE_SOCKET, files->connected, SYS_connect, files->connected, 0, 0, 0);
	expect_wait(world, STATE_SOCKET, files->pair[1], SYS_read, files->pair[1], 0, 0, 0);
	expect_wait(world, STATE_ACCEPT, files->listener, SYS_accept, files->listener, 0, 0, 0);
	expect_wait(world, STATE_ACCEPT, files->listener, SYS_accept4, files->listener, 0, 0, 0);
	expect_wait(world, STATE_OTHER, 9999, SYS_read, 9999, 0, 0, 0);
	/* The upper half of a register that holds an int is anything. */
	expect_wait(world, STATE_PIPE, files->pipe[0], SYS_read,
		    (uint64_t)files->pipe[0] | 0xdeadbeefULL << 32, 0, 0, 0);
}

static void test_other_calls(void **state)
{
	struct world *world = *state;
	struct made_call call = {.number = SYS_getpid, .in_io_wait = 1};

	expect_wait(world, STATE_SLEEP, -1, SYS_nanosleep, 0, 0, 0, 0);
	expect_wait(world, STATE_SLEEP, -1, SYS_clock_nanosleep, 0, 0, 0, 0);
	expect_wait(world, STATE_CHILD, -1, SYS_wait4, 0, 0, 0, 0);
	expect_wait(world, STATE_CHILD, -1, SYS_waitid, 0, 0, 0, 0);
	expect_wait(world, STATE_OTHER, -1, SYS_getpid, 0, 0, 0, 0);
	expect_wait(world, STATE_OTHER, -1, SYSCALLS_MAX, 0, 0, 0, 0);
	expect_wait(world, STATE_OTHER, -1, 0x7fffffffffff, 0, 0, 0, 0);
	assert_int_equal(classify(world, &call)->state, STATE_FILE);
	call.number = SYSCALLS_MAX + 7;
	assert_int_equal(classify(world, &call)->state, STATE_FILE);
	call.number = SYS_openat;
	assert_int_equal(classify(world, &call)->state, STATE_FILE);
}

/* poll() of these descriptors (up to 40, then -1 marks the end) with this time-out. */
static void expect_poll(struct world *world, enum state state, int descriptor, int timeout,
			size_t count, const int *descriptors)
{
	struct pollfd entries[40];
	size_t i;

	assert_true(count <= 40);
	for (i = 0; i < count; i++)
		entries[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
	expect_wait(world, state, descriptor, SYS_poll, (uint64_t)entries, count,
		    (uint64_t)(int64_t)timeout, 0);
}

static void test_poll(void **state)
{
	struct world *world = *state;
	const struct open_files *files = &world->files;
	const int pipes[] = {files->pipe[0], files->event}, listeners[] = {files->listener, -1};
	const int server[] = {files->listener, files->pipe[0], files->event};
	const int busy[] = {files->listener, files->pipe[0], files->accepted};
	const int sockets[] = {files->connected, files->second};
	const int none[] = {-1, -1, -5}, ignored[] = {-1, files->connected, -1};

	expect_poll(world, STATE_SLEEP, -1, 500, 0, NULL);
	expect_poll(world, STATE_OTHER, -1, -1, 0, NULL);
	expect_poll(world, STATE_SLEEP, -1, 500, 3, none);
	expect_poll(world, STATE_SOCKET, files->connected, -1, 1, sockets);
	expect_poll(world, STATE_SOCKET, files->connected, 100, 1, sockets);
	expect_poll(world, STATE_SOCKET, files->connected, 100, 3, ignored);
	expect_poll(world, STATE_SOCKET, files->pair[0], 100, 1, files->pair);
	expect_poll(world, STATE_PIPE, files->pipe[0], 100, 1, pipes);
	expect_poll(world, STATE_FILE, files->file, 100, 1, &files->file);
	expect_poll(world, STATE_ACCEPT, files->listener, -1, 2, listeners);
	expect_poll(world, STATE_ACCEPT, -1, -1, 3, server);
	expect_poll(world, STATE_POLL, -1, -1, 3, busy);
	expect_poll(world, STATE_POLL, -1, -1, 2, sockets);
	expect_poll(world, STATE_POLL, -1, -1, 2, pipes);
	expect_poll(world, STATE_POLL, -1, 100, 2, files->pair);
}

/* More than is looked at, and an array that cannot be read. */
static void test_poll_large(void **state)
{
	struct world *world = *state;
	int many[40];
	size_t i;

	for (i = 0; i < 40; i++)
		many[i] = i % 2 ? world->files.connected : world->files.second;
	expect_poll(world, STATE_POLL, -1, -1, 40, many);
	expect_poll(world, STATE_POLL, -1, -1, 17, many);
	expect_wait(world, STATE_POLL, -1, SYS_poll, 64, 2, 100, 0);
	expect_wait(world, STATE_POLL, -1, SYS_poll, 0x8000000000000000, ~0ULL, 100, 0);
	expect_wait(world, STATE_POLL, -1, SYS_poll, (uint64_t)many, 1ULL << 40, 100, 0);
}

struct selection {
	fd_set sets[3]; /* to read, to write, exceptional */
	int count;
};

static void select_add(struct selection *selection, int set, int descriptor)
{
	FD_SET(descriptor, &selection->sets[set]);
	if (descriptor >= selection->count)
		selection->count = descriptor + 1;
}

static void expect_select(struct world *world, enum state state, int descriptor,
			  const struct selection *selection)
{
	expect_wait(world, state, descriptor, SYS_select, (uint64_t)selection->count,
		    (uint64_t)&selection->sets[0], (uint64_t)&selection->sets[1],
		    (uint64_t)&selection->sets[2]);
}

static void test_select(void **state)
{
	struct world *world = *state;
	const struct open_files *files = &world->files;
	struct selection selection = {.count = 0};
	int high = dup2(files->connected, 900);

	assert_int_equal(high, 900);
	expect_select(world, STATE_SLEEP, -1, &selection);
	expect_wait(world, STATE_SLEEP, -1, SYS_select, 0, 0, 0, 0);
	expect_wait(world, STATE_SLEEP, -1, SYS_select, 1024, 0, 0, 0);
	select_add(&selection, 0, files->listener);
	expect_select(world, STATE_ACCEPT, files->listener, &selection);
	select_add(&selection, 0, files->pipe[0]);
	expect_select(world, STATE_ACCEPT, -1, &selection);
	select_add(&selection, 1, high);
	expect_select(world, STATE_POLL, -1, &selection);
	memset(&selection, 0, sizeof(selection));
	select_add(&selection, 1, high);
	select_add(&selection, 0, high);
	expect_select(world, STATE_SOCKET, high, &selection);
	memset(&selection, 0, sizeof(selection));
	select_add(&selection, 2, high);
	expect_select(world, STATE_SOCKET, high, &selection);
	/* Behind the last one that the kernel looks at, nothing counts. */
	selection.count = high;
	expect_select(world, STATE_SLEEP, -1, &selection);
	selection.count = 0x7fffffff;
	expect_select(world, STATE_SOCKET, high, &selection);
	/* A set that cannot be read. */
	expect_wait(world, STATE_POLL, -1, SYS_select, 64, 64, 0, 0);
	expect_wait(world, STATE_POLL, -1, SYS_select, 1024, 0, 0, 0x8000000000000000);
	close(high);
}

/* An epoll set of these descriptors. */
static int epoll_of(size_t count, const int *descriptors)
{
	int epoll = epoll_create1(0);
	size_t i;

	assert_true(epoll >= 0);
	for (i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptors[i]};

		assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptors[i], &event), 0);
	}
	return epoll;
}

static void expect_epoll(struct world *world, enum state timed, enum state untimed, size_t count,
			 const int *descriptors)
{
	int epoll = epoll_of(count, descriptors);
	int one = count == 1 && untimed != STATE_POLL ? descriptors[0] : -1;

	expect_wait(world, timed, one, SYS_epoll_wait, (uint64_t)epoll, 0, 10, 700);
	expect_wait(world, timed, one, SYS_epoll_pwait, (uint64_t)epoll, 0, 10, 0);
	expect_wait(world, untimed, one, SYS_epoll_wait, (uint64_t)epoll, 0, 10, 0xffffffff);
	close(epoll);
}

static void test_epoll(void **state)
{
	struct world *world = *state;
	const struct open_files *files = &world->files;
	const int own_and_socket[] = {files->pair[0], files->connected};
	const int own_and_listener[] = {files->pair[0], files->listener};
	const int server[] = {files->listener, files->pipe[0], files->event};
	const int busy[] = {files->listener, files->pipe[0], files->accepted};
	const int several[] = {files->connected, files->second, files->pipe[0], files->event};

	expect_epoll(world, STATE_SLEEP, STATE_OTHER, 0, NULL);
	expect_epoll(world, STATE_SOCKET, STATE_SOCKET, 1, &files->connected);
	expect_epoll(world, STATE_PIPE, STATE_PIPE, 1, &files->pipe[0]);
	expect_epoll(world, STATE_PIPE, STATE_PIPE, 1, &files->event);
	expect_epoll(world, STATE_ACCEPT, STATE_ACCEPT, 1, &files->listener);
	expect_epoll(world, STATE_SLEEP, STATE_POLL, 1, &files->pair[0]);
	expect_epoll(world, STATE_SLEEP, STATE_POLL, 2, files->pair);
	expect_epoll(world, STATE_POLL, STATE_POLL, 2, own_and_socket);
	expect_epoll(world, STATE_ACCEPT, STATE_ACCEPT, 2, own_and_listener);
	expect_epoll(world, STATE_ACCEPT, STATE_ACCEPT, 3, server);
	expect_epoll(world, STATE_POLL, STATE_POLL, 3, busy);
	expect_epoll(world, STATE_POLL, STATE_POLL, 4, several);
}

/* Sets of all sizes up to far more than is looked at: one connection makes a server busy. */
static void test_epoll_sizes(void **state)
{
	struct world *world = *state;
	int descriptors[60], count;

	for (count = 0; count < 60; count++) {
		descriptors[count] = dup(count % 2 ? world->files.second : world->files.connected);
		assert_true(descriptors[count] >= 0);
		expect_epoll(world, count ? STATE_POLL : STATE_SOCKET,
			     count ? STATE_POLL : STATE_SOCKET, (size_t)count + 1, descriptors);
	}
	while (count-- > 0)
		close(descriptors[count]);
}

/* What is no epoll set, or closed meanwhile. */
static void test_epoll_wrong(void **state)
{
	struct world *world = *state;

	expect_wait(world, STATE_POLL, -1, SYS_epoll_wait, 9999, 0, 10, 100);
	expect_wait(world, STATE_POLL, -1, SYS_epoll_wait, ~0ULL, 0, 10, 100);
}

/* Futexes: the interpreter's lock, and all others. */

static const struct call_result *futex(struct world *world, uint64_t address, int operation,
				       const void *timeout, uint64_t now)
{
	const struct made_call call = {
		.number = SYS_futex,
		.arguments = {address, (uint64_t)operation, 0, (uint64_t)timeout},
		.now = now};

	return classify(world, &call);
}

static void gil_check(struct world *world, enum frame_model model)
{
	struct made_python python;
	struct python_layout *layout = &python.config.layout;
	uint64_t gil;

	run_reset(world->run);
	made_python_new(&python, model);
	gil = python.config.runtime + layout->runtime_gil;
	if (layout->interpreter_gil) {
		gil = made_memory(&python, layout->gil_size);
		made_word(python.interpreter, layout->interpreter_gil, gil);
	}
	made_python_use(world->run, &python);
	assert_int_equal(futex(world, gil, FUTEX_WAIT, NULL, 1)->state, STATE_GIL);
	assert_int_equal(futex(world, gil + 40, FUTEX_WAIT, NULL, 2)->state, STATE_GIL);
	assert_int_equal(futex(world, gil + layout->gil_size - 1, 0, NULL, 3)->state, STATE_GIL);
	assert_int_equal(futex(world, gil + layout->gil_size, 0, NULL, 4)->state, STATE_LOCK);
	assert_int_equal(futex(world, gil - 4, FUTEX_WAIT, NULL, 5)->state, STATE_LOCK);
	assert_int_equal(futex(world, (uint64_t)&python, FUTEX_WAIT, NULL, 6)->state, STATE_LOCK);
	assert_int_equal(world->run->programs->bss->call_result.descriptor, -1);
	/* Of a process without a known interpreter no futex is the GIL. */
	layout->version = 0;
	made_python_use(world->run, &python);
	assert_int_equal(futex(world, gil, FUTEX_WAIT, NULL, 7)->state, STATE_LOCK);
	made_python_free(&python);
}

static void test_gil(void **state)
{
	gil_check(*state, FRAME_MODEL_OBJECT);
	gil_check(*state, FRAME_MODEL_CFRAME);
	gil_check(*state, FRAME_MODEL_CURRENT);
}

/* From 3.12 on a sub-interpreter may have a lock of its own; only its threads wait for it. */
static void test_gil_own(void **state)
{
	struct world *world = *state;
	struct made_python python;
	uint64_t gils[2], second;
	int i;

	run_reset(world->run);
	made_python_new(&python, FRAME_MODEL_CURRENT);
	second = made_interpreter(&python);
	made_thread_run(&python, made_thread(&python, second, (uint64_t)pthread_self()),
			made_stack(&python, 1));
	for (i = 0; i < 2; i++) {
		gils[i] = made_memory(&python, 128);
		made_word(i ? second : python.interpreter, python.config.layout.interpreter_gil,
			  gils[i]);
	}
	made_python_use(world->run, &python);
	assert_int_equal(futex(world, gils[1], FUTEX_WAIT, NULL, 1)->state, STATE_GIL);
	assert_int_equal(futex(world, gils[0], FUTEX_WAIT, NULL, 2)->state, STATE_GIL);
	made_python_free(&python);
}

/* The deadline of a timed wait, on the monotonic clock only, decides what continues it. */
static void test_gil_deadline(void **state)
{
	const int timed = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
	struct timespec deadline = {.tv_sec = 70, .tv_nsec = 5000000};
	struct world *world = *state;
	struct mechanisms__bss *bss = world->run->programs->bss;
	struct made_python python;
	uint64_t gil;

	run_reset(world->run);
	made_python_new(&python, FRAME_MODEL_OBJECT);
	gil = python.config.runtime + python.config.layout.runtime_gil;
	made_python_use(world->run, &python);
	assert_int_equal(futex(world, gil, timed, &deadline, 1)->gil_deadline_ns, 70005000000);
	futex(world, gil, timed | FUTEX_CLOCK_REALTIME, &deadline, 2);
	assert_int_equal(bss->call_result.gil_deadline_ns, 0);
	assert_int_equal(futex(world, gil, FUTEX_WAIT, &deadline, 3)->gil_deadline_ns, 0);
	assert_int_equal(futex(world, gil, timed, NULL, 4)->gil_deadline_ns, 0);
	assert_int_equal(futex(world, gil, timed, (void *)64, 5)->gil_deadline_ns, 0);
	/* Ran out, and asked for again at once. */
	futex(world, gil, timed, &deadline, 69000000000);
	bss->made_call.now = 70005060000;
	run_program(world->run->programs->progs.gil_wait_end);
	assert_int_equal(futex(world, gil, timed, &deadline, 70005070000)->continued, 1);
	/* Woken before. */
	bss->made_call.now = 70003000000;
	run_program(world->run->programs->progs.gil_wait_end);
	assert_int_equal(futex(world, gil, timed, &deadline, 70003020000)->continued, 0);
	/* Woken, but another thread was faster. */
	bss->made_call.now = 70003000000;
	run_program(world->run->programs->progs.gil_wait_end);
	assert_int_equal(futex(world, gil, timed, &deadline, 70003005000)->continued, 1);
	made_python_free(&python);
}

/* The call that the thread really is in: bpf(2), which runs the program. */
static void test_real(void **state)
{
	struct world *world = *state;
	struct mechanisms__bss *bss = world->run->programs->bss;

	memset(&bss->made_call, 0, sizeof(bss->made_call));
	run_program(world->run->programs->progs.classify_real);
	assert_int_equal(bss->call_result.syscall, SYS_bpf);
	assert_int_equal(bss->call_result.state, STATE_OTHER);
	assert_int_equal(bss->call_result.descriptor, -1);
	bss->made_call.in_io_wait = 1;
	run_program(world->run->programs->progs.classify_real);
	assert_int_equal(bss->call_result.state, STATE_FILE);
	bss->made_call.task_state = 4; /* __TASK_STOPPED */
	run_program(world->run->programs->progs.classify_real);
	assert_int_equal(bss->call_result.state, STATE_STOPPED);
	bss->made_call.task_state = 8; /* __TASK_TRACED */
	run_program(world->run->programs->progs.classify_real);
	assert_int_equal(bss->call_result.state, STATE_STOPPED);
}

/* Threads that really are blocked, looked at from outside. A signal ends each wait. */

struct blocker {
	struct world *world;
	long (*block)(const struct open_files *files);
};

static char received;
static struct pollfd polled;
static uint32_t futex_word;
static const struct timespec long_time = {.tv_sec = 1000};
static pid_t waited_for;

static long block_read(const struct open_files *files)
{
	return syscall(SYS_read, files->pipe[0], &received, 1);
}

static long block_receive(const struct open_files *files)
{
	return syscall(SYS_recvfrom, files->connected, &received, 1, 0, NULL, NULL);
}

static long block_poll(const struct open_files *files)
{
	polled = (struct pollfd){.fd = files->second, .events = POLLIN};
	return syscall(SYS_poll, &polled, 1, -1);
}

static long block_accept(const struct open_files *files)
{
	return syscall(SYS_accept, files->listener, NULL, NULL);
}

static long block_epoll(const struct open_files *files)
{
	int epoll = epoll_of(1, &files->event);
	struct epoll_event event;
	long result = syscall(SYS_epoll_wait, epoll, &event, 1, -1);

	close(epoll);
	return result;
}

static long block_sleep(const struct open_files *files)
{
	return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &long_time, NULL);
}

static long block_futex(const struct open_files *files)
{
	return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static long block_child(const struct open_files *files)
{
	return syscall(SYS_wait4, waited_for, NULL, 0, NULL);
}

static void *blocker_run(void *context)
{
	struct blocker *blocker = context;

	run_program(blocker->world->run->programs->progs.identify);
	return (void *)blocker->block(&blocker->world->files);
}

/* Starts a thread that blocks, and looks at it until it is in the call. */
static void blocked_check(struct world *world, long (*block)(const struct open_files *files),
			  enum state state, long number, int descriptor)
{
	struct mechanisms__bss *bss = world->run->programs->bss;
	struct blocker blocker = {.world = world, .block = block};
	const struct timespec pause = {.tv_nsec = 1000000};
	pthread_t thread;
	void *result;
	int attempt;

	memset(&bss->call_result, 0xff, sizeof(bss->call_result));
	assert_int_equal(pthread_create(&thread, NULL, blocker_run, &blocker), 0);
	for (attempt = 0; attempt < 5000 && bss->call_result.syscall != number; attempt++) {
		nanosleep(&pause, NULL);
		run_iterator(world->run->programs->progs.classify_blocked);
	}
	pthread_kill(thread, SIGUSR1);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((long)result, -1);
	assert_int_equal(bss->call_result.syscall, number);
	assert_int_equal(bss->call_result.state, state);
	assert_int_equal(bss->call_result.descriptor, descriptor);
	run_program(world->run->programs->progs.identify);
}

static void signal_ignore(int number)
{
}

static void test_blocked(void **state)
{
	const struct sigaction action = {.sa_handler = signal_ignore};
	struct world *world = *state;
	const struct open_files *files = &world->files;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	blocked_check(world, block_read, STATE_PIPE, SYS_read, files->pipe[0]);
	blocked_check(world, block_receive, STATE_SOCKET, SYS_recvfrom, files->connected);
	blocked_check(world, block_poll, STATE_SOCKET, SYS_poll, files->second);
	blocked_check(world, block_accept, STATE_ACCEPT, SYS_accept, files->listener);
	blocked_check(world, block_epoll, STATE_PIPE, SYS_epoll_wait, files->event);
	blocked_check(world, block_sleep, STATE_SLEEP, SYS_clock_nanosleep, -1);
	blocked_check(world, block_futex, STATE_LOCK, SYS_futex, -1);
	waited_for = fork();
	assert_true(waited_for >= 0);
	if (!waited_for) {
		pause();
		_exit(0);
	}
	blocked_check(world, block_child, STATE_CHILD, SYS_wait4, -1);
	kill(waited_for, SIGKILL);
	assert_int_equal(waitpid(waited_for, NULL, 0), waited_for);
}

#define TESTS                                                                            \
	cmocka_unit_test(test_faults_in_calls), cmocka_unit_test(test_descriptor_calls), \
		cmocka_unit_test(test_other_calls), cmocka_unit_test(test_poll),         \
		cmocka_unit_test(test_poll_large), cmocka_unit_test(test_select),        \
		cmocka_unit_test(test_epoll), cmocka_unit_test(test_epoll_sizes),        \
		cmocka_unit_test(test_epoll_wrong), cmocka_unit_test(test_gil),          \
		cmocka_unit_test(test_gil_own), cmocka_unit_test(test_gil_deadline)

int main(void)
{
	const struct CMUnitTest own[] = {TESTS,
					 cmocka_unit_test(test_plain_descriptors),
					 cmocka_unit_test(test_inet_targets),
					 cmocka_unit_test(test_inet6_targets),
					 cmocka_unit_test(test_unix_targets),
					 cmocka_unit_test(test_real)};
	const struct CMUnitTest other[] = {TESTS, cmocka_unit_test(test_blocked)};
	int failed = cmocka_run_group_tests_name("waits of the thread itself", own,
						 world_set_up_own, world_tear_down);

	return failed + cmocka_run_group_tests_name("waits of another thread", other,
						    world_set_up_other, world_tear_down);
}
