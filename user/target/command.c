/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a user would call a process, made from its arguments: the interpreter's name says
 * little, the script or module it runs says all. Declared in process.h.
 */
#include "target/process.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/text.h"

#define ARGUMENTS_MAX      64        /* more of them say nothing about the name */
#define ARGUMENTS_SIZE_MAX (1 << 21) /* bytes; the kernel keeps within ARG_MAX */
#define NAME_MAX_BYTES     200       /* of a title that a process gave itself */

struct arguments {
	const char *items[ARGUMENTS_MAX];
	size_t count;
};

static const char *path_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* python, python3, python3.11, python3.13t, python3-dbg; not python3_plugin or pythonista. */
static bool is_python_name(const char *name)
{
	if (strncmp(name, "python", 6))
		return false;
	name += 6;
	while (isdigit((unsigned char)*name) || *name == '.')
		name++;
	return !*name || !strcmp(name, "-dbg") || !strcmp(name, "t") || !strcmp(name, "d");
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length > wanted && !strcmp(text + length - wanted, end);
}

/* Whether an argument names an application object as WSGI and ASGI servers take it. */
static bool is_application(const char *argument)
{
	const char *colon = strchr(argument, ':');

	if (!colon || colon == argument || !(isalpha((unsigned char)colon[1]) || colon[1] == '_'))
		return false;
	for (const char *at = argument; at < colon; at++)
		if (!isalnum((unsigned char)*at) && *at != '_' && *at != '.')
			return false;
	return true;
}

/* The argument after `first` that says best what the command works on, or NULL. */
static const char *subject_find(const struct arguments *arguments, size_t first)
{
	for (size_t i = first; i < arguments->count; i++)
		if (is_application(arguments->items[i]))
			return arguments->items[i];
	for (size_t i = first; i < arguments->count; i++) {
		const char *argument = arguments->items[i];

		if (*argument != '-')
			return argument;
		if (!strchr(argument, '='))
			i++; /* it may be an option with a value */
	}
	return NULL;
}

/* Joins up to two words by a space. */
static int name_make(const char *first, const char *second, char **name)
{
	char *joined;
	int error;

	if (asprintf(&joined, "%s%s%.*s", first, second ? " " : "", NAME_MAX_BYTES,
		     second ? second : "") < 0)
		return -ENOMEM;
	error = text_from_bytes(joined, strlen(joined), name);
	free(joined);
	return error;
}

static int script_name(const struct arguments *arguments, size_t script, char **name)
{
	const char *base = path_basename(arguments->items[script]);

	if (ends_with(base, ".py") || ends_with(base, ".pyz") || ends_with(base, ".pyc"))
		return name_make(base, NULL, name);
	return name_make(base, subject_find(arguments, script + 1), name);
}

/*
 * Looks through the letters of one option of the interpreter. Returns 'm' or 'c' where that ends
 * the options, 'v' where the next argument is its value, else 0. *value is what follows the letter
 * in the same argument, or NULL.
 */
static char option_kind(const char *option, const char **value)
{
	*value = NULL;
	if (option[1] == '-')
		return !strcmp(option, "--check-hash-based-pycs") ? 'v' : 0;
	for (const char *letter = option + 1; *letter; letter++) {
		if (!strchr("mcXW", *letter))
			continue;
		*value = letter[1] ? letter + 1 : NULL;
		if (*letter == 'm' || *letter == 'c')
			return *letter;
		return *value ? 0 : 'v';
	}
	return 0;
}

/* The name of `python [options] script|-m module|-c code ...`. */
static int python_name(const struct arguments *arguments, char **name)
{
	size_t i = 1;

	for (; i < arguments->count && arguments->items[i][0] == '-'; i++) {
		const char *value;
		char kind;

		if (!arguments->items[i][1]) /* "-": the program comes from standard input */
			break;
		kind = option_kind(arguments->items[i], &value);
		if (kind == 'c')
			return name_make("-c", NULL, name);
		if (kind == 'm' && !value && i + 1 < arguments->count)
			value = arguments->items[i + 1];
		if (kind == 'm')
			return name_make("-m", value, name);
		if (kind == 'v')
			i++;
	}
	if (i >= arguments->count || !arguments->items[i][0])
		return name_make(path_basename(arguments->items[0]), NULL, name);
	return script_name(arguments, i, name);
}

int process_command_parse(const char *bytes, size_t size, const char *comm, char **command)
{
	struct arguments arguments = {.count = 0};
	char *copy = malloc(size + 1);
	const char *base;
	int error;

	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	for (size_t at = 0; at < size && arguments.count < ARGUMENTS_MAX;) {
		arguments.items[arguments.count++] = copy + at;
		at += strlen(copy + at) + 1;
	}
	base = arguments.count ? path_basename(arguments.items[0]) : "";
	if (!*base)
		error = name_make(comm, NULL, command);
	else if (strchr(arguments.items[0], ' ') && arguments.items[0][0] != '/')
		error = name_make(arguments.items[0], NULL, command); /* a title it set */
	else if (is_python_name(base))
		error = python_name(&arguments, command);
	else if (arguments.count > 1 && ends_with(arguments.items[1], ".py"))
		error = name_make(base, path_basename(arguments.items[1]), command);
	else
		error = name_make(base, NULL, command);
	free(copy);
	return error;
}

int process_command(pid_t pid, char **command)
{
	char path[64], *bytes, *comm;
	size_t size, length;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	error = file_read_whole(path, 4096, &comm, &length);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	error = file_read_whole(path, ARGUMENTS_SIZE_MAX, &bytes, &size);
	if (error) {
		free(comm);
		return error == -ENOENT ? -ESRCH : error;
	}
	error = process_command_parse(bytes, size, comm, command);
	free(bytes);
	free(comm);
	return error;
}
