# SPDX-License-Identifier: BSD-2-Clause
"""Virtual environments with real packages, each made once under build/."""
import os
import shutil
import subprocess

import pytest

from interpreters import BUILD, IN_CI


def make(name, python, packages):
    """The directory of an environment of `python` with `packages`."""
    directory = os.path.join(BUILD, name)
    if not os.path.exists(directory + "/complete"):
        shutil.rmtree(directory, ignore_errors=True)
        try:
            subprocess.run([python, "-m", "venv", directory], check=True)
            if packages:
                subprocess.run([directory + "/bin/pip", "install", "--quiet",
                                "--disable-pip-version-check", *packages], check=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            (pytest.fail if IN_CI else pytest.skip)("no virtual environment: %s" % error)
        open(directory + "/complete", "w").close()
    return directory
