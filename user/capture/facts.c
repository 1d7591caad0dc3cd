/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns gathering the circumstances. */
#include "capture/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "python/text.h"

static int string_add(struct profile *profile, const char *bytes, uint32_t *id)
{
	char *text;
	int error = text_from_bytes(bytes, strlen(bytes), &text);

	if (error)
		return error;
	error = profile_string(profile, text, id);
	free(text);
	return error;
}

static int command_line_add(struct profile *profile, int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);
	int i, error;

	if (!stream)
		return -ENOMEM;
	for (i = 0; i < argc; i++)
		fprintf(stream, "%s%s", i ? " " : "", argv[i]);
	if (fclose(stream))
		return -ENOMEM;
	error = string_add(profile, line, &profile->facts.command_line);
	free(line);
	return error;
}

int facts_begin(struct profile *profile, int argc, char **argv, uint32_t rate_hz)
{
	struct profile_facts *facts = &profile->facts;
	struct utsname system;
	struct timespec now;
	int error = command_line_add(profile, argc, argv);

	if (uname(&system))
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	facts->start_unix_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
	facts->rate_hz = rate_hz;
	if (!error)
		error = string_add(profile, system.nodename, &facts->host);
	if (!error)
		error = string_add(profile, system.release, &facts->kernel);
	if (!error)
		error = string_add(profile, PYEBPF_VERSION, &facts->version);
	return error;
}

static int64_t nanoseconds(struct timeval time)
{
	return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

void facts_end(struct profile *profile, uint64_t start_ns, uint64_t end_ns)
{
	struct rusage usage;

	profile->facts.duration_ns = end_ns - start_ns;
	if (getrusage(RUSAGE_SELF, &usage))
		return;
	profile->facts.profiler_cpu_ns = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
	profile->facts.profiler_rss_bytes = usage.ru_maxrss * 1024LL;
}

void facts_add_tables(struct profile *profile, const struct unwinder *unwinder, uint64_t begin_ns)
{
	struct unwinder_costs costs;

	unwinder_measure(unwinder, &costs);
	profile->facts.tables = costs.files;
	profile->facts.table_bytes = costs.table_bytes + costs.list_bytes;
	profile->facts.table_source_bytes = costs.source_bytes;
	if (costs.ready_ns > begin_ns)
		profile->facts.tables_ready_ns = costs.ready_ns - begin_ns;
}
