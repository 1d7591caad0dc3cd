#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs cmocka programs to their ends, shows the output of those that fail (of all with V=1), and
# closes with their counts. Fails if any of them failed, crashed or ran no test.
passed=0 failed=0
for program in "$@"; do
	log=$program.log
	timeout 300 "$program" >"$log" 2>&1
	status=$?
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(grep -c '^\[  FAILED  \] [^0-9]' "$log")
	# cmocka lists failed tests twice: where each failed and at the end.
	bad=$(((bad + 1) / 2))
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	fi
	if [ "$status" -eq 0 ] && [ "$ok" -eq 0 ]; then
		echo "$program ran no test" >>"$log"
		bad=1
	fi
	printf '  %-8s %s: %d passed, %d failed\n' TEST "$program" "$ok" "$bad"
	if [ "$bad" -ne 0 ] || [ "${V:-0}" != 0 ]; then
		cat "$log"
		[ "$status" -eq 0 ] || echo "$program: exit status $status"
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
