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
#define ARGUMENTS_SIZE_MAX (1 << 16) /* bytes that are read of them */
#define NAME_MAX_BYTES     200       /* of each part of a name */

struct arguments {
	const char *items[ARGUMENTS_MAX];
	size_t count;
};

/* The last part of a path, with the slashes behind it. */
static const char *path_basename(const char *path)
{
	const char *end = path + strlen(path);

	while (end > path && end[-1] == '/')
		end--;
	while (end > path && end[-1] != '/')
		end--;
	return *end ? end : path;
}

/* python, python3, python3.11, python3.13t, python3-dbg; not python3_plugin or pythonista. */
static bool is_python_name(const char *name)
{
	if (strncmp(name, "python", 6))
		return false;
	name += 6;
	while (isdigit((unsigned char)*name) || *name == '.')
		name++;
	return name[strspn(name, "dmtu")] == '\0' || !strcmp(name, "-dbg"); /* kinds of builds */
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length > wanted && !strcmp(text + length - wanted, end);
}

static bool is_identifier_character(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/*
 * Whether an argument names an application object as WSGI and ASGI servers take it: app.main:app,
 * app:make(). Not localhost:8000, unix:run/app.sock (where a server listens), egg:gunicorn#sync,
 * python:project.conf (where its settings are).
 */
static bool is_application(const char *argument)
{
	const char *colon = strchr(argument, ':'), *at;

	if (!colon || colon == argument || isdigit((unsigned char)*argument) ||
	    isdigit((unsigned char)colon[1]) || !strncmp(argument, "unix:", 5) ||
	    !strncmp(argument, "fd:", 3) || !strncmp(argument, "python:", 7) ||
	    !strncmp(argument, "file:", 5))
		return false;
	for (at = argument; at < colon; at++)
		if (!is_identifier_character(*at))
			return false;
	while (is_identifier_character(*++at))
		;
	if (at == colon + 1)
		return false;
	return !*at || (*at == '(' && at[strlen(at) - 1] == ')');
}

/* Options that say where an application lies; what is done with it comes elsewhere. */
static bool names_application(const char *option)
{
	return !strcmp(option, "-A") || !strcmp(option, "--app");
}

/* Whether the argument behind an option may be its value. */
static bool may_take_value(const char *option)
{
	/* Switches that are often the last before what is run. */
	static const char *const switches[] = {"--daemon",  "--debug",  "--factory",
					       "--preload", "--reload", "--verbose"};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		if (!strcmp(option, switches[i]))
			return false;
	if (strchr(option, '='))
		return false;
	return option[1] == '-' || strlen(option) == 2; /* -w4, -Aproject: it is there already */
}

/* The argument from `first` (at least 1) on that says best what the command works on, or NULL. */
static const char *subject_find(const struct arguments *arguments, size_t first)
{
	for (size_t i = first; i < arguments->count; i++)
		if (is_application(arguments->items[i]) &&
		    !names_application(arguments->items[i - 1]))
			return arguments->items[i];
	for (size_t i = first; i < arguments->count; i++) {
		const char *argument = arguments->items[i];

		if (!*argument)
			continue;
		if (*argument != '-')
			return argument;
		i += may_take_value(argument);
	}
	return NULL;
}

/* How much of a word is shown: characters are not cut, and a title's padding is left out. */
static int shown_length(const char *word)
{
	size_t length = strnlen(word, NAME_MAX_BYTES + 1);

	if (length > NAME_MAX_BYTES) {
		length = NAME_MAX_BYTES;
		while (length > NAME_MAX_BYTES - 4 && (word[length] & 0xc0) == 0x80)
			length--;
	}
	while (length && word[length - 1] == ' ')
		length--;
	return (int)length;
}

/* Joins up to two words by a space. */
static int name_make(const char *first, const char *second, char **name)
{
	char *joined;
	int error;

	if (second && !*second)
		second = NULL;
	if (asprintf(&joined, "%.*s%s%.*s", shown_length(first), first, second ? " " : "",
		     second ? shown_length(second) : 0, second ? second : "") < 0)
		return -ENOMEM;
	error = text_from_bytes(joined, strlen(joined), name);
	free(joined);
	return error;
}

/* Programs that run others' code: what they are told to run is what tells them apart. */
static bool is_launcher(const char *module)
{
	static const char *const launchers[] = {"celery",    "daphne",  "django",   "dramatiq",
						"flask",     "granian", "gunicorn", "huey",
						"hypercorn", "rq",      "uvicorn"};

	for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++)
		if (!strcmp(module, launchers[i]))
			return true;
	return false;
}

/* `-m module`; a launcher is called what it is called when it is run as a script. */
static int module_name(const struct arguments *arguments, const char *module, size_t next,
		       char **name)
{
	if (module && is_launcher(module))
		return name_make(module, subject_find(arguments, next), name);
	return name_make("-m", module, name);
}

/*
 * `-c`, but for the code by which multiprocessing starts its processes ("from
 * multiprocessing.spawn import spawn_main; …", Lib/multiprocessing/spawn.py and others; "import
 * sys; " before that in forkserver.py from 3.14 on).
 */
static int code_name(const char *code, char **name)
{
	static const char before[] = "import sys; ", start[] = "from multiprocessing.";
	char part[32];

	if (code && !strncmp(code, before, strlen(before)))
		code += strlen(before);
	if (!code || strncmp(code, start, strlen(start)))
		return name_make("-c", NULL, name);
	code += strlen(start);
	snprintf(part, sizeof(part), "%.*s", (int)strcspn(code, " "), code);
	return name_make("multiprocessing", part, name);
}

static int script_name(const struct arguments *arguments, size_t script, char **name)
{
	const char *path = arguments->items[script], *base = path_basename(path);

	if (!strcmp(path, "-"))
		return name_make(path, NULL, name);
	if (!strcmp(base, "__main__.py") && base > path) { /* with what it is the main part of */
		while (base > path && base[-1] == '/')
			base--;
		while (base > path && base[-1] != '/')
			base--;
		return name_make(*base == '/' ? "__main__.py" : base, NULL, name);
	}
	if (strcmp(base, "manage.py") && /* Django's, which takes commands */
	    (ends_with(base, ".py") || ends_with(base, ".pyz") || ends_with(base, ".pyc")))
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
		if ((kind == 'c' || kind == 'm') && !value && i + 1 < arguments->count)
			value = arguments->items[++i];
		if (kind == 'c')
			return code_name(value, name);
		if (kind == 'm')
			return module_name(arguments, value, i + 1, name);
		if (kind == 'v')
			i++;
	}
	if (i >= arguments->count || !arguments->items[i][0])
		return name_make(path_basename(arguments->items[0]), NULL, name);
	return script_name(arguments, i, name);
}

/* Whether the first argument is a title that the process gave itself: the others are then empty. */
static bool is_title(const struct arguments *arguments)
{
	if (!strchr(arguments->items[0], ' ') || arguments->items[0][0] == '/')
		return false;
	return arguments->count < 2 || !*arguments->items[1] ||
	       !is_python_name(path_basename(arguments->items[0]));
}

/* Its options are --name=value or --name value. */
static const char *uwsgi_subject(const struct arguments *arguments)
{
	for (size_t i = 1; i < arguments->count; i++) {
		const char *value = arguments->items[i], *equals = strchr(value, '=');

		if (value[0] == '-' && equals)
			value = equals + 1;
		if (is_application(value))
			return value;
	}
	return NULL;
}

static int arguments_name(const struct arguments *arguments, const char *comm, char **name)
{
	const char *base = arguments->count ? path_basename(arguments->items[0]) : "";
	const char *subject = NULL;
	size_t first;

	if (!*base)
		return name_make(comm, NULL, name);
	if (is_title(arguments))
		return name_make(arguments->items[0], NULL, name);
	if (is_python_name(base))
		return python_name(arguments, name);
	for (first = 1; first + 1 < arguments->count && arguments->items[first][0] == '-'; first++)
		; /* such as those of a Python under another name */
	if (first < arguments->count && ends_with(arguments->items[first], ".py"))
		subject = path_basename(arguments->items[first]);
	else if (!strncmp(base, "uwsgi", 5))
		subject = uwsgi_subject(arguments);
	return name_make(base, subject, name);
}

int process_command_parse(const char *bytes, size_t size, const char *comm, char **command)
{
	struct arguments arguments = {.count = 0};
	char *copy;
	int error;

	if (size > ARGUMENTS_SIZE_MAX)
		size = ARGUMENTS_SIZE_MAX;
	copy = malloc(size + 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	for (size_t at = 0; at < size && arguments.count < ARGUMENTS_MAX;) {
		arguments.items[arguments.count++] = copy + at;
		at += strlen(copy + at) + 1;
	}
	error = arguments_name(&arguments, comm, command);
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
	error = file_read_start(path, ARGUMENTS_SIZE_MAX, &bytes, &size);
	if (error) {
		free(comm);
		return error == -ENOENT ? -ESRCH : error;
	}
	error = process_command_parse(bytes, size, comm, command);
	free(bytes);
	free(comm);
	return error;
}
