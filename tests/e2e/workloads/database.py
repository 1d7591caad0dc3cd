# SPDX-License-Identifier: BSD-2-Clause
"""Requests that ask a PostgreSQL, by psycopg2 or psycopg, and count what they asked.

--kind many: dispatch() -> list_orders() -> customer_name() for each of --queries orders, --calls
times. --kind bare: the same of orders that no query was needed for, so that nothing but the loops
tells one call from the next. --kind one: a module's loop that serves requests with one query each.
"""
import signal

import truth

try:
    import psycopg2 as driver
except ImportError:
    import psycopg as driver

counts = {"calls": 0, "queries": 0}


def customer_name(cursor, customer):
    counts["queries"] += 1
    cursor.execute("select name from customers where id = %s", (customer,))
    return cursor.fetchone()[0]


def list_orders(cursor, queries):
    if options.kind == "bare":
        customers = [number % 50 + 1 for number in range(queries)]
    else:
        counts["queries"] += 1
        cursor.execute("select customer_id from orders order by id limit %s", (queries,))
        customers = [row[0] for row in cursor.fetchall()]
    names = []
    for customer in customers:
        names.append(customer_name(cursor, customer))
    return names


def render_page(names):
    return sum(len(name) * i for i, name in enumerate(names * 20))


def dispatch(cursor, queries):
    counts["calls"] += 1
    names = list_orders(cursor, queries)
    return render_page(names)


def handle_request(cursor, number):
    counts["calls"] += 1
    return len(customer_name(cursor, number % 50 + 1))


def add_arguments(parser):
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=["many", "bare", "one"], required=True)
    parser.add_argument("--queries", type=int, default=1)
    parser.add_argument("--calls", type=int, required=True)


options = truth.arguments(add_arguments)
connection = driver.connect(host=options.host, port=options.port, user="postgres",
                            dbname="postgres")
connection.autocommit = True
cursor = connection.cursor()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
truth.ready(options)
signal.sigwait({signal.SIGUSR1})
started, burnt = truth.now(), truth.cpu()
if options.kind != "one":
    for _ in range(options.calls):
        dispatch(cursor, options.queries)
else:
    for number in range(options.calls):
        handle_request(cursor, number)
truth.tell(options, elapsed=truth.now() - started, cpu=truth.cpu() - burnt,
           driver=driver.__name__, lines={each.__name__: each.__code__.co_firstlineno for each in
                                          (customer_name, list_orders, dispatch)}, **counts)
