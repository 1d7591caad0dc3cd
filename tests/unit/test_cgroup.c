/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks what cgroups' paths tell of containers, how the lines of a process' hierarchies are
 * chosen from, how mounts are found, and, as root, all of it on cgroups made for the purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/cgroup.h"
#include "target/cgroup_names.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD   "0a1b2c3d-1111-2222-3333-444455556666"
#define POD_  "0a1b2c3d_1111_2222_3333_444455556666"

static void test_containers(void **state)
{
	static const char *const cases[][2] = {
		{"/docker/" ID, ID},
		{"/system.slice/docker-" ID ".scope", ID},
		{"/docker/" ID "/init.scope", ID},
		{"/docker/" OTHER "/docker/" ID, ID}, /* docker in docker */
		{"/../" ID, ID},
		{"/../../system.slice/docker-" ID ".scope", ID},
		{"/kubepods/burstable/pod" POD "/" ID, ID},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_
		 ".slice/cri-containerd-" ID ".scope",
		 ID},
		{"/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope/container", ID},
		{"/system.slice/containerd.service/kubepods-besteffort-pod" POD_
		 ".slice:cri-containerd:" ID,
		 ID},
		{"/machine.slice/libpod-" ID ".scope/container", ID},
		{"/machine.slice/libpod-conmon-" ID ".scope", ""},
		{"/kubepods/burstable/pod" POD, POD},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice",
		 POD},
		{"/kubepods/pod0123456789abcdef0123456789abcdef",
		 "0123456789abcdef0123456789abcdef"},
		{"/lxc/web-1", "web-1"},
		{"/lxc/web-1/system.slice/cron.service", "web-1"},
		{"/lxc.payload/web", "web"},
		{"/lxc.payload.web-1/user.slice", "web-1"},
		{"/lxc.monitor.web-1", ""},
		{"/machine.slice/machine-my\\x2dbox.scope/payload", "my-box"},
		{"/machine.slice/systemd-nspawn@box.service/payload", "box"},
		{"/system.slice/nginx.service", ""},
		{"/user.slice/user-1000.slice/session-2.scope", ""},
		{"/docker/" ID "0", ""},               /* 65 digits */
		{"/docker/g" ID, ""},                  /* a name that ends so */
		{"/machine.slice/machine-.scope", ""}, /* no name */
		{"/lxc/", ""},
		{"/", ""},
		{"", ""},
		{"////", ""},
		{"/pod", ""},
		{"/tripod" POD, ""},
		{"/machine-\\x.scope", "\\x"},
		{"/machine-\\xff\xff.scope", "\\xff\\xff"}, /* not UTF-8, by either way */
	};
	char *container;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cgroup_container(cases[i][0], &container), 0);
		assert_string_equal(container, cases[i][1]);
		free(container);
	}
}

static void check_place(const char *text, const char *path, const char *container)
{
	struct cgroup_place place;

	assert_int_equal(cgroup_place_parse(text, &place), 0);
	assert_string_equal(place.path, path);
	assert_string_equal(place.container, container);
	cgroup_place_free(&place);
}

static void test_places(void **state)
{
	check_place("0::/system.slice/nginx.service\n", "/system.slice/nginx.service", "");
	check_place("0::/\n", "/", "");
	check_place("0::/../../docker/" ID "\n", "/../../docker/" ID, ID);
	/* Version 1, and both. */
	check_place("5:cpu,cpuacct:/docker/" ID "\n1:name=systemd:/docker/" ID "\n", "/docker/" ID,
		    ID);
	check_place("5:memory:/a\n1:name=systemd:/b\n0::/\n", "/b", "");
	check_place("5:memory:/a\n1:name=systemd:/\n0::/\n", "/a", "");
	check_place("5:memory:/a\n1:name=systemd:/b\n0::/c\n", "/c", "");
	check_place("5:memory:/docker/" ID "\n0::/system.slice/docker.service\n", "/docker/" ID,
		    ID);
	check_place("5:memory:/\n1:cpu:/", "/", "");
	/* Colons, spaces and odd bytes in names; a removed one. */
	check_place("0::/a:b c/\xff\x1b\n", "/a:b c/\\xff\x1b", "");
	check_place("0::/gone (deleted)\n", "/gone", "");
	/* What no kernel writes. */
	check_place("", "", "");
	check_place("\n\n", "", "");
	check_place("0\n0:\n0::\n0::x\n:::\n", "", "");
	check_place("0::/a", "/a", "");
}

static void test_hierarchies(void **state)
{
	static const char text[] = "12:name=systemd:/a:b\n4:cpu,cpuacct:/\n3:cpu:/x\n0::/c\n"
				   "99999999999:much:/\n-1:less:/\nx:none:/\n7:cut";

	assert_int_equal(cgroup_hierarchy_parse(text, ""), 0);
	assert_int_equal(cgroup_hierarchy_parse(text, "cpu"), 3);
	assert_int_equal(cgroup_hierarchy_parse(text, "cpu,cpuacct"), 4);
	assert_int_equal(cgroup_hierarchy_parse(text, "name=systemd"), 12);
	assert_int_equal(cgroup_hierarchy_parse(text, "cpuacct"), -ENOENT);
	assert_int_equal(cgroup_hierarchy_parse(text, "much"), -ENOENT);
	assert_int_equal(cgroup_hierarchy_parse(text, "less"), -ENOENT);
	assert_int_equal(cgroup_hierarchy_parse(text, "none"), -ENOENT);
	assert_int_equal(cgroup_hierarchy_parse(text, "cut"), -ENOENT);
	assert_int_equal(cgroup_hierarchy_parse("", ""), -ENOENT);
}

static void test_own_place(void **state)
{
	struct cgroup_place place = {0};

	assert_int_equal(cgroup_place_of(getpid(), &place), 0);
	assert_int_equal(*place.path, '/');
	cgroup_place_free(&place);
	cgroup_place_free(&place);
	assert_int_equal(cgroup_place_of(0x7ffffffe, &place), -ESRCH);
	assert_null(place.path);
}

static void test_mounts(void **state)
{
	static const char text[] =
		"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"30 22 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		"31 22 0:27 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup "
		"rw,xattr,release_agent=/lib/systemd/agent,name=systemd\n"
		"32 22 0:28 /../.. /mnt/c\\040d rw shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n"
		"33 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n"
		"- cgroup2\n"
		"34 22 0:28 / - cgroup2 none rw\n"
		" - \n";
	struct cgroup_mounts mounts;
	struct cgroup cgroup;
	struct error error;

	assert_int_equal(cgroup_mounts_parse(text, &mounts), 0);
	assert_int_equal(mounts.count, 4);
	assert_true(mounts.items[0].unified && mounts.items[1].unified);
	assert_string_equal(mounts.items[0].point, "/mnt/c d");
	assert_string_equal(mounts.items[0].root, "/../..");
	assert_string_equal(mounts.items[1].point, "/sys/fs/cgroup/unified");
	assert_string_equal(mounts.items[2].controllers, "cpu,cpuacct");
	assert_string_equal(mounts.items[3].controllers, "name=systemd");
	cgroup_mounts_free(&mounts);
	assert_int_equal(cgroup_mounts_parse("", &mounts), 0);
	assert_int_equal(cgroup_open_in(&mounts, "/", &cgroup, &error), -ENOENT);
	assert_non_null(strstr(error.text, "no cgroup hierarchy is mounted"));
}

/* A hierarchy mounted for the test, with two cgroups, one in the other, and a process in each. */
struct made {
	char point[64], outer[96], inner[128];
	pid_t pids[2];
};

static void file_write(const char *directory, const char *name, long number)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%ld", number);
	assert_int_equal(fclose(file), 0);
}

static pid_t child_in(const char *directory)
{
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	file_write(directory, "cgroup.procs", pid);
	return pid;
}

/* False: this machine does not let us, or has no such hierarchy. */
static bool made_begin(struct made *made, const char *kind, const char *options)
{
	if (geteuid())
		return false;
	strcpy(made->point, "/tmp/test_cgroup.XXXXXX");
	assert_non_null(mkdtemp(made->point));
	if (mount("none", made->point, kind, 0, options)) {
		rmdir(made->point);
		return false;
	}
	snprintf(made->outer, sizeof(made->outer), "%s/pyebpf_%d", made->point, getpid());
	snprintf(made->inner, sizeof(made->inner), "%s/machine-in\\x2dner.scope", made->outer);
	assert_int_equal(mkdir(made->outer, 0755), 0);
	assert_int_equal(mkdir(made->inner, 0755), 0);
	made->pids[0] = child_in(made->outer);
	made->pids[1] = child_in(made->inner);
	return true;
}

static void made_stop(struct made *made)
{
	for (int i = 0; i < 2; i++) {
		kill(made->pids[i], SIGKILL);
		waitpid(made->pids[i], NULL, 0);
	}
}

static void made_remove(struct made *made)
{
	struct cgroup cgroup;
	struct error error;

	assert_int_equal(cgroup_open(made->inner, &cgroup, &error), 0);
	assert_false(cgroup_removed(&cgroup));
	assert_int_equal(rmdir(made->inner), 0);
	assert_true(cgroup_removed(&cgroup));
	assert_int_equal(mkdir(made->inner, 0755), 0); /* another one */
	assert_true(cgroup_removed(&cgroup));
	assert_int_equal(rmdir(made->inner), 0);
	cgroup_close(&cgroup);
	assert_int_equal(rmdir(made->outer), 0);
	assert_int_equal(umount(made->point), 0);
	assert_int_equal(rmdir(made->point), 0);
}

static void check_opened(const struct made *made, const struct cgroup_mounts *mounts, bool unified)
{
	struct error error = {""};
	struct cgroup cgroup, again;
	struct stat status;
	pid_t *pids;
	size_t count;

	assert_int_equal(cgroup_open_in(mounts, made->outer, &cgroup, &error), 0);
	assert_int_equal(stat(made->outer, &status), 0);
	assert_int_equal(cgroup.id, status.st_ino);
	assert_int_equal(cgroup.unified, unified);
	assert_int_equal(!cgroup.hierarchy, unified);
	assert_string_equal(cgroup.path, made->outer + strlen(made->point));
	assert_int_equal(cgroup_pids(&cgroup, &pids, &count), 0);
	assert_int_equal(count, 2);
	assert_true(pids[0] < pids[1]);
	assert_true(pids[0] == made->pids[0] || pids[0] == made->pids[1]);
	assert_true(pids[1] == made->pids[0] || pids[1] == made->pids[1]);
	free(pids);
	/* By its path in the hierarchy, with and without the first slash. */
	assert_int_equal(cgroup_open_in(mounts, cgroup.path, &again, &error), 0);
	assert_int_equal(again.id, cgroup.id);
	cgroup_close(&again);
	assert_int_equal(cgroup_open_in(mounts, cgroup.path + 1, &again, &error), 0);
	assert_int_equal(again.id, cgroup.id);
	cgroup_close(&again);
	cgroup_close(&cgroup);
	assert_int_equal(cgroup_open_in(mounts, made->inner, &cgroup, &error), 0);
	assert_int_equal(cgroup_pids(&cgroup, &pids, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pids[0], made->pids[1]);
	free(pids);
	cgroup_close(&cgroup);
}

static void check_refused(const struct cgroup_mounts *mounts)
{
	struct cgroup cgroup = {.fd = 42};
	struct error error;

	assert_int_equal(cgroup_open_in(mounts, "no/such/cgroup", &cgroup, &error), -ENOENT);
	assert_non_null(strstr(error.text, "no/such/cgroup"));
	assert_int_equal(cgroup_open_in(mounts, "/tmp", &cgroup, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/tmp is no cgroup: "));
	assert_int_equal(cgroup_open_in(mounts, "cgroup.procs", &cgroup, &error), -ENOTDIR);
	assert_int_equal(cgroup_open_in(mounts, "", &cgroup, &error), -ENOENT);
	assert_int_equal(cgroup_open_in(mounts, "../..", &cgroup, &error), -ENOENT);
	assert_int_equal(cgroup.fd, 42);
}

static void hierarchy_check(const char *kind, const char *options, bool unified)
{
	struct cgroup_mounts mounts;
	struct made made;
	char *point;

	if (!made_begin(&made, kind, options)) {
		print_message("no %s can be mounted here\n", kind);
		skip();
	}
	assert_int_equal(cgroup_mounts_read(&mounts), 0);
	check_opened(&made, &mounts, unified);
	/* The machine may have none of this kind: then ours is alone. */
	for (size_t i = 0; i < mounts.count; i++) {
		point = mounts.items[i].point;
		if (strcmp(point, made.point) != 0) {
			*point = '\0'; /* no directory of it is found */
			mounts.items[i].root[0] = '/';
		}
	}
	check_refused(&mounts);
	cgroup_mounts_free(&mounts);
	made_stop(&made);
	made_remove(&made);
}

static void test_version_2(void **state)
{
	hierarchy_check("cgroup2", NULL, true);
}

static void test_version_1(void **state)
{
	hierarchy_check("cgroup", "none,name=pyebpf_test", false);
}

/* Ids have names, those seen also after their cgroups were removed. */
static void test_ids(void **state)
{
	const struct cgroup_place *place;
	struct cgroups *cgroups;
	struct stat inner, outer;
	struct made made;

	if (!made_begin(&made, "cgroup2", NULL))
		skip();
	assert_int_equal(stat(made.inner, &inner), 0);
	assert_int_equal(stat(made.outer, &outer), 0);
	assert_int_equal(cgroups_new(made.point, &cgroups), 0);
	assert_int_equal(cgroups_find(cgroups, inner.st_ino, &place), 0);
	assert_string_equal(place->path, made.inner + strlen(made.point));
	assert_string_equal(place->container, "in-ner");
	assert_int_equal(cgroups_find(cgroups, UINT64_MAX - 5, &place), -ENOENT);
	assert_int_equal(cgroups_find(cgroups, 0, &place), -ENOENT);
	made_stop(&made);
	assert_int_equal(rmdir(made.inner), 0);
	assert_int_equal(cgroups_find(cgroups, inner.st_ino, &place), 0);
	assert_string_equal(place->container, "in-ner");
	assert_int_equal(mkdir(made.inner, 0755), 0);
	assert_int_equal(rmdir(made.inner), 0);
	assert_int_equal(rmdir(made.outer), 0);
	assert_int_equal(cgroups_find(cgroups, outer.st_ino, &place), -ENOENT); /* never seen */
	cgroups_free(cgroups);
	assert_int_equal(umount(made.point), 0);
	assert_int_equal(rmdir(made.point), 0);
	assert_int_equal(cgroups_new("/no/such/mount", &cgroups), -ENOENT);
}

/* Whether a user without rights finds the name of an id: by searching. */
static bool found_without_rights(const struct made *made, uint64_t id)
{
	const struct cgroup_place *place;
	struct cgroups *cgroups;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setgid(65534) || setuid(65534) || cgroups_new(made->point, &cgroups))
			_exit(1);
		_exit(cgroups_find(cgroups, id, &place) ||
		      strcmp(place->path, made->inner + strlen(made->point)) != 0 ||
		      cgroups_find(cgroups, UINT64_MAX - 5, &place) == 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return !status;
}

static void test_ids_without_rights(void **state)
{
	struct stat inner;
	struct made made;

	if (!made_begin(&made, "cgroup2", NULL))
		skip();
	assert_int_equal(stat(made.inner, &inner), 0);
	assert_true(found_without_rights(&made, inner.st_ino));
	made_stop(&made);
	made_remove(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_hierarchies),
		cmocka_unit_test(test_own_place),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ids_without_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
