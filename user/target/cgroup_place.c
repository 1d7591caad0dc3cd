/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns where a process lives: parsing of /proc/PID/cgroup, see cgroups(7), and what the paths that
 * container engines choose tell. Declared in cgroup.h.
 */
#include "target/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/text.h"
#include "target/process.h"

#define TEXT_MAX  (128 * 1024) /* bytes: every hierarchy of version 1 with the longest path */
#define ID_DIGITS 64
#define UID_SIZE  36
#define DELETED   " (deleted)" /* fs/proc: the cgroup was removed, with the process a zombie */

/* A part of a path, or of a line. */
struct part {
	const char *start;
	size_t length;
};

static bool part_strip_start(struct part *part, const char *start)
{
	size_t length = strlen(start);

	if (part->length < length || memcmp(part->start, start, length) != 0)
		return false;
	part->start += length;
	part->length -= length;
	return true;
}

static bool part_strip_end(struct part *part, const char *end)
{
	size_t length = strlen(end);

	if (part->length < length || memcmp(part->start + part->length - length, end, length) != 0)
		return false;
	part->length -= length;
	return true;
}

static bool is_hexadecimal(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	return true;
}

/*
 * <id>, docker-<id>.scope, cri-containerd-<id>.scope, crio-<id>.scope, libpod-<id>.scope,
 * kubepods-…slice:cri-containerd:<id>. Not libpod-conmon-<id>.scope and crio-conmon-<id>.scope:
 * there the engine's own process lives.
 */
static bool engine_id(struct part name, struct part *id)
{
	const char *before;

	part_strip_end(&name, ".scope");
	if (name.length < ID_DIGITS)
		return false;
	before = name.start + name.length - ID_DIGITS;
	if (!is_hexadecimal(before, ID_DIGITS) ||
	    (before > name.start && before[-1] != '-' && before[-1] != ':') ||
	    memmem(name.start, (size_t)(before - name.start), "conmon", strlen("conmon")))
		return false;
	*id = (struct part){before, ID_DIGITS};
	return true;
}

/* lxc.payload.NAME, machine-NAME.scope, systemd-nspawn@NAME.service, or NAME below lxc. */
static bool machine_name(struct part name, struct part parent, struct part *machine)
{
	bool below = (parent.length == strlen("lxc") && part_strip_start(&parent, "lxc")) ||
		     (parent.length == strlen("lxc.payload") &&
		      part_strip_start(&parent, "lxc.payload"));

	if (!below && !part_strip_start(&name, "lxc.payload.") &&
	    !(part_strip_start(&name, "machine-") && part_strip_end(&name, ".scope")) &&
	    !(part_strip_start(&name, "systemd-nspawn@") && part_strip_end(&name, ".service")))
		return false;
	*machine = name;
	return name.length > 0;
}

/* pod<uid>, kubepods-burstable-pod<uid>.slice with `_` for each `-`. */
static bool pod_uid(struct part name, struct part *uid)
{
	const char *pod;

	part_strip_end(&name, ".slice");
	for (pod = name.start + name.length; pod > name.start; pod--) {
		size_t length = (size_t)(name.start + name.length - pod);

		if (pod - name.start >= 3 && !memcmp(pod - 3, "pod", 3) &&
		    (length == UID_SIZE || length == 32)) /* static pods have no dashes */
			break;
	}
	if (pod == name.start || (pod - 3 > name.start && pod[-4] != '-'))
		return false;
	*uid = (struct part){pod, (size_t)(name.start + name.length - pod)};
	for (size_t i = 0; i < uid->length; i++)
		if (!is_hexadecimal(pod + i, 1) && pod[i] != '-' && pod[i] != '_')
			return false;
	return true;
}

/* The last part of a path; *path then ends before it. */
static struct part part_take_last(struct part *path)
{
	struct part last;

	while (path->length && path->start[path->length - 1] == '/')
		path->length--;
	last.start = path->start + path->length;
	while (path->length && path->start[path->length - 1] != '/')
		path->length--;
	last.length = (size_t)(last.start - (path->start + path->length));
	last.start -= last.length;
	return last;
}

enum container_kind { CONTAINER_NONE, CONTAINER_NAMED, CONTAINER_POD };

static enum container_kind container_find(struct part path, struct part *container)
{
	struct part whole = path;

	while (path.length) {
		struct part name = part_take_last(&path), rest = path;

		if (engine_id(name, container) ||
		    machine_name(name, part_take_last(&rest), container))
			return CONTAINER_NAMED;
	}
	while (whole.length)
		if (pod_uid(part_take_last(&whole), container))
			return CONTAINER_POD;
	return CONTAINER_NONE;
}

static int hexadecimal_value(char digit)
{
	const char *digits = "0123456789abcdef", *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* systemd writes characters that a unit's name cannot have as \xNN. */
static int name_unescape(const struct part *name, char **text)
{
	char *bytes = malloc(name->length + 1);
	size_t length = 0;
	int error;

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < name->length; i++) {
		const char *at = name->start + i;

		if (name->length - i >= 4 && at[0] == '\\' && at[1] == 'x' &&
		    hexadecimal_value(at[2]) >= 0 && hexadecimal_value(at[3]) >= 0) {
			bytes[length++] =
				(char)(hexadecimal_value(at[2]) << 4 | hexadecimal_value(at[3]));
			i += 3;
		} else {
			bytes[length++] = *at;
		}
	}
	error = text_from_bytes(bytes, length, text);
	free(bytes);
	return error;
}

static int container_of(const struct part *path, char **container)
{
	struct part found = {"", 0};
	enum container_kind kind = container_find(*path, &found);
	int error = name_unescape(&found, container);

	for (char *at = *container; !error && kind == CONTAINER_POD && *at; at++)
		if (*at == '_') /* a systemd unit's name cannot have the uid's dashes */
			*at = '-';
	return error;
}

int cgroup_container(const char *path, char **container)
{
	struct part whole = {path, strlen(path)};

	return container_of(&whole, container);
}

/* A line of /proc/PID/cgroup: "4:cpu,cpuacct:/path", of version 2 "0::/path". */
struct line {
	struct part controllers;
	struct part path;
};

static bool line_parse(struct part text, struct line *line)
{
	const char *end = text.start + text.length;
	const char *first = memchr(text.start, ':', text.length);
	const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;

	if (!second || second + 1 == end || second[1] != '/')
		return false;
	line->controllers = (struct part){first + 1, (size_t)(second - first - 1)};
	line->path = (struct part){second + 1, (size_t)(end - second - 1)};
	part_strip_end(&line->path, DELETED);
	return true;
}

/* How much a line tells of where the process lives. */
static int line_rank(const struct line *line)
{
	struct part ignored, controllers = line->controllers;
	bool root = line->path.length == 1;

	if (container_find(line->path, &ignored) != CONTAINER_NONE)
		return 7;
	if (!controllers.length)
		return root ? 3 : 6;
	if (part_strip_start(&controllers, "name=systemd"))
		return root ? 2 : 5;
	return root ? 1 : 4;
}

int cgroup_place_parse(const char *text, struct cgroup_place *place)
{
	struct line best = {.path = {"", 0}}, line;
	struct cgroup_place found = {0};
	int rank = 0, error;

	while (*text) {
		struct part whole = {text, strcspn(text, "\n")};

		if (line_parse(whole, &line) && line_rank(&line) > rank) {
			rank = line_rank(&line);
			best = line;
		}
		text += whole.length + (text[whole.length] == '\n');
	}
	error = text_from_bytes(best.path.start, best.path.length, &found.path);
	if (!error)
		error = container_of(&best.path, &found.container);
	if (error) {
		cgroup_place_free(&found);
		return error;
	}
	*place = found;
	return 0;
}

int cgroup_place_of(pid_t pid, struct cgroup_place *place)
{
	char path[64], *text;
	size_t size;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	error = file_read_start(path, TEXT_MAX, &text, &size);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	error = cgroup_place_parse(text, place);
	free(text);
	return error;
}

void cgroup_place_free(struct cgroup_place *place)
{
	free(place->path);
	free(place->container);
	memset(place, 0, sizeof(*place));
}

int cgroup_hierarchy_parse(const char *text, const char *controllers)
{
	size_t length = strlen(controllers);

	while (*text) {
		struct part whole = {text, strcspn(text, "\n")};
		struct line line;
		char *end;
		long number = strtol(text, &end, 10);

		if (line_parse(whole, &line) && *end == ':' && number >= 0 && number <= INT_MAX &&
		    line.controllers.length == length &&
		    !memcmp(line.controllers.start, controllers, length))
			return (int)number;
		text += whole.length + (text[whole.length] == '\n');
	}
	return -ENOENT;
}
