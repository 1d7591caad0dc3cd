#!/usr/bin/python3 -BS
# SPDX-License-Identifier: BSD-2-Clause
"""The first and only program of the virtual machine: records the workload once by each wait hook,
and sends what came of it over the serial line to run.py, as JSON, compressed, in base64."""
import base64
import ctypes
import json
import os
import platform
import pty
import select
import subprocess
import time
import traceback
import zlib

PYEBPF = ["/pyebpf/loader", "--library-path", "/pyebpf"]
RECORDING = "/recording.pb.gz"
CLOCK_START = time.monotonic()


def say(text):
    print("%7.1f %s" % (time.monotonic() - CLOCK_START, text), flush=True)


def mount(kind, path):
    os.makedirs(path, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), path.encode(), kind.encode(), 0, None):
        say("cannot mount %s: %s" % (path, os.strerror(ctypes.get_errno())))


def prepare():
    for kind, path in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"),
                       ("devpts", "/dev/pts"), ("securityfs", "/sys/kernel/security"),
                       ("tracefs", "/sys/kernel/tracing")):
        mount(kind, path)
    os.environ["PATH"] = "/usr/bin:/bin"


def pyebpf(*arguments, preload=(), **options):
    return subprocess.Popen([*PYEBPF, *preload, "/pyebpf/pyebpf", *map(str, arguments)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options)


def check(*arguments):
    process = pyebpf("check", *arguments, stderr=subprocess.STDOUT)
    output = process.communicate(timeout=600)[0].decode()
    result = {"status": process.returncode, "output": output}
    if process.returncode:  # what the verifier says of the programs
        process = pyebpf("check", preload=["--preload", "/pyebpf/refuse.so"],
                         stderr=subprocess.STDOUT, env=dict(os.environ, PYEBPF_LOG="1"))
        result["log"] = process.communicate(timeout=600)[0].decode(errors="replace")
    return result


def read_until(descriptor, process, text, seconds):
    """What comes from the terminal until `text` does or the program ends."""
    data, end = "", time.monotonic() + seconds
    while time.monotonic() < end and text not in data:
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                data += os.read(descriptor, 4096).decode(errors="replace")
            except OSError:  # the other side is closed
                break
        elif process.poll() is not None:
            break
    return data


def record(workload, seconds, refuse):
    """One recording while the workload does one round. The progress line tells that it has begun."""
    ours, theirs = pty.openpty()
    environment = dict(os.environ, PYEBPF_REFUSE="".join(name + " " for name in refuse))
    process = pyebpf("record", "-p", workload.pid, "-d", seconds, "-o", RECORDING,
                     preload=["--preload", "/pyebpf/refuse.so"] if refuse else [],
                     stderr=theirs, env=environment)
    os.close(theirs)
    errors = read_until(ours, process, "recording:", 600)
    result = {"truth": None, "in_time": False, "recording": ""}
    if process.poll() is None:
        workload.stdin.write(b"round\n")
        workload.stdin.flush()
        result["truth"] = json.loads(workload.stdout.readline())
        result["in_time"] = process.poll() is None
    errors += read_until(ours, process, "\0", 600)
    result["output"] = process.communicate(timeout=600)[0].decode()
    result.update(status=process.returncode, errors=errors)
    os.close(ours)
    if os.path.exists(RECORDING):
        with open(RECORDING, "rb") as file:
            result["recording"] = base64.b64encode(file.read()).decode()
        os.unlink(RECORDING)
    return result


def work():
    with open("/task.json") as file:
        task = json.load(file)
    results = {"kernel": platform.release(), "python": platform.python_version(), "records": {}}
    workload = subprocess.Popen(["/usr/bin/python3", "-BS", "/workload.py"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
    workload.stdout.readline()
    say("check")
    results["check"] = check("-p", workload.pid)
    for hook, refuse in task["hooks"]:
        say("record by " + hook)
        results["records"][hook] = record(workload, task["seconds"], refuse)
    workload.kill()
    return results


def main():
    prepare()
    say("booted " + platform.release())
    try:
        results = work()
    except Exception:
        results = {"failed": traceback.format_exc()}
    text = base64.b64encode(zlib.compress(json.dumps(results).encode(), 9)).decode()
    print("RESULTS " + text + " END", flush=True)
    time.sleep(3600)  # until run.py switches the machine off


if __name__ == "__main__":
    main()
