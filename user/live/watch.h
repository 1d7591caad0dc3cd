/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a capture that is watched while it goes on, without an end: its memory stays bounded, since
 * what was captured is kept for one window only. Leaves the windows to live.h.
 */
#ifndef PYEBPF_WATCH_H
#define PYEBPF_WATCH_H

#include "capture/capture.h"
#include "live/live.h"

/* Starts zeroed. */
struct watch {
	struct capture capture;
	struct live *live;
	struct capture_options options;
	struct scope scope;
	uint64_t samples;          /* of captures before this one */
	uint64_t lost[LOSS_COUNT]; /* the same */
	/* Of samples of running threads in the open window, and of those of them that had the GIL. */
	uint64_t running_ns, gil_ns;
	double gil_share; /* of time on a CPU in the last window, what was spent with the GIL */
};

/*
 * Begins to watch the processes of a scope, which is opened and stays so. To be followed by
 * watch_close(), even after an error. Errors as capture_open() and capture_take(), with a sentence.
 */
int watch_open(struct watch *watch, const struct capture_options *options,
	       const struct scope *scope, struct error *error);
void watch_close(struct watch *watch);

/*
 * Ends a window: looks at all threads and stores what they did since the last look, to be freed by
 * the caller. NULL: nothing can be told of this one. Returns 0 or -errno with a sentence.
 */
int watch_look(struct watch *watch, struct profile **window, struct error *error);

/* Whether there is so much in the open window that it should end. */
bool watch_is_full(const struct watch *watch);

/* Samples taken and lost since watch_open(). */
uint64_t watch_count(const struct watch *watch, uint64_t lost[LOSS_COUNT]);

#endif
