/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Feeds arbitrary bytecode and tables of exceptions of every version to the flow of control.
 * The first bytes: version, length of the table (2), offset asked for (2); the table, the code.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "python/bytecode.h"
#include "python/opcodes.h"

#define HEAD_BYTES 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytecode bytecode = {0};
	uint8_t *code, *exceptions;
	uint16_t table, at;
	bool loops;

	if (size < HEAD_BYTES)
		return 0;
	memcpy(&table, data + 1, sizeof(table));
	memcpy(&at, data + 3, sizeof(at));
	size -= HEAD_BYTES;
	if (table > size)
		table = (uint16_t)size;
	bytecode.version = 0x0306 + data[0] % 11; /* one before and one after those known */
	bytecode.exceptions_size = table;
	bytecode.size = size - table;
	/* In memory of their own, so that a byte too far is seen. */
	exceptions = malloc(table ? table : 1);
	code = malloc(bytecode.size ? bytecode.size : 1);
	if (!exceptions || !code)
		abort();
	memcpy(exceptions, data + HEAD_BYTES, table);
	memcpy(code, data + HEAD_BYTES + table, bytecode.size);
	bytecode.exceptions = exceptions;
	bytecode.code = code;
	loops = bytecode_loops(&bytecode, at);
	if (loops && (!opcodes_find(bytecode.version) || at / 2 >= bytecode.size / 2))
		abort();
	free(exceptions);
	free(code);
	return 0;
}
