/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the tests of target/listeners.h, with texts and with real sockets. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "target/listeners.h"

static const char table[] =
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
	"   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   104\n"
	"   1: 0100007F:1539 0100007F:0016 01 00000000:00000000 00:00000000 00000000   104\n"
	"   2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A\n"
	"   x: nonsense\n"
	"   3: 0100007F:FFFF 00000000:0000 0A";

static void test_parse(void **state)
{
	uint8_t ports[65536 / 8] = {0};

	(void)state;
	listeners_parse(table, ports);
	assert_true(ports[5432 / 8] & 1 << 5432 % 8);
	assert_true(ports[80 / 8] & 1 << 80 % 8);
	assert_true(ports[65535 / 8] & 1 << 65535 % 8);
	assert_false(ports[5433 / 8] & 1 << 5433 % 8);
	assert_false(ports[22 / 8] & 1 << 22 % 8);
}

static void test_live(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	struct listeners *listeners = listeners_new();
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	uint16_t port;

	(void)state;
	assert_non_null(listeners);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	port = ntohs(address.sin_port);
	assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
	assert_true(listeners_hold(listeners, getpid(), port));
	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	assert_false(listeners_hold(listeners, getpid(), ntohs(address.sin_port)));
	assert_false(listeners_hold(listeners, UINT32_MAX, port));
	close(client);
	close(listener);
	listeners_free(listeners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
