/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns an extension module whose functions call Python and burn CPU below frames of every form that
 * compilers make, and note the return addresses above them as the C library's own unwinder gives
 * them: the truth that a profiler's native stacks are compared with.
 *
 * Built once, against the limited API of 3.7, for all interpreters.
 */
#define _GNU_SOURCE
#define Py_LIMITED_API 0x03070000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <alloca.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define FRAMES_MAX 256
#define NOTES_MAX  4096
#define NOINLINE   __attribute__((noinline))

/* Of the compiler's run-time library: the function that holds the call before `address`. */
void *_Unwind_FindEnclosingFunction(void *address);

/* The callers of a function that burns, innermost first. */
struct note {
	const char *burner;
	int depth;
	void *callers[FRAMES_MAX];
};

static struct note notes[NOTES_MAX];
static size_t note_count, notes_lost;
static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;

static void note_add(const char *burner, void *const *callers, int depth)
{
	size_t at, bytes = (size_t)depth * sizeof(*callers);

	for (at = 0; at < note_count; at++)
		if (notes[at].depth == depth && notes[at].burner == burner &&
		    !memcmp(notes[at].callers, callers, bytes))
			return;
	if (depth == FRAMES_MAX || note_count == NOTES_MAX) {
		notes_lost++;
		return;
	}
	notes[note_count].burner = burner;
	notes[note_count].depth = depth;
	memcpy(notes[note_count].callers, callers, bytes);
	note_count++;
}

/* Notes the callers of its caller, whose name is `burner`, once each. */
static NOINLINE void probe_note(const char *burner)
{
	void *frames[FRAMES_MAX + 2];
	int depth = backtrace(frames, FRAMES_MAX + 2);

	pthread_mutex_lock(&notes_lock);
	note_add(burner, frames + 2, depth - 2);
	pthread_mutex_unlock(&notes_lock);
}

NOINLINE uint64_t probe_burn(uint64_t n);
NOINLINE uint64_t probe_burn(uint64_t n)
{
	volatile uint64_t sum = 0;
	uint64_t at;

	probe_note("probe_burn");
	for (at = 0; at < n; at++)
		sum += at;
	return sum;
}

/* Calls clock_gettime(), which the kernel's own library in each process does without the kernel. */
NOINLINE uint64_t probe_clock(uint64_t n);
NOINLINE uint64_t probe_clock(uint64_t n)
{
	struct timespec now = {0, 0};
	uint64_t at, sum = 0;

	probe_note("probe_clock");
	for (at = 0; at < n; at++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		sum += (uint64_t)now.tv_nsec;
	}
	return sum;
}

/* Each of these has a frame of another form, and calls `function(argument)` of Python below it. */
typedef PyObject *invoker(PyObject *function, PyObject *argument);

NOINLINE PyObject *invoke_plain(PyObject *function, PyObject *argument);
NOINLINE PyObject *invoke_plain(PyObject *function, PyObject *argument)
{
	return PyObject_CallFunctionObjArgs(function, argument, NULL);
}

/* The frame begins at a multiple of 64 bytes, wherever the caller's ended, and has no fixed size. */
NOINLINE PyObject *invoke_aligned(PyObject *function, PyObject *argument);
NOINLINE PyObject *invoke_aligned(PyObject *function, PyObject *argument)
{
	alignas(64) char aligned[256];
	char *more = alloca((uintptr_t)argument % 7 * 16 + 16);
	PyObject *result;

	__asm__ volatile("" : : "r"(aligned), "r"(more) : "memory");
	result = PyObject_CallFunctionObjArgs(function, argument, NULL);
	__asm__ volatile("" : : "r"(aligned), "r"(more) : "memory");
	return result;
}

NOINLINE PyObject *invoke_alloca(PyObject *function, PyObject *argument);
NOINLINE PyObject *invoke_alloca(PyObject *function, PyObject *argument)
{
	char *memory = alloca((uintptr_t)argument % 5 * 4096 + 16);
	PyObject *result;

	__asm__ volatile("" : : "r"(memory) : "memory");
	result = PyObject_CallFunctionObjArgs(function, argument, NULL);
	__asm__ volatile("" : : "r"(memory) : "memory");
	return result;
}

/* The frame pointer holds anything but one. */
NOINLINE PyObject *invoke_without_pointer(PyObject *function, PyObject *argument);
NOINLINE PyObject *invoke_without_pointer(PyObject *function, PyObject *argument)
{
	register uint64_t value __asm__("rbp") = 0xdead;
	PyObject *result;

	__asm__ volatile("" : "+r"(value));
	result = PyObject_CallFunctionObjArgs(function, argument, NULL);
	__asm__ volatile("" : "+r"(value));
	return value ? result : NULL;
}

/* Arguments are pushed for the call: the frame's size changes from one instruction to the next. */
NOINLINE PyObject *invoke_many(PyObject *function, PyObject *argument);
NOINLINE PyObject *invoke_many(PyObject *function, PyObject *argument)
{
	PyObject *volatile none = NULL;

	return PyObject_CallFunctionObjArgs(function, argument, none, none, none, none, none, none,
					    none, none, none, NULL);
}

static PyObject *call(PyObject *arguments, invoker *invoke)
{
	PyObject *function, *argument;

	if (!PyArg_ParseTuple(arguments, "OO", &function, &argument))
		return NULL;
	return invoke(function, argument);
}

#define CALL(form)                                                        \
	static PyObject *call_##form(PyObject *self, PyObject *arguments) \
	{                                                                 \
		(void)self;                                               \
		return call(arguments, invoke_##form);                    \
	}
CALL(plain)
CALL(aligned)
CALL(alloca)
CALL(without_pointer)
CALL(many)

struct thread_call {
	PyObject *function;
	PyObject *argument;
	PyObject *result;
};

static NOINLINE void *probe_thread(void *data)
{
	struct thread_call *call = data;
	PyGILState_STATE state = PyGILState_Ensure();

	call->result = invoke_plain(call->function, call->argument);
	if (!call->result)
		PyErr_Print();
	PyGILState_Release(state);
	return NULL;
}

static NOINLINE int probe_run_thread(struct thread_call *call)
{
	pthread_t thread;
	int error;

	Py_BEGIN_ALLOW_THREADS error = pthread_create(&thread, NULL, probe_thread, call);
	if (!error)
		pthread_join(thread, NULL);
	Py_END_ALLOW_THREADS return error;
}

/* Calls a function in a thread that was not made by Python. */
static PyObject *call_in_thread(PyObject *self, PyObject *arguments)
{
	struct thread_call call = {NULL, NULL, NULL};

	(void)self;
	if (!PyArg_ParseTuple(arguments, "OO", &call.function, &call.argument))
		return NULL;
	if (probe_run_thread(&call) || !call.result) {
		PyErr_SetString(PyExc_RuntimeError, "the thread failed");
		return NULL;
	}
	return call.result;
}

/*
 * An instruction that the CPU refuses, as the very first of a function: a signal interrupts at this
 * address, not behind a call, and the rule for the address before it is another function's.
 */
void trap_here(void);
__asm__(".pushsection .text\n"
	".type before_trap, @function\n"
	"before_trap:\n"
	".cfi_startproc\n"
	"sub $120, %rsp\n"
	".cfi_adjust_cfa_offset 120\n"
	"nop\n"
	".cfi_endproc\n"
	".size before_trap, . - before_trap\n"
	".globl trap_here\n"
	".hidden trap_here\n"
	".type trap_here, @function\n"
	"trap_here:\n"
	".cfi_startproc\n"
	"ud2\n"
	"ret\n"
	".cfi_endproc\n"
	".size trap_here, . - trap_here\n"
	".popsection\n");

#define UD2_BYTES 2

static volatile uint64_t trap_work;

static NOINLINE void on_trap(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	(void)number;
	(void)info;
	probe_burn(trap_work);
	interrupted->uc_mcontext.gregs[REG_RIP] += UD2_BYTES;
}

static NOINLINE int trap(uint64_t n, int flags)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | flags}, before;

	trap_work = n;
	if (sigaction(SIGILL, &action, &before))
		return -1;
	trap_here();
	return sigaction(SIGILL, &before, NULL);
}

/* Burns in a signal's handler. */
static PyObject *burn_in_handler(PyObject *self, PyObject *argument)
{
	(void)self;
	return PyLong_FromLong(trap(PyLong_AsUnsignedLongLong(argument), 0));
}

/* The same, the handler being run on a stack of its own. */
static PyObject *burn_in_handler_elsewhere(PyObject *self, PyObject *argument)
{
	static char memory[1 << 16];
	stack_t stack = {.ss_sp = memory, .ss_size = sizeof(memory)}, before;
	int result;

	(void)self;
	if (sigaltstack(&stack, &before))
		return PyErr_SetFromErrno(PyExc_OSError);
	result = trap(PyLong_AsUnsignedLongLong(argument), SA_ONSTACK);
	sigaltstack(&before, NULL);
	return PyLong_FromLong(result);
}

static PyObject *burn(PyObject *self, PyObject *argument)
{
	(void)self;
	return PyLong_FromUnsignedLongLong(probe_burn(PyLong_AsUnsignedLongLong(argument)));
}

static PyObject *read_clock(PyObject *self, PyObject *argument)
{
	(void)self;
	return PyLong_FromUnsignedLongLong(probe_clock(PyLong_AsUnsignedLongLong(argument)));
}

/* (file, virtual address in it, that of the function's start); ("", address, 0) if in no file. */
static PyObject *describe(void *address)
{
	void *start = _Unwind_FindEnclosingFunction(address);
	struct link_map *map = NULL;
	uint64_t bias;
	Dl_info info;

	if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return Py_BuildValue("(sKK)", "", (unsigned long long)(uintptr_t)address, 0ULL);
	bias = map->l_addr;
	return Py_BuildValue("(sKK)", info.dli_fname,
			     (unsigned long long)((uintptr_t)address - bias),
			     start ? (unsigned long long)((uintptr_t)start - bias) : 0ULL);
}

static PyObject *describe_note(const struct note *note)
{
	PyObject *list = PyList_New(note->depth);
	int at;

	for (at = 0; list && at < note->depth; at++)
		PyList_SetItem(list, note->depth - 1 - at, describe(note->callers[at]));
	return list ? Py_BuildValue("(sN)", note->burner, list) : NULL;
}

/* [(burner, [caller, outermost first])], and how many had no room. */
static PyObject *noted(PyObject *self, PyObject *ignored)
{
	PyObject *list = PyList_New(0), *item;
	size_t at;

	(void)self;
	(void)ignored;
	for (at = 0; list && at < note_count; at++) {
		item = describe_note(&notes[at]);
		if (!item || PyList_Append(list, item)) {
			Py_XDECREF(item);
			Py_DECREF(list);
			return NULL;
		}
		Py_DECREF(item);
	}
	return list ? Py_BuildValue("(Nn)", list, (Py_ssize_t)notes_lost) : NULL;
}

static PyMethodDef methods[] = {
	{"burn", burn, METH_O, NULL},
	{"burn_in_handler", burn_in_handler, METH_O, NULL},
	{"burn_in_handler_elsewhere", burn_in_handler_elsewhere, METH_O, NULL},
	{"read_clock", read_clock, METH_O, NULL},
	{"call_plain", call_plain, METH_VARARGS, NULL},
	{"call_aligned", call_aligned, METH_VARARGS, NULL},
	{"call_alloca", call_alloca, METH_VARARGS, NULL},
	{"call_without_pointer", call_without_pointer, METH_VARARGS, NULL},
	{"call_many", call_many, METH_VARARGS, NULL},
	{"call_in_thread", call_in_thread, METH_VARARGS, NULL},
	{"noted", noted, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = "native_probe",
	.m_size = -1,
	.m_methods = methods,
};

PyMODINIT_FUNC PyInit_native_probe(void)
{
	return PyModule_Create(&module);
}
