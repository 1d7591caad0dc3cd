/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that a noticed process comes once, in time, and in order. */
#include "capture/noticed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_none(void **state)
{
	struct noticed *noticed = NULL;

	(void)state;
	assert_int_equal(noticed_due_ms(noticed), 0);
	assert_int_equal(noticed_take(&noticed, 1000), 0);
	noticed_free(noticed);
}

static void test_due(void **state)
{
	struct noticed *noticed = NULL;

	(void)state;
	assert_int_equal(noticed_add(&noticed, 7, 1000), 0);
	assert_int_equal(noticed_add(&noticed, 5, 1003), 0);
	assert_int_equal(noticed_due_ms(noticed), 1000 + NOTICED_MS);
	assert_int_equal(noticed_take(&noticed, 1000 + NOTICED_MS - 1), 0);
	assert_int_equal(noticed_take(&noticed, 1000 + NOTICED_MS), 7);
	assert_int_equal(noticed_take(&noticed, 1000 + NOTICED_MS), 0);
	assert_int_equal(noticed_due_ms(noticed), 1003 + NOTICED_MS);
	assert_int_equal(noticed_take(&noticed, 5000), 5);
	assert_null(noticed);
}

/* What maps on and on is looked at as soon as what maps once, and again when it maps after that. */
static void test_repeated(void **state)
{
	struct noticed *noticed = NULL;
	int64_t now;

	(void)state;
	for (now = 1000; now < 1000 + NOTICED_MS; now++)
		assert_int_equal(noticed_add(&noticed, 7, now), 0);
	assert_int_equal(noticed_take(&noticed, now), 7);
	assert_int_equal(noticed_take(&noticed, now + 1000), 0);
	assert_int_equal(noticed_add(&noticed, 7, now), 0);
	assert_int_equal(noticed_take(&noticed, now + NOTICED_MS), 7);
	assert_int_equal(noticed_add(&noticed, 7, now), 0);
	noticed_free(noticed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_none), cmocka_unit_test(test_due),
					   cmocka_unit_test(test_repeated)};

	return cmocka_run_group_tests_name("noticed", tests, NULL, NULL);
}
