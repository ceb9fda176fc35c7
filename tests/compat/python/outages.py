#!/usr/bin/env python3
"""What clients see when the server is slow, stops or dies, through TigerBeetle's Python client.

Usage: outages.py GIRO FOLDER. Starts servers of its own, below the folder.
"""
import importlib.metadata
import os
import signal
import sys
import threading
import time

import tigerbeetle as tb
from check import equal, run, test, true
from tigerbeetle import Account, Transfer, TransferFlags
from tigerbeetle import CreateAccountStatus as A
from tigerbeetle import CreateTransferStatus as T

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from server import Server  # pylint: disable=wrong-import-position

giro, folder = sys.argv[1:]
ONE, TWO = 1, 2


def client(server):
    return tb.ClientSync(cluster_id=0, replica_addresses=server.address)


def transfers(count, amount=1, **fields):
    return [
        Transfer(id=tb.id(), debit_account_id=ONE, credit_account_id=TWO, amount=amount, ledger=1,
                 code=1, **fields)
        for _ in range(count)]


def server_new(name, *arguments):
    return Server(giro, os.path.join(folder, name), arguments=arguments)


def accounts_make(c):
    results = c.create_accounts([Account(id=i, ledger=1, code=1) for i in (ONE, TWO)])
    equal([r.status for r in results], [A.CREATED] * 2)


def sum_is(c, amount):
    one, two = c.lookup_accounts([ONE, TWO])
    equal((one.debits_posted, two.credits_posted), (amount, amount))


class Stream:
    """Batches of transfers, one after another, in a thread of its own."""

    def __init__(self, server, count=50):
        self.server, self.count = server, count
        self.over = threading.Event()
        self.batches = []
        self.error = None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            with client(self.server) as c:
                while not self.over.is_set():
                    events = transfers(self.count)
                    # Also where the reply was lost: the server remembers what it has answered.
                    equal({r.status for r in c.create_transfers(events)}, {T.CREATED})
                    self.batches.append(events)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.over.set()
        self.thread.join(60)
        true(not self.thread.is_alive(), "the stream does not go on")
        if self.error:
            raise self.error
        return len(self.batches) * self.count

    def wait_for_more(self, batches=3):
        target = len(self.batches) + batches
        end = time.monotonic() + 60
        while len(self.batches) < target and self.thread.is_alive():
            true(time.monotonic() < end, "the stream does not go on")
            time.sleep(0.01)


def all_are_there(c, streams, total):
    sum_is(c, total)
    for stream in streams:
        for events in stream.batches:
            rows = c.lookup_transfers([event.id for event in events])
            equal([row.id for row in rows], [event.id for event in events])


def restarts(name, how, streams_count, rounds):
    with server_new(name) as server:
        with client(server) as c:
            accounts_make(c)
        streams = [Stream(server) for _ in range(streams_count)]
        for _ in range(rounds):
            for stream in streams:
                stream.wait_for_more()
            time.sleep(0.05)
            server.end(how)
            time.sleep(0.2)
            server.start()
        for stream in streams:
            stream.wait_for_more()
        total = sum(stream.end() for stream in streams)
        with client(server) as c:
            all_are_there(c, streams, total)
        true(total > 0, "there are transfers")


@test
def a_stream_goes_on_over_orderly_restarts():
    restarts("orderly", signal.SIGTERM, 1, 3)


@test
def a_stream_goes_on_over_crashes():
    restarts("crash", signal.SIGKILL, 1, 5)


@test
def many_streams_go_on_over_crashes():
    restarts("crashes", signal.SIGKILL, 8, 3)


@test
def a_slow_server_executes_once():
    with server_new("slow") as server, client(server) as c:
        accounts_make(c)
        total = 0
        for round_ in range(3):
            events = transfers(500)
            pause = threading.Thread(target=server.pause, args=(2.0,))
            pause.start()
            time.sleep(0.2)
            results = c.create_transfers(events)  # sent again and again meanwhile
            pause.join()
            equal({r.status for r in results}, {T.CREATED}, f"round {round_}")
            total += 500
            sum_is(c, total)
            hold = transfers(1, 7, flags=TransferFlags.PENDING)
            equal([r.status for r in c.create_transfers(hold)], [T.CREATED])
            post = Transfer(id=tb.id(), amount=7, pending_id=hold[0].id,
                            flags=TransferFlags.POST_PENDING_TRANSFER)
            equal([r.status for r in c.create_transfers([post])], [T.CREATED])
            total += 7
            sum_is(c, total)


@test
def a_failure_is_told_as_it_was_although_the_server_is_slow():
    """A second execution would answer id_already_failed."""
    with server_new("refused") as server, client(server) as c:
        accounts_make(c)
        events = transfers(20)
        for event in events:
            event.credit_account_id = 99
        pause = threading.Thread(target=server.pause, args=(2.0,))
        pause.start()
        time.sleep(0.2)
        results = c.create_transfers(events)
        pause.join()
        equal({r.status for r in results}, {T.CREDIT_ACCOUNT_NOT_FOUND})
        equal({r.status for r in c.create_transfers(events)}, {T.ID_ALREADY_FAILED})


@test
def clients_that_were_idle_go_on_after_a_crash():
    with server_new("idle") as server:
        clients = [client(server) for _ in range(6)]
        accounts_make(clients[0])
        for c in clients:
            sum_is(c, 0)
        for round_ in range(1, 3):
            server.kill()
            server.start()
            for c in clients:
                equal([r.status for r in c.create_transfers(transfers(1))], [T.CREATED])
            sum_is(clients[0], round_ * len(clients))
        for c in clients:
            c.close()


@test
def a_client_may_be_there_before_the_server():
    server = server_new("late")
    answers = []

    def ask():
        with client(server) as c:
            answers.append(c.lookup_accounts([ONE]))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(1)
    equal(answers, [])
    with server:
        thread.join(30)
        equal(answers, [[]])


@test
def a_ledger_has_the_cluster_number_that_it_is_given():
    number = 2**127 + 5
    with server_new("cluster", "--compat-cluster", str(number)) as server:
        with tb.ClientSync(cluster_id=number, replica_addresses=server.address) as c:
            accounts_make(c)
            sum_is(c, 0)


@test
def a_hundred_clients_are_served_at_once():
    with server_new("many") as server:
        clients = [client(server) for _ in range(100)]
        accounts_make(clients[0])

        def work(c):
            for _ in range(5):
                results = c.create_transfers(transfers(3))
                true({r.status for r in results} == {T.CREATED}, "not created")
            done.append(c)

        done = []
        threads = [threading.Thread(target=work, args=(c,)) for c in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        equal(len(done), 100, "clients that were served")
        sum_is(clients[0], 100 * 15)
        for c in clients:
            c.close()
        equal(server.stop(), 0, "exit status of the server")


run(f"python {importlib.metadata.version('tigerbeetle')}, outages")
