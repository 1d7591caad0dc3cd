# SPDX-License-Identifier: BSD-2-Clause
"""Tasks for celery, by way of files in BROKER. Each leaves what its process has counted by now."""
import os
import time

import celery

import family

BROKER = os.environ["BROKER"]
app = celery.Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": BROKER, "data_folder_out": BROKER,
                                      "control_folder": BROKER + "-control"}
app.conf.task_ignore_result = True
burned = 0.0


@app.task
def work(number):
    global burned
    burned += family.burn(0.05)
    family.leave(os.environ["FACTS"], {"pid": os.getpid(), "burned": burned, "number": number,
                                       "cpu": time.process_time()})
