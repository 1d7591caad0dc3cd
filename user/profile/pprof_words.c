/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the text of the recording's fixed words. */
#include "profile/pprof_words.h"

#include "profile/names.h"

#define WORD_TEXT(identifier, text) text,
static const char *const words[] = {WORD_LIST(WORD_TEXT)};

const char *word_text(enum word word)
{
	if (word >= WORD_LEAVES)
		return leaf_name(word - WORD_LEAVES);
	if (word >= WORD_STATES)
		return state_name(word - WORD_STATES);
	return words[word];
}
