# SPDX-License-Identifier: BSD-2-Clause
"""Spins in a function that the first argument names; tells by a line that it does."""
import sys

exec("def %s():\n    for _ in range(20000):\n        pass\n" % sys.argv[1])
spin = globals()[sys.argv[1]]
if len(sys.argv) > 2:
    open(sys.argv[2], "w").close()
while True:
    spin()
