"""TigerBeetle's clients ask again until they are answered: whenever the server dies, every request is
executed once, and what was answered is answered again byte by byte.

    python3 compat_crash_test.py GIRO_BINARY [DIRECTORY]

DIRECTORY: where to make data directories; it must be on a file system with direct I/O. Default: the
current directory. Exit status 0: that is so.
"""
import collections
import itertools
import os
import random
import select
import signal
import struct
import time

import compat_client as c
from compat_client import CREATED, account, transfer

ROUNDS, SESSIONS, ACCOUNTS = 48, 6, range(1, 9)
LINKED, PENDING = 1, 2
STATS_TRANSFERS, STATS_RECORDS_FETCHED = 1, 13


class Books:
    """What the balances must be, from what replies say was created."""

    def __init__(self):
        self.balances = {id: [0, 0, 0, 0] for id in ACCOUNTS}
        self.transfers = 0
        self.times = set()

    def add(self, events, found):
        for event, result in zip(events, found):
            timestamp, status, reserved = struct.unpack("<QII", result)
            assert reserved == 0 and status in (CREATED, 1, 12, 22, 39, 46), status
            if status != CREATED:
                continue
            row = c.native.decode(c.native.TRANSFER_FIELDS, event)
            pending = row["flags"] & PENDING != 0
            self.balances[row["debit_account_id"]][0 if pending else 1] += row["amount"]
            self.balances[row["credit_account_id"]][2 if pending else 3] += row["amount"]
            self.transfers += 1
            assert timestamp not in self.times
            self.times.add(timestamp)

    def check(self, session):
        """session: one that does nothing else."""
        assert session.balances(*ACCOUNTS) == [tuple(self.balances[id]) for id in ACCOUNTS]


class Client(c.Session):
    """Creates transfers, most of them good ones."""

    def __init__(self, wire, number, rng):
        super().__init__(wire, number << 64 | 1)
        self.rng, self.ids, self.waiting = rng, itertools.count(number << 32), None
        self.made = []  # events that were sent

    def event(self):
        dice = self.rng.random()
        a, b = self.rng.sample(ACCOUNTS, 2)
        amount = self.rng.randint(1, 1000)
        if dice < 0.08:
            return transfer(next(self.ids), a, a, amount)  # 12
        if dice < 0.16:
            return transfer(next(self.ids), a, 999, amount)  # 22
        if dice < 0.24 and self.made:
            return self.rng.choice(self.made)  # 46, mostly
        flags = self.rng.choice((0, 0, 0, PENDING))
        self.made.append(transfer(next(self.ids), a, b, amount, flags=flags))
        return self.made[-1]

    def starts(self):
        """Sends the next request."""
        batches = [[self.event() for _ in range(self.rng.randint(0, 12))]
                   for _ in range(self.rng.randint(1, 3))]
        if batches[0] and self.rng.random() < 0.3:
            chain = transfer(next(self.ids), 1, 2, 1, flags=LINKED)
            batches[0].insert(0, chain)
        self.waiting = batches
        self.asked = self.ask(c.CREATE_TRANSFERS, *batches)
        self.wire.send(self.asked)

    def ends(self, books):
        """Takes the reply to it."""
        self.answered = self.wire.reply(self.asked)
        found = c.results(c.CREATE_TRANSFERS, len(self.waiting), self.answered.body)
        assert [len(batch) for batch in found] == [len(batch) for batch in self.waiting]
        books.add(sum(self.waiting, []), sum(found, []))
        self.waiting = None

    def again(self, wire):
        assert wire.call(self.asked).message == self.answered.message


def connect(server, clients):
    """Every second client shares the connection of the one before it."""
    for i, client in enumerate(clients):
        client.wire = clients[i - 1].wire if i % 2 == 1 else server.connect()


def dies(server, rng, clients, books, how):
    """All clients ask; some are answered; then the server is no more. Returns when that was."""
    asking, reading = clients[:], rng.randrange(len(clients)) if how == "answers" else 0
    if how == "deaf":
        server.process.send_signal(signal.SIGSTOP)
    for client in asking:
        client.starts()
    for client in asking[:reading]:
        client.ends(books)
    if how == "unread":  # answered, but nobody has read it
        select.select([clients[0].wire.socket], [], [])
    elif how == "soon":
        time.sleep(rng.random() * 0.004)
    server.end(signal.SIGKILL)
    died = time.time_ns()
    for client in clients:
        client.wire.close()
    return died


def rounds(giro, folder, seed):
    rng = random.Random(seed)
    server = c.Server(giro, os.path.join(folder, "rounds"), "--window-bytes", "4m", "--spin-us", "0",
                      segment_bytes="1m")
    books, counts = Books(), collections.Counter()
    reader = c.Session(server.connect(), 1)
    assert reader.accounts(*[account(id) for id in ACCOUNTS]) == [CREATED] * len(ACCOUNTS)
    shared = server.connect()
    clients = [Client(shared, i + 2, rng) for i in range(SESSIONS)]
    connect(server, clients)
    for number in range(ROUNDS):
        for _ in range(rng.randint(0, 6)):
            for client in clients:
                client.starts()
            for client in clients:
                client.ends(books)
        if number % 6 == 2:
            admin = server.connect_native()
            admin.snapshot()
            admin.close()
        how = ("answers", "unread", "soon", "deaf", "answers", "soon")[number % 6]
        died = dies(server, rng, clients, books, how)
        server.start("--io", ("auto", "posix")[number // 2 % 2])
        connect(server, clients)
        reader.wire = server.connect()
        for client in rng.sample(clients, len(clients)):
            if client.waiting is None:
                counts["answered"] += 1
            else:
                client.wire.send(client.asked)
                client.ends(books)
                counts["kept" if client.answered.timestamp < died else "lost"] += 1
            for wire in (reader.wire, client.wire):
                client.again(wire)
        books.check(reader)
    admin = server.connect_native()
    assert admin.stats()[STATS_TRANSFERS] == books.transfers
    server.end()
    server.run("verify", "--data", server.data)
    # Nobody heard of at least one a round that was done, and one that was not: unread and deaf ones.
    assert counts["kept"] >= ROUNDS // 6 and counts["lost"] >= ROUNDS // 6, counts
    return counts


def remembers(giro, folder):
    """Answers that nobody asked for again until their records had left memory."""
    server = c.Server(giro, os.path.join(folder, "old"), "--window-bytes", "4m", segment_bytes="1m")
    wire = server.connect()
    accounts = c.Session(wire, 1)
    made = [account(id) for id in (*ACCOUNTS, 1, 0, 2)]
    assert [status for status, _ in accounts.created(c.CREATE_ACCOUNTS, made)] == [
        *[CREATED] * len(ACCOUNTS), 21, 6, 21]
    sessions = [accounts]

    def asks(operation, *batches):
        session = c.Session(wire, len(sessions) + 1)
        session.call(operation, *batches)
        sessions.append(session)

    ids = itertools.count(1 << 32)

    def events(count):
        """Every third is refused."""
        return [transfer(next(ids), 1, 1 if i % 3 == 2 else 2, 1) for i in range(count)]

    first = events(100)
    asks(c.CREATE_TRANSFERS, first)
    asks(c.CREATE_TRANSFERS, first, [], events(7), first[:1])
    asks(c.CREATE_TRANSFERS, events(1000), events(1000))
    asks(c.CREATE_TRANSFERS, [])
    asks(c.SPARSE_TRANSFERS, events(300), first)
    asks(130, events(20))
    asks(130, events(2))
    asks(c.CREATE_TRANSFERS, [transfer(next(ids), 1, 2, 1, flags=LINKED) for _ in range(50)])
    sessions.append(c.Session(wire, 99))  # only registered
    reader = c.Session(wire, 100)
    before = reader.balances(1, 2)

    def again():
        wire, admin = server.connect(), server.connect_native()
        fetched = admin.stats()[STATS_RECORDS_FETCHED]
        for _ in range(2):
            for session in sessions:
                assert wire.call(session.asked).message == session.answered.message
        reader.wire = wire
        assert reader.balances(1, 2) == before
        fetched = admin.stats()[STATS_RECORDS_FETCHED] - fetched
        admin.close()
        return fetched

    def more():
        """Traffic that the window is too small for: refused, so that the log has no transfers."""
        busy = c.Session(server.connect(), next(ids))
        # As many as the log's small blocks have room for.
        count = c.field(busy.answered.body, 0, 4) // 128 - 1
        assert 2000 < count < 8189
        refused = [transfer(0, 1, 2, 1)] * count
        for _ in range(60):
            asked = busy.ask(c.CREATE_TRANSFERS, refused)
            assert len(busy.wire.call(asked, checked=False).body) == 16 * (count + 1)

    def at_once(times):
        """A request whose records have to be fetched, on three connections at the same time."""
        session = c.Session(server.connect(), next(ids))
        asked = session.ask(c.CREATE_TRANSFERS, [*first, transfer(next(ids), 3, 4, 1)], first)
        wires = [server.connect() for _ in range(3)]
        for wire in wires:
            wire.send(asked)
        replies = [wire.receive() for wire in wires]
        assert replies == replies[:1] * 3
        session.asked, session.answered = asked, c.Reply(replies[0], asked)
        sessions.append(session)
        made = c.results(c.CREATE_TRANSFERS, 1, sessions[1].answered.body)[0]
        for found in c.results(c.CREATE_TRANSFERS, 2, session.answered.body):
            for one, known in zip(found, made):
                timestamp, status, _ = struct.unpack("<QII", known)
                if status == CREATED:  # exists, from then on
                    assert struct.unpack("<QII", one) == (timestamp, 46, 0)
        assert reader.balances(3, 4) == [(0, times, 0, 0), (0, 0, 0, times)]

    assert again() == 0
    more()
    assert again() > 0
    at_once(1)
    server.restart(signal.SIGKILL, "--io", "posix")
    assert again() > 0
    server.connect_native().snapshot()
    server.restart(signal.SIGTERM)
    assert "snapshot" in server.text(), server.text()
    assert again() > 0
    at_once(2)
    server.restart(signal.SIGKILL)
    again()
    server.end()
    server.run("verify", "--data", server.data)


def work(giro, folder):
    remembers(giro, folder)
    counts = rounds(giro, folder, 1)
    return ("compat: %d crashes; of the requests that were asked then %d had been answered, %d had "
            "been executed, %d had not" % (ROUNDS, counts["answered"], counts["kept"],
                                           counts["lost"]))


if __name__ == "__main__":
    c.main(work)
