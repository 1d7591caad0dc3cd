# SPDX-License-Identifier: BSD-2-Clause
"""A Django application on a PostgreSQL: views with and without the N+1 pattern.

As a program it asks its own views by django.test.Client, --calls times --view, and tells what the
ORM has sent. As a module it is the WSGI application `application` (SHOP_HOST, SHOP_PORT).
"""
import os
import signal

import django
from django.conf import settings
from django.db import connection, models
from django.http import HttpResponse, JsonResponse
from django.template import Context, Engine
from django.urls import path

import truth

VIEWS = ("orders", "joined", "inline", "template", "detail")


def configure(host, port):
    settings.configure(
        DEBUG=False, SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres",
                               "USER": "postgres", "HOST": host, "PORT": port,
                               "CONN_MAX_AGE": None}})
    django.setup()


def add_arguments(parser):
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--view", choices=VIEWS, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--queries", type=int, required=True)


if __name__ == "__main__":
    options = truth.arguments(add_arguments)
    configure(options.host, options.port)
else:
    options = None
    configure(os.environ["SHOP_HOST"], os.environ["SHOP_PORT"])


class Customer(models.Model):
    name = models.TextField()

    class Meta:
        app_label, managed, db_table = "shop", False, "customers"


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.DO_NOTHING)

    class Meta:
        app_label, managed, db_table = "shop", False, "orders"


counts = {"calls": 0, "queries": 0}


def wanted(request):
    return Order.objects.order_by("id")[:int(request.GET["count"])]


def customer_name(order):
    return order.customer.name


def orders(request):
    """The classic: a query for the orders, and one for each of them."""
    counts["calls"] += 1
    rows = []
    for order in wanted(request):
        rows.append({"id": order.id, "customer": customer_name(order)})
    return JsonResponse({"orders": rows})


def joined(request):
    """The same with one query."""
    counts["calls"] += 1
    rows = []
    for order in wanted(request).select_related("customer"):
        rows.append({"id": order.id, "customer": customer_name(order)})
    return JsonResponse({"orders": rows})


def inline(request):
    """The classic without a function of its own for the query."""
    counts["calls"] += 1
    return JsonResponse({"names": [order.customer.name for order in wanted(request)]})


PAGE = Engine().from_string("{% for order in orders %}{{ order.customer.name }}\n{% endfor %}")


def template(request):
    """The classic in a template: all queries come from Django's own functions."""
    counts["calls"] += 1
    return HttpResponse(PAGE.render(Context({"orders": wanted(request)})))


def detail(request):
    """One query."""
    counts["calls"] += 1
    return HttpResponse(Order.objects.get(id=int(request.GET["count"])).customer_id)


def tell(request):
    return JsonResponse({"pid": os.getpid(), "tid": truth.tid(), **counts})


urlpatterns = [path(name, globals()[name]) for name in VIEWS] + [path("truth", tell)]


def serve(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    counts["queries"] += len(connection.queries_log)  # of this request: Django's own count


def run():
    from django.test import Client

    connection.force_debug_cursor = True
    client = Client()
    address = "/%s?count=%d" % (options.view, options.queries)
    serve(client, address)  # imports, and the connection
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    counts.update(calls=0, queries=0)
    truth.ready(options)
    signal.sigwait({signal.SIGUSR1})
    started, burnt = truth.now(), truth.cpu()
    for _ in range(options.calls):
        serve(client, address)
    truth.tell(options, elapsed=truth.now() - started, cpu=truth.cpu() - burnt,
               django=django.__version__, **counts,
               lines={each.__name__: each.__code__.co_firstlineno for each in
                      (customer_name, orders, joined, inline, template, detail)})


if __name__ == "__main__":
    run()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
