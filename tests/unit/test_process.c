/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks opening processes, why some cannot be, and the names that they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/process.h"

static void command_check(const char *arguments, size_t size, const char *expected)
{
	char *command;

	assert_int_equal(process_command_parse(arguments, size, "comm", &command), 0);
	assert_string_equal(command, expected);
	free(command);
}

#define COMMAND(arguments, expected) command_check(arguments, sizeof(arguments), expected)

static void test_commands(void **state)
{
	COMMAND("/usr/bin/python3\0/srv/app/run.py\0--port\0008080", "run.py");
	COMMAND("python3.11\0-u\0-X\0dev\0-W\0error\0tool.py", "tool.py");
	COMMAND("python\0-Im\0http.server\08000", "-m http.server");
	COMMAND("python\0-mhttp.server", "-m http.server");
	COMMAND("python3\0-c\0print(1)", "-c");
	COMMAND("/v/bin/python3.13t\0-Xdev\0--check-hash-based-pycs\0always\0a.pyz", "a.pyz");
	COMMAND("/v/bin/python\0/v/bin/gunicorn\0-w\0004\0app:wsgi", "gunicorn app:wsgi");
	COMMAND("/v/bin/python\0/v/bin/gunicorn\0app.main:make()\0-w\0004",
		"gunicorn app.main:make()");
	COMMAND("python\0/usr/bin/gunicorn\0-b\0000.0.0.0:80\0--preload\0app:wsgi",
		"gunicorn app:wsgi");
	COMMAND("python\0/usr/bin/celery\0-A\0proj\0worker\0-l\0info", "celery worker");
	COMMAND("python\0/usr/bin/celery\0--app=proj\0worker", "celery worker");
	COMMAND("python\0/usr/bin/tool\0-v", "tool");
	COMMAND("python3\0/srv/my app/run me.py\0x", "run me.py");
	COMMAND("python3\0-\0argument", "-");
	COMMAND("python3\0-Werror\0-Xdev\0-OO\0a.py", "a.py");
	COMMAND("python3\0-X\0importtime\0-X\0dev\0-W\0error\0a.py\0-X\0y", "a.py");
	COMMAND("python3\0-W\0error::UserWarning\0-m\0pytest\0-x", "-m pytest");
	COMMAND("python3\0-Esm\0unittest\0discover", "-m unittest");
	COMMAND("python3\0-Pc\0x=1", "-c");
	COMMAND("python3\0-Wignore\0-c\0import x\0argument", "-c");
	COMMAND("python3\0-V", "python3");
	COMMAND("/tmp/_MEI12345/server\0--port\00080", "server"); /* PyInstaller's */
	COMMAND("/srv/dist/My Server\0x", "My Server");
	COMMAND("/srv/app.pex\0run", "app.pex");
	COMMAND("python3\0/srv/app.pex\0run", "app.pex run");
	COMMAND("python3\0/srv/app.zip", "app.zip");
	COMMAND("python3\0\0x.py", "python3");
	COMMAND("\0python3\0x.py", "comm");
	COMMAND("pypy3\0x.py", "pypy3 x.py");
	COMMAND("gunicorn: worker [app:wsgi]\0\0\0\0", "gunicorn: worker [app:wsgi]");
	COMMAND("/opt/my python/bin/python3\0x.py", "x.py");
	COMMAND("/usr/local/bin/snake\0/srv/x.py", "snake x.py");
	COMMAND("/usr/sbin/uwsgi\0--ini\0a.ini", "uwsgi");
	COMMAND("python3", "python3");
	COMMAND("python3\0-", "-");
	COMMAND("caf\xe9\0x", "caf\\xe9");
	COMMAND("python3.6m\0a.py", "a.py");
	COMMAND("python3.14td\0a.py", "a.py");
	COMMAND("python\0mydir/", "mydir/");
	COMMAND("python3\0/srv/app/__main__.py", "app/__main__.py");
	COMMAND("python3\0__main__.py", "__main__.py");
	COMMAND("python3\0/__main__.py", "__main__.py");
	COMMAND("python3\0-X\0dev\0--\0x.py", "x.py");
	COMMAND("python3\0-m", "-m");
	COMMAND("my dir/python3\0x.py", "x.py");
	COMMAND("my app\0--serve", "my app");
	COMMAND("/srv/zip/tool\0run", "tool");
	COMMAND("python3\0./tool.pyz\0run", "tool.pyz");
	COMMAND("python3\0/opt/zip/tool\0run", "tool run");
	COMMAND("python3\0./manage.py\0runserver\0000.0.0.0:8000", "manage.py runserver");
	COMMAND("python3\0-c\0from multiprocessing.spawn import spawn_main; spawn_main()\0"
		"--multiprocessing-fork",
		"multiprocessing spawn");
	COMMAND("python3\0-c\0import sys; from multiprocessing.forkserver import main; main()",
		"multiprocessing forkserver");
	COMMAND("python3\0-cfrom multiprocessing.resource_tracker import main;main(5)",
		"multiprocessing resource_tracker");
	COMMAND("accountant\0-B\0-u\0/srv/books.py\0-v", "accountant books.py");
	COMMAND("accountant\0-v", "accountant");
	COMMAND("./embed\0/srv/plug in/x.py", "embed x.py");
}

/* Servers and task queues, as their manuals start them, and the titles they give themselves. */
static void test_launchers(void **state)
{
	COMMAND("gunicorn: master [app:wsgi]\0\0", "gunicorn: master [app:wsgi]");
	COMMAND("[celeryd: celery@host:ForkPoolWorker-1]\0\0\0",
		"[celeryd: celery@host:ForkPoolWorker-1]");
	COMMAND("python\0/v/bin/gunicorn\0--bind\0unix:app.sock\0-m\000007\0wsgi:app",
		"gunicorn wsgi:app");
	COMMAND("python\0/v/bin/gunicorn\0-k\0egg:gunicorn#sync\0app:create(1)",
		"gunicorn app:create(1)");
	COMMAND("python\0/v/bin/gunicorn\0-b\0localhost:8000\0app", "gunicorn app");
	COMMAND("python\0-m\0gunicorn\0-w\0004\0app:wsgi", "gunicorn app:wsgi");
	COMMAND("python\0-muvicorn\0app.main:app\0--reload", "uvicorn app.main:app");
	COMMAND("python\0/v/bin/celery\0-A\0proj:app\0worker", "celery worker");
	COMMAND("python\0/v/bin/celery\0-b\0redis://h:1/0\0-A\0proj\0beat", "celery beat");
	COMMAND("python\0-m\0celery\0-A\0proj\0worker\0-c\0002", "celery worker");
	COMMAND("python\0-m\0celery", "celery");
	COMMAND("python\0/v/bin/flask\0--app\0hello:app\0run", "flask run");
	COMMAND("/v/bin/uwsgi\0--http\0:80\0--module\0app:wsgi", "uwsgi app:wsgi");
	COMMAND("uWSGI worker 1\0\0\0", "uWSGI worker 1");
	COMMAND("uwsgi\0--ini\0x.ini\0--module=app:wsgi", "uwsgi app:wsgi");
	COMMAND("python\0/v/bin/gunicorn\0-w4\0-b127.0.0.1:80\0app", "gunicorn app");
	COMMAND("python\0/v/bin/gunicorn\0-c\0python:project.conf\0project.wsgi",
		"gunicorn project.wsgi");
	COMMAND("python\0/v/bin/gunicorn\0--config=a.py\0--threads=2\0project.wsgi",
		"gunicorn project.wsgi");
	COMMAND("python\0/v/bin/gunicorn\0--bind\000:80\0--reload\0app", "gunicorn app");
	COMMAND("python\0/v/bin/gunicorn\0-w\0004\0app:make('production')",
		"gunicorn app:make('production')");
	COMMAND("python\0/v/bin/uvicorn\0--factory\0app.main:make", "uvicorn app.main:make");
	COMMAND("python\0/v/bin/uvicorn\0--host\0000.0.0.0\0--port\00080\0main:app",
		"uvicorn main:app");
	COMMAND("python\0-m\0celery\0-Aproject\0worker", "celery worker");
	COMMAND("python\0/v/bin/celery\0-A\0project\0--loglevel\0info\0worker", "celery worker");
	COMMAND("python\0/v/bin/daphne\0-b\0000.0.0.0\0-p\0008000\0project.asgi:application",
		"daphne project.asgi:application");
	COMMAND("python\0/v/bin/django-admin\0check", "django-admin check");
	COMMAND("python\0/v/bin/torchrun\0--nproc=2\0train.py", "torchrun train.py");
	COMMAND("ray::IDLE", "ray::IDLE");
	COMMAND("python3 renamed to this\0\0\0\0", "python3 renamed to this");
	COMMAND("server: writer   ", "server: writer"); /* padded */
}

/* A title is cut between characters; arguments beyond what is read do not matter. */
static void test_long_names(void **state)
{
	static char bytes[1 << 17];
	char *name;

	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(process_command_parse(bytes, sizeof(bytes), "comm", &name), 0);
	assert_int_equal(strlen(name), 200);
	free(name);
	for (size_t i = 0; i < sizeof(bytes); i += 2)
		memcpy(bytes + i, i ? "\xc3\xa9" : "a ", 2);
	bytes[1] = 'b';
	memmove(bytes, bytes + 1, 400);
	assert_int_equal(process_command_parse(bytes, 400, "comm", &name), 0);
	assert_int_equal(strlen(name), 199);
	assert_null(strchr(name, '\\'));
	free(name);
	memcpy(bytes, "python\0-c\0", 10);
	assert_int_equal(process_command_parse(bytes, sizeof(bytes), "comm", &name), 0);
	assert_string_equal(name, "-c");
	free(name);
	command_check("", 0, "comm");
	command_check("\0\0", 2, "comm");
	command_check("/usr/bin/python3\0a.py", 21, "a.py"); /* no NUL at the end */
}

static pid_t child_start(void)
{
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void test_life(void **state)
{
	static volatile uint64_t secret = 0x1234567887654321;
	struct process process;
	struct error error;
	uint64_t value = 0;
	pid_t pid = child_start();

	assert_int_equal(process_open(pid, &process, &error), 0);
	assert_true(process_alive(&process));
	assert_int_equal(process_read(&process, (uintptr_t)&secret, &value, sizeof(value)), 0);
	assert_int_equal(value, secret);
	assert_int_equal(process_read(&process, 8, &value, sizeof(value)), -EFAULT);
	assert_int_equal(process_read(&process, UINT64_MAX - 3, &value, sizeof(value)), -EFAULT);
	kill(pid, SIGKILL);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(process_alive(&process)); /* a zombie, not yet reaped */
	assert_int_equal(process_read(&process, (uintptr_t)&secret, &value, sizeof(value)), -ESRCH);
	process_close(&process);
	assert_int_equal(process_open(pid, &process, &error), -ESRCH);
	assert_non_null(strstr(error.text, "zombie"));
	waitpid(pid, NULL, 0);
	assert_int_equal(process_open(pid, &process, &error), -ESRCH);
	assert_non_null(strstr(error.text, "no process"));
}

static void test_refused(void **state)
{
	struct process process = {.pid = 42, .door = 42};
	struct error error;

	assert_int_equal(process_open(0, &process, &error), -EINVAL);
	assert_int_equal(process_open(-1, &process, &error), -EINVAL);
	assert_int_equal(process.pid, 42); /* untouched */
}

/* Of another user's process nothing may be read, and the sentence says what would help. */
static void test_rights(void **state)
{
	struct error error = {""};
	struct process process;
	int status;
	pid_t pid;

	if (geteuid())
		skip();
	pid = fork();
	if (!pid) {
		int result;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		result = process_open(getppid(), &process, &error);
		_exit(result == -EACCES && strstr(error.text, "CAP_SYS_PTRACE") ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),   cmocka_unit_test(test_launchers),
		cmocka_unit_test(test_long_names), cmocka_unit_test(test_life),
		cmocka_unit_test(test_refused),    cmocka_unit_test(test_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
