#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Owns the demo: starts tools/demo.py, records it for 10 seconds with the program given, which
# prints the report, and leaves nothing behind but the recording.
set -euo pipefail
program=$(realpath "${1:?the program}")
seconds=${2:-10}
cd "$(dirname "$0")/.."
directory=$(mktemp -d "${TMPDIR:-/tmp}/pyebpf-demo.XXXXXX")
python=$(command -v /usr/bin/python3 python3 | head -1)
if [ -z "$python" ]; then
	echo "the demo's workload needs python3: apt-get install python3" >&2
	exit 1
fi

coproc SHOP { exec "$python" -B tools/demo.py --directory "$directory"; }
shop=$SHOP_PID
trap 'kill "$shop" 2>/dev/null || true; wait "$shop" 2>/dev/null || true; rm -rf "$directory"' EXIT
read -r -t 20 line <&"${SHOP[0]}" || { echo "the demo's workload did not start" >&2; exit 1; }

echo "A small web shop runs as process $shop ($line)."
echo "$ sudo pyebpf record -p $shop -d $seconds"
echo
mkdir -p build
"$program" record -p "$shop" -d "$seconds" -o build/demo.pb.gz
echo
echo "The recording stays in build/demo.pb.gz: pyebpf report build/demo.pb.gz"
