// SPDX-License-Identifier: BSD-2-Clause
//
// Owns an extension module in C++ that burns CPU by throwing through several frames: the time is
// the run-time library's, which unwinds the stack while it is sampled.
#define Py_LIMITED_API 0x03070000
#include <Python.h>

#define NOINLINE __attribute__((noinline))

namespace thrower
{

struct Thrown {
	long depth;
};

volatile long cleaned;

// Its destructor is a landing pad in each frame that is thrown through.
struct Cleaned {
	~Cleaned()
	{
		cleaned = cleaned + 1;
	}
};

NOINLINE long inner(long depth)
{
	Cleaned object;

	if (!depth)
		throw Thrown{depth};
	return inner(depth - 1) + 1;
}

NOINLINE long middle(long depth)
{
	Cleaned object;

	return inner(depth) + 1;
}

NOINLINE long outer(long times)
{
	long caught = 0;

	for (long at = 0; at < times; at++)
		try {
			middle(5);
		} catch (const Thrown &) {
			caught++;
		}
	return caught;
}

} // namespace thrower

static PyObject *throw_and_catch(PyObject *, PyObject *argument)
{
	return PyLong_FromLong(thrower::outer(PyLong_AsLong(argument)));
}

static PyMethodDef methods[] = {
	{"throw_and_catch", throw_and_catch, METH_O, nullptr},
	{nullptr, nullptr, 0, nullptr},
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	"native_exceptions",
	nullptr,
	-1,
	methods,
	nullptr,
	nullptr,
	nullptr,
	nullptr,
};

PyMODINIT_FUNC PyInit_native_exceptions(void)
{
	return PyModule_Create(&module);
}
