/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds arbitrary tables to the three line table formats, and arbitrary characters to the text. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "python/lines.h"
#include "python/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t first, instruction;
	char *text;
	int line;

	if (size < 9)
		return 0;
	memcpy(&first, data, 4);
	memcpy(&instruction, data + 4, 4);
	line = line_table_lookup(data[8] % 4, data + 9, size - 9, first, instruction);
	if (line < 0 && line != -ENOENT && line != -EINVAL)
		abort();
	if (!text_decode(data[8] % 8, data + 9, size - 9, &text)) {
		char *again;

		/* What comes out is valid UTF-8: nothing in it needs an escape. */
		if (text_from_bytes(text, strlen(text), &again) || strcmp(text, again))
			abort();
		free(again);
		free(text);
	}
	return 0;
}
