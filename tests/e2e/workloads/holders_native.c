/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns an extension module that holds the interpreter's lock for a known time, and one that knows
 * when a thread began to want it.
 */
#define Py_LIMITED_API 0x03070000
#include <Python.h>

#include <stdint.h>
#include <time.h>

#define SECOND 1000000000LL

int64_t holders_native_now(void);
__attribute__((noinline)) int64_t holders_native_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

int64_t holders_native_burn(int64_t ns);
__attribute__((noinline)) int64_t holders_native_burn(int64_t ns)
{
	int64_t end = holders_native_now() + ns;
	volatile int64_t sum = 0;
	int at;

	while (holders_native_now() < end)
		for (at = 0; at < 20000; at++)
			sum += at;
	return sum;
}

/* hold(ns): burns for so long and never gives the lock back. */
static PyObject *hold(PyObject *self, PyObject *argument)
{
	(void)self;
	return PyLong_FromLongLong(holders_native_burn(PyLong_AsLongLong(argument)));
}

/* pause(ns): sleeps without the lock; returns when it began to want it again. */
static PyObject *pause_without(PyObject *self, PyObject *argument)
{
	int64_t ns = PyLong_AsLongLong(argument), end;
	struct timespec length = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};

	(void)self;
	Py_BEGIN_ALLOW_THREADS;
	nanosleep(&length, NULL);
	end = holders_native_now();
	Py_END_ALLOW_THREADS;
	return PyLong_FromLongLong(end);
}

static PyMethodDef methods[] = {
	{"hold", hold, METH_O, NULL},
	{"pause", pause_without, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = "holders_native",
	.m_size = -1,
	.m_methods = methods,
};

PyMODINIT_FUNC PyInit_holders_native(void)
{
	return PyModule_Create(&module);
}
