/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns an extension module with one function that burns CPU. MODULE is its name: it is built several
 * times, to be loaded late, or from a file that is gone when the recording begins.
 */
#define Py_LIMITED_API 0x03070000
#include <Python.h>

#include <stdint.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define TEXT_(a)    #a
#define TEXT(a)     TEXT_(a)
#define BURN        JOIN(MODULE, _burn)

__attribute__((noinline)) uint64_t BURN(uint64_t n);
__attribute__((noinline)) uint64_t BURN(uint64_t n)
{
	volatile uint64_t sum = 0;
	uint64_t at;

	for (at = 0; at < n; at++)
		sum += at;
	return sum;
}

static PyObject *burn(PyObject *self, PyObject *argument)
{
	(void)self;
	return PyLong_FromUnsignedLongLong(BURN(PyLong_AsUnsignedLongLong(argument)));
}

static PyMethodDef methods[] = {
	{"burn", burn, METH_O, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = TEXT(MODULE),
	.m_size = -1,
	.m_methods = methods,
};

PyMODINIT_FUNC JOIN(PyInit_, MODULE)(void)
{
	return PyModule_Create(&module);
}
