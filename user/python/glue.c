/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the table of glue, CPython 3.7 to 3.15: Objects/call.c, methodobject.c, Python/ceval.c. */
#include "python/glue.h"

#include <stddef.h>
#include <string.h>

/* A name that ends in `*` stands for all that begin so. */
static const char *const glue[] = {
	/* Objects/call.c */
	"PyObject_Call",
	"PyObject_CallFunction*",
	"PyObject_CallMethod*",
	"PyObject_CallNoArgs",
	"PyObject_CallObject",
	"PyObject_CallOneArg",
	"PyObject_Vectorcall*",
	"PyVectorcall_Call",
	"_PyCFunction_FastCall*",
	"_PyFunction_FastCall*",
	"_PyFunction_Vectorcall",
	"_PyMethodDef_RawFastCall*",
	"_PyObject_Call",
	"_PyObject_CallFunction*",
	"_PyObject_CallMethod*",
	"_PyObject_CallNoArg*",
	"_PyObject_Call_Prepend",
	"_PyObject_FastCall*",
	"_PyObject_MakeTpCall",
	"_PyObject_Vectorcall*",
	"_PyStack_AsDict",
	"_PyVectorcall_Call",
	"function_code_fastcall",
	"object_vacall",
	"_PyObject_VectorcallTstate*",
	/* Objects/methodobject.c, classobject.c, descrobject.c */
	"PyCFunction_Call",
	"cfunction_call*",
	"cfunction_vectorcall_*",
	"method_call",
	"method_vectorcall*",
	"methoddescr_call",
	"_PyMethodDescr_*",
	"wrapperdescr_call",
	"wrapper_call",
	/* Objects/typeobject.c: from a slot of a class to the method that Python code defines */
	"call_method",
	"call_unbound*",
	"slot_*",
	"vectorcall_maybe",
	"vectorcall_method",
	"vectorcall_unbound",
	"type_call",
	/* Objects/genobject.c: into a generator or coroutine */
	"gen_iternext",
	"gen_send*",
	"_PyGen_Send",
	"PyIter_Send",
	"coro_wrapper_send",
	"coro_await*",
	/* Python/ceval.c */
	"PyEval_EvalCode*",
	"PyEval_EvalFrame*",
	"_PyEval_EvalCode*",
	"_PyEval_EvalFrame",
	"_PyEval_Vector",
	"call_function",
	"do_call_core",
	"py_trampoline_evaluator",
	/* The code that -X perf makes, one piece for each function, whose frame follows it. */
	"py::*",
};

/* Compares up to the suffix that a compiler gives to the parts and variants of a function. */
static bool name_equals(const char *name, const char *pattern)
{
	size_t length = strlen(pattern);

	if (pattern[length - 1] == '*')
		return !strncmp(name, pattern, length - 1);
	return !strncmp(name, pattern, length) && (!name[length] || name[length] == '.');
}

bool name_is_interpreter_loop(const char *name)
{
	return name_equals(name, "_PyEval_EvalFrameDefault") || name_equals(name, "_TAIL_CALL_*");
}

bool name_is_call_glue(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(glue) / sizeof(glue[0]); i++)
		if (name_equals(name, glue[i]))
			return true;
	return false;
}
