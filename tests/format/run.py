"""Proves that docs/protocol.md and docs/log-format.md suffice.

    python3 run.py GIRO_BINARY [DIRECTORY]

makes a data directory, serves it, drives it with the client that was written from the one document
(protocol.py), stops it, and compares what the readers that were written from the other find with
`giro verify` and with the server's own answers (log.py), and with what the server derived from its
log (derived.py). Exit status 0: everything agrees.

DIRECTORY: where to make data directories; it must be on a file system with direct I/O. Default: the
current directory.
"""
import datetime
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import derived as derived_format  # noqa: E402
import lmdb_file  # noqa: E402
import log as log_format  # noqa: E402
import protocol as p  # noqa: E402
import xxh3  # noqa: E402

GIRO = None
SECTOR = 512


# ---- The server --------------------------------------------------------------------------------

def giro(*arguments):
    return subprocess.run([GIRO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=30)


class Server:
    running = []

    def __init__(self, data, *options):
        self.process = subprocess.Popen(
            [GIRO, "serve", "--data", data, "--listen", "127.0.0.1:0", *options],
            stderr=subprocess.PIPE, universal_newlines=True)
        self.running.append(self.process)
        self.text = ""
        for line in self.process.stderr:
            self.text += line
            found = re.search(r"listening on (\S+)", line)
            if found:
                self.address = found.group(1)
                return
        raise AssertionError("the server did not start:\n" + self.text)

    def connect(self):
        connection = p.Connection(self.address)
        connection.hello()
        return connection

    def end(self, signal_number):
        self.process.send_signal(signal_number)
        self.process.communicate(timeout=30)
        self.running.remove(self.process)
        return self.process.returncode


# ---- What the protocol document says ------------------------------------------------------------

def transfer(id, debit, credit, amount, **fields):
    return p.transfer(**{"id": id, "debit_account_id": debit, "credit_account_id": credit,
                         "amount": amount, "ledger": 978, "code": 1, **fields})


def codes(connection, *events):
    """The code of every event, 0 for created."""
    results = connection.create_transfers(*events)[1]
    return [results.get(i, 0) for i in range(len(events))]


def rules(c):
    """One step after another on accounts 10 .. 14; what each answers is what the document says."""
    _, results = c.create_accounts(*[p.account(id=id, ledger=978, code=1) for id in range(10, 14)],
                                   p.account(id=14, ledger=840, code=1))
    assert results == {}
    _, results = c.create_accounts(
        p.account(id=10, ledger=978, code=2), p.account(id=20, ledger=978),
        p.account(id=20, ledger=978, code=1, flags=6), p.account(id=p.U128_MAX, code=1),
        p.account(id=21, ledger=978, code=1, flags=p.LINKED), p.account(id=22, code=1))
    assert results == {0: 20, 1: 14, 2: 8, 3: 7, 4: 1, 5: 13}, results

    # Precedence, transient failures, identity.
    assert codes(c, transfer(0, 10, 11, 1), transfer(200, 10, 10, 1), transfer(200, 10, 99, 1),
                 transfer(200, 10, 11, 1), transfer(201, 10, 14, 1),
                 transfer(202, 10, 11, 1, flags=1 << 14), transfer(203, 10, 11, 5),
                 transfer(203, 10, 11, 6), transfer(203, 10, 11, 5)) == [
                     5, 12, 22, 68, 23, 4, 0, 39, 46]
    # Pending, a post of a part, a void, and second attempts.
    assert codes(c, transfer(210, 10, 11, 100, flags=p.PENDING, user_data_64=7),
                 transfer(211, 10, 11, 50, flags=p.PENDING)) == [0, 0]
    end = {"ledger": 0, "code": 0}
    assert codes(c, transfer(212, 0, 0, 101, flags=p.POST, pending_id=210, **end),
                 transfer(213, 0, 0, 40, flags=p.POST, pending_id=210, **end),
                 transfer(213, 10, 0, 40, flags=p.POST, pending_id=210, **end),
                 transfer(214, 0, 0, 0, flags=p.VOID, pending_id=210, **end),
                 transfer(215, 0, 0, 0, flags=p.VOID, pending_id=211, **end),
                 transfer(216, 0, 0, 0, flags=p.POST, pending_id=203, **end)) == [
                     31, 0, 46, 33, 0, 26]
    post = c.lookup_transfers(213)[0]
    assert (post["amount"], post["debit_account_id"], post["user_data_64"]) == (40, 10, 7)
    # Chains: all or nothing; a retry of a committed one; one that is left open.
    chain = [transfer(220, 10, 11, 1, flags=p.LINKED), transfer(221, 11, 10, 1)]
    assert codes(c, transfer(222, 10, 11, 1, flags=p.LINKED), transfer(223, 10, 98, 1)) == [1, 22]
    assert codes(c, *chain) == [0, 0]
    assert codes(c, *chain) == [46, 46]
    assert codes(c, transfer(224, 10, 11, 1), transfer(225, 10, 11, 1, flags=p.LINKED)) == [0, 2]
    # Balancing: what account 2 has left, 2500 of the worked example, and then nothing.
    all_of_it = dict(amount=p.U128_MAX, flags=p.BALANCING_DEBIT)
    assert codes(c, transfer(230, 2, 1, **all_of_it), transfer(231, 2, 1, **all_of_it)) == [0, 0]
    assert [t["amount"] for t in c.lookup_transfers(230, 231)] == [2500, 0]
    # Closing, and a void that opens the account again.
    assert codes(c, transfer(240, 12, 13, 0, flags=p.PENDING | p.CLOSING_DEBIT),
                 transfer(241, 12, 13, 1), transfer(242, 12, 13, 1, flags=p.CLOSING_DEBIT),
                 transfer(243, 0, 0, 0, flags=p.VOID, pending_id=240, **end),
                 transfer(244, 12, 13, 3),
                 transfer(245, 13, 12, 0, flags=p.PENDING | p.CLOSING_DEBIT)) == [
                     0, 65, 64, 0, 0, 0]
    # Imported events keep their own timestamps.
    newest = c.lookup_transfers(245)[0]["timestamp"]
    imported = dict(flags=16, ledger=978, code=1)
    assert c.create_accounts(p.account(id=30, timestamp=newest, **imported),
                             p.account(id=30, timestamp=newest + 1, **imported),
                             p.account(id=31, timestamp=newest + 2, **imported),
                             p.account(id=32, ledger=978, code=1))[1] == {0: 26, 3: 22}
    assert codes(c, transfer(250, 30, 31, 9, flags=256, timestamp=newest + 2),
                 transfer(250, 30, 31, 9, flags=256, timestamp=newest + 3),
                 transfer(251, 30, 31, 9, flags=256, timestamp=1 << 63)) == [60, 0, 58]
    assert c.lookup_transfers(250)[0]["timestamp"] == newest + 3
    # Expiry.
    assert codes(c, transfer(260, 10, 11, 70, flags=p.PENDING, timeout=1)) == [0]
    assert c.lookup_accounts(10)[0]["debits_pending"] == 70
    time.sleep(1.3)
    assert codes(c, transfer(261, 0, 0, 0, flags=p.VOID, pending_id=260, **end)) == [35]
    assert c.lookup_accounts(10)[0]["debits_pending"] == 0
    assert c.lookup_accounts(99, 11, 98, 11) == c.lookup_accounts(11) * 2
    assert c.stats()[0] == 9


def pipelined(c, first, batches):
    """Requests without waiting, across the end of a segment; replies in order."""
    for i in range(batches):
        c.send(p.CREATE_TRANSFERS, b"".join(
            transfer(first + i * 8000 + k, 10, 11, 1) for k in range(8000)))
    expected = c.request_id - batches
    for _ in range(batches):
        expected += 1
        operation, status, request_id, body = c.reply()
        assert (operation, status, request_id, len(body)) == (17, 0, expected, 16)


def across(c, first, holds, timeout=1):
    """Transfers of every kind between accounts 60, which keeps its history, and 61; holds, which an
    earlier call returned, end. Called once a segment, so that they end in another one."""
    end = {"ledger": 0, "code": 0}
    if holds is None:
        assert c.create_accounts(
            p.account(id=60, ledger=978, code=1, flags=p.HISTORY, user_data_128=p.U128_MAX),
            p.account(id=61, ledger=978, code=1, user_data_64=61, user_data_32=61))[1] == {}
    else:
        assert codes(c, transfer(first, 0, 0, 0, flags=p.VOID, pending_id=holds + 3, **end),
                     transfer(first + 1, 0, 0, 300, flags=p.POST, pending_id=holds, **end),
                     transfer(first + 2, 0, 0, 7, flags=p.POST, pending_id=holds + 1, **end),
                     transfer(first + 3, 0, 0, 0, flags=p.VOID, pending_id=holds + 2,
                              **end)) == [0] * 4
    assert codes(c, transfer(first + 10, 60, 61, 300, flags=p.PENDING),
                 transfer(first + 11, 61, 60, 1 << 100, flags=p.PENDING, user_data_32=6),
                 transfer(first + 12, 60, 61, 12, flags=p.PENDING, timeout=3600),
                 transfer(first + 13, 61, 60, 0, flags=p.PENDING | p.CLOSING_DEBIT)) == [0] * 4
    assert codes(c, transfer(first + 20, 60, 10, 1, flags=p.PENDING, timeout=timeout),
                 transfer(first + 21, 60, 10, 1, flags=p.PENDING),
                 transfer(first + 22, 60, 10, 5 << 64, user_data_128=p.U128_MAX, user_data_64=1,
                          user_data_32=1),
                 transfer(first + 23, 60, 99, 1), transfer(first + 24, 10, 60, 1, flags=p.LINKED),
                 transfer(first + 25, 10, 61, 1)) == [0, 0, 0, 22, 1, 66]
    newest = c.lookup_transfers(first + 22)[0]["timestamp"]
    assert codes(c, transfer(first + 30, 60, 11, 2, flags=256, timestamp=newest + 7)) == [0]
    return first + 10


# ---- Payments -----------------------------------------------------------------------------------

class Payments:
    """Holds that are captured in parts, raised and left to expire; returns, of returns as well;
    facts. Every run makes all of them between accounts 70 .. 74, of which 70 and 72 have the same
    owner, and goes on with the holds and posts of the run before it, which another segment may
    have. 71 and 73 have limits, 70 and 74 keep their history."""

    ACCOUNTS = range(70, 75)
    END = {"ledger": 0, "code": 0}

    def __init__(self, c):
        self.c, self.first, self.before, self.marks = c, 0, None, {}
        owner = dict(user_data_128=1 << 99, ledger=978, code=1)
        assert c.create_accounts(
            p.account(id=70, flags=p.HISTORY, **owner),
            p.account(id=71, ledger=978, code=1, flags=p.DEBITS_MUST_NOT_EXCEED_CREDITS),
            p.account(id=72, **owner),
            p.account(id=73, ledger=978, code=1, flags=p.CREDITS_MUST_NOT_EXCEED_DEBITS),
            p.account(id=74, ledger=978, code=1, flags=p.HISTORY))[1] == {}

    # Events, by what is said of them in a few words; ids and pending ids count from self.first.

    def t(self, id, debit, credit, amount, flags=0, of=None, **fields):
        if of is not None:
            fields["pending_id"] = self.first + of
        return transfer(self.first + id, debit, credit, amount, flags=flags, **fields)

    def post(self, id, of, amount, flags=0):
        return self.t(id, 0, 0, amount, p.POST | flags, of, **self.END)

    def void(self, id, of, amount=0, flags=0):
        return self.t(id, 0, 0, amount, p.VOID | flags, of, **self.END)

    def adjust(self, id, of, amount, timeout=0, flags=0):
        return self.t(id, 0, 0, amount, p.PENDING | p.ADJUST | flags, of, timeout=timeout,
                      **self.END)

    def back(self, id, of, amount, flags=0, debit=71, credit=70, **fields):
        return self.t(id, debit, credit, amount, p.RETURN | flags, of, **fields)

    def all(self, *events, **expected):
        """Creates events; expected: c0 .. the code of an event that is not created, m0 .. its
        marks."""
        wanted = [expected.get("c%d" % i, 0) for i in range(len(events))]
        found = codes(self.c, *events)
        assert found == wanted, (found, wanted)
        for i, event in enumerate(events):
            if "m%d" % i in expected:
                self.marks[int.from_bytes(event[:16], "little")] = expected["m%d" % i]

    def amounts(self, *ids):
        return [t["amount"] for t in self.c.lookup_transfers(*[self.first + id for id in ids])]

    def run(self, first, soon=1):
        """soon: seconds until what shall expire does."""
        self.first, self.soon = first, soon
        self.all(self.t(0, 70, 71, 100000), self.t(1, 70, 71, 7, p.NO_LIMIT))
        if self.before is not None:
            self.goes_on()
        self.captures()
        self.returns()
        self.pending_returns()
        self.facts()
        self.over_caps()
        self.chains()
        self.imported()
        self.many()
        self.stays()
        self.before = first
        return self

    def captures(self):
        keep, last = p.KEEP_OPEN, p.U128_MAX
        self.all(self.t(10, 70, 71, 500, p.PENDING, timeout=3600), self.post(11, 10, 200, keep),
                 self.void(12, 10, 50, keep), self.void(13, 10, 0, keep),
                 self.adjust(14, 10, 30, 7200), self.adjust(15, 10, 0, 1), self.adjust(16, 10, 0),
                 self.post(17, 10, 281, keep), self.post(17, 10, last, keep),
                 self.void(17, 10, 281, keep), self.void(17, 10, 279), self.post(17, 10, last),
                 self.post(18, 10, 0, keep), self.adjust(18, 10, 1),
                 c7=31, c8=31, c9=31, c10=32, c12=33, c13=131)
        assert self.amounts(11, 12, 13, 14, 17) == [200, 50, 0, 30, 280]
        # All of it taken, and raised again; given back; ended with nothing, and voided.
        self.all(self.t(20, 70, 71, 100, p.PENDING | p.NO_LIMIT), self.post(21, 20, 100, keep),
                 self.adjust(22, 20, 20, 5), self.void(23, 20, 20, keep), self.post(24, 20, 0),
                 self.t(25, 70, 71, 60, p.PENDING), self.adjust(26, 25, 1 << 70), self.void(27, 25),
                 self.void(28, 26), self.t(29, 70, 71, 8, p.PENDING | p.CLOSING_DEBIT),
                 self.adjust(30, 29, 1), self.void(31, 29, 3, keep), self.void(32, 29),
                 c8=26, c10=65)
        assert self.amounts(27, 32) == [60 + (1 << 70), 5]
        # What was sent again.
        self.all(self.post(17, 10, last), self.post(17, 10, 280), self.post(17, 10, 279),
                 self.post(11, 10, 200, keep), self.post(11, 10, last, keep),
                 self.void(12, 10, 50, keep), self.void(12, 10, 0, keep), self.post(11, 10, 200),
                 self.adjust(14, 10, 30, 7200), self.adjust(14, 10, 31, 7200),
                 self.adjust(14, 10, 30), self.post(24, 20, last), self.void(27, 25),
                 self.void(27, 25, 60), c0=46, c1=46, c2=39, c3=46, c4=39, c5=46, c6=39, c7=36,
                 c8=46, c9=39, c10=44, c11=46, c12=46, c13=39)
        # They expire: one with its deadline as it was, one with a later one, one with nothing left.
        # The last two do not.
        soon = dict(timeout=self.soon)
        self.all(self.t(35, 70, 71, 100, p.PENDING, **soon), self.post(36, 35, 40, keep),
                 self.t(37, 74, 71, 10, p.PENDING, **soon), self.adjust(38, 37, 5, self.soon),
                 self.t(39, 74, 71, 10, p.PENDING, **soon), self.post(40, 39, 10, keep),
                 self.t(41, 74, 71, 10, p.PENDING, **soon), self.adjust(42, 41, 9, 3600),
                 self.t(43, 70, 71, 1, p.PENDING), self.adjust(44, 43, 1, self.soon),
                 self.post(45, 43, 1))

    def closes(self):
        """A hold that closes 72 until it expires, amended."""
        self.all(self.t(33, 72, 71, 6, p.PENDING | p.CLOSING_DEBIT, timeout=1),
                 self.void(34, 33, 2, p.KEEP_OPEN))
        return self

    def returns(self):
        # Down to depth 6, and no further; then what was given back may be given again.
        self.all(self.t(50, 70, 71, 1000), self.back(51, 50, 700),
                 self.back(52, 51, 600, debit=70, credit=71), self.back(53, 52, 500),
                 self.back(54, 53, 400, debit=70, credit=71), self.back(55, 54, 300),
                 self.back(56, 55, 200, debit=70, credit=71), self.back(57, 56, 1), c7=130)
        self.all(self.back(58, 50, 701), self.back(59, 50, p.U128_MAX), self.back(60, 50, 1),
                 self.back(61, 50, p.U128_MAX), self.back(62, 51, 301, debit=70, credit=71),
                 self.back(63, 51, p.U128_MAX, debit=70, credit=71), self.back(64, 50, 300),
                 self.back(65, 50, 1), c0=128, c2=128, c3=128, c4=128, c7=128)
        assert self.amounts(59, 63) == [700, 300]
        # By another account of the owner; what cannot be returned.
        self.all(self.t(70, 70, 71, 10), self.back(71, 70, 4, credit=72),
                 self.back(72, 71, 1, debit=70, credit=71), self.back(73, 70, 1, credit=74),
                 self.back(73, 70, 1, debit=70, credit=71), self.back(73, 10, 1),
                 self.back(73, 12, 1), self.back(73, 14, 1), self.back(74, 48, 1),
                 self.back(75, 70, 0), self.back(76, 17, p.U128_MAX), self.back(77, 24, p.U128_MAX),
                 c3=138, c4=138, c5=130, c6=130, c7=130, c8=129, c11=128)
        assert self.amounts(76) == [280]
        self.all(self.back(59, 50, p.U128_MAX), self.back(76, 17, p.U128_MAX), c0=46, c1=46)

    def pending_returns(self):
        keep, pends = p.KEEP_OPEN, p.PENDING
        self.all(self.t(80, 70, 71, 500), self.back(81, 80, 100, pends),
                 self.post(82, 81, 30, keep), self.back(83, 82, 10, debit=70, credit=71),
                 self.void(84, 81, 20, keep), self.adjust(85, 81, 15), self.adjust(86, 81, 427),
                 self.post(87, 81, 25), self.back(88, 81, 1, debit=70, credit=71), c6=128, c8=130)
        # 30 and 25 were returned, 10 of them given back: 500 - 45 are left.
        self.all(self.back(89, 80, 456), self.back(90, 80, p.U128_MAX, pends), self.void(91, 90),
                 self.back(92, 80, 300, pends, timeout=self.soon),
                 self.adjust(93, 92, 55, self.soon), self.back(94, 80, 101),
                 self.back(95, 80, 100, pends), self.post(96, 95, 0),
                 c0=128, c5=128)
        assert self.amounts(90, 91) == [455, 455]
        # Of returns of returns, in parts: what is posted deep down counts far above.
        self.all(self.t(100, 70, 71, 900), self.back(101, 100, 800, pends),
                 self.post(102, 101, 700), self.back(103, 102, 600, pends, debit=70, credit=71),
                 self.post(104, 103, 100, keep), self.post(105, 103, 200, keep),
                 self.back(106, 105, 150, pends), self.post(107, 106, 50, keep),
                 self.back(108, 107, 40, pends, debit=70, credit=71), self.post(109, 108, 30, keep),
                 self.back(110, 109, 20, pends), self.post(111, 110, 10),
                 self.back(112, 111, 9, pends, debit=70, credit=71), self.post(113, 112, 8, keep),
                 self.back(114, 113, 1), self.void(115, 112, 1, keep), self.void(116, 106),
                 self.void(117, 108), self.adjust(118, 103, 50), self.post(119, 103, p.U128_MAX),
                 c14=130)

    def facts(self):
        """None of them goes over anything, so none has marks."""
        fact = p.FACT
        self.all(self.t(130, 70, 71, 50, fact), self.t(131, 71, 70, 30, fact | p.PENDING),
                 self.post(132, 131, 30, fact), self.back(133, 130, 20, fact),
                 self.back(134, 130, 10, fact | p.PENDING),
                 self.post(135, 134, 4, fact | p.KEEP_OPEN),
                 self.post(136, 134, p.U128_MAX, fact), self.t(137, 70, 71, 9, fact | p.PENDING),
                 self.post(138, 137, 3, fact | p.KEEP_OPEN), self.post(139, 137, 2, fact),
                 self.t(140, 70, 71, 9, p.PENDING), self.post(141, 140, 9, fact | p.KEEP_OPEN),
                 self.void(142, 140, 0, fact), self.void(142, 140),
                 self.t(143, 70, 71, 9, fact | p.PENDING), self.post(144, 143, p.U128_MAX, fact),
                 c12=7)
        assert self.amounts(136, 144) == [6, 9]

    def over_caps(self):
        fact, keep, pends, last = p.FACT, p.KEEP_OPEN, p.PENDING, p.U128_MAX
        over, negative = p.OVER_CAP, p.NEGATIVE
        # Beyond the limits of 71 and 73: plain, and pending, then raised, posted and voided.
        self.all(self.t(150, 71, 70, 1 << 90), self.t(151, 71, 70, 1 << 90, fact),
                 self.t(152, 74, 73, 1 << 80, fact | pends), self.post(153, 152, 5, keep),
                 self.post(154, 152, 6, keep | fact), self.adjust(155, 152, 1), self.void(156, 152),
                 self.t(157, 71, 73, 3, fact | pends), self.post(158, 157, 2),
                 c0=54, c5=55, m1=negative, m2=negative, m7=negative)
        self.all(self.t(159, 70, 71, 1 << 91))
        # More than is left of a hold: of one without a row, of one that has one, of one that stays.
        self.all(self.t(160, 70, 71, 100, pends), self.post(161, 160, 150, fact),
                 self.t(162, 70, 71, 100, pends), self.post(163, 162, 150, fact | keep),
                 self.post(164, 162, 1, fact | keep), self.adjust(165, 162, 5),
                 self.post(166, 162, 6, fact), self.t(167, 71, 70, 10, pends),
                 self.t(168, 71, 70, 10, pends), self.post(169, 167, 1 << 93, fact),
                 self.post(170, 168, last - 1, fact | keep), self.post(171, 168, 11, fact | keep),
                 self.t(172, 70, 71, 1 << 94), c10=49, m1=over, m3=over, m4=over, m6=over,
                 m9=over | negative, m11=over | negative)
        # More than was left to return: plain, pending, in parts, of returns, beyond a limit.
        self.all(self.t(175, 70, 71, 100), self.back(176, 175, 120, fact),
                 self.back(177, 175, last, fact),
                 self.back(178, 176, 30, fact, debit=70, credit=71), self.back(179, 175, 11),
                 self.back(180, 175, last), self.back(181, 178, 31, fact | pends),
                 self.post(182, 181, 11, keep), self.post(183, 181, 40, fact | keep),
                 self.adjust(184, 181, 1), self.post(185, 181, 2, fact),
                 self.back(186, 183, 5, debit=70, credit=71), c2=128, c4=128, c9=128,
                 m1=over, m6=over, m8=over, m10=over)
        self.all(self.t(190, 70, 71, 10), self.back(191, 190, 1 << 95, fact),
                 self.back(192, 190, 1 << 95, fact | pends), self.void(193, 192, 1, keep),
                 self.post(194, 192, 3), self.t(195, 70, 71, 1 << 97), self.back(196, 161, 150),
                 self.back(197, 151, 1, debit=70, credit=71), self.back(198, 166, 7, fact),
                 m1=over | negative, m2=over | negative, m8=over)
        assert self.amounts(180) == [10]

    def chains(self):
        """What chains that fail did is gone, without a trace; then they are made."""
        fact, keep, pends, linked = p.FACT, p.KEEP_OPEN, p.PENDING, p.LINKED
        self.all(self.t(200, 70, 71, 100, pends, timeout=3600), self.t(201, 70, 71, 100),
                 self.t(202, 70, 71, 100, pends), self.post(203, 202, 1, keep))

        def chain(last):
            return [self.post(204, 200, 10, keep | linked), self.adjust(205, 200, 1, 7200, linked),
                    self.void(206, 200, 2, keep | linked), self.back(207, 201, 60, linked),
                    self.back(208, 207, 30, linked, debit=70, credit=71),
                    self.back(209, 201, 50, pends | linked), self.post(210, 209, 20, keep | linked),
                    self.post(211, 209, 50, fact | linked), self.back(212, 201, 99, fact | linked),
                    self.post(213, 202, 500, fact | linked),
                    self.post(214, 200, 99, fact | keep | linked),
                    self.t(215, 71, 70, 1 << 100, fact | linked), last]

        failed = {"c%d" % i: 1 for i in range(12)}
        self.all(*chain(self.t(216, 70, 99, 1)), c12=22, **failed)
        self.all(*chain(self.post(217, 200, 1, keep)), c12=31, **failed)
        self.all(*chain(self.back(218, 201, 1)), c12=128, **failed)
        good = chain(self.void(219, 200))
        self.all(*good, m7=p.OVER_CAP, m8=p.OVER_CAP, m9=p.OVER_CAP, m10=p.OVER_CAP,
                 m11=p.NEGATIVE)
        self.all(*good, **{"c%d" % i: 46 for i in range(13)})
        self.all(self.t(220, 70, 71, 1 << 101))

    def imported(self):
        newest = self.c.lookup_transfers(self.first + 220)[0]["timestamp"]

        def of_then(*events):
            flags = [struct.unpack_from("<H", event, 118)[0] | p.IMPORTED for event in events]
            return [event[:118] + struct.pack("<HQ", flags[i], newest + 1 + i)
                    for i, event in enumerate(events)]

        self.all(*of_then(
            self.t(230, 70, 71, 90), self.back(231, 230, 40), self.t(232, 70, 71, 50, p.PENDING),
            self.post(233, 232, 20, p.KEEP_OPEN), self.adjust(234, 232, 20),
            self.back(235, 230, 60, p.FACT), self.post(236, 232, 60, p.FACT),
            self.back(237, 230, 60)), c7=128, m5=p.OVER_CAP, m6=p.OVER_CAP)

    def many(self):
        """One request with more rows than two chunks of a snapshot hold."""
        self.all(*[self.t(300 + i, 70, 71, 10 + i) for i in range(60)])
        self.all(*[self.back(400 + i, 300 + i, 1 + i % 10) for i in range(60)])

    def stays(self):
        """What the next run goes on with."""
        keep, pends = p.KEEP_OPEN, p.PENDING
        self.all(self.t(240, 70, 71, 100, pends, timeout=3600), self.post(241, 240, 10, keep),
                 self.t(242, 70, 71, 100, pends), self.t(243, 70, 71, 100),
                 self.back(244, 243, 50, pends, timeout=3600), self.post(245, 244, 20, keep),
                 self.t(246, 70, 71, 100), self.t(247, 70, 71, 100, pends), self.post(248, 247, 50),
                 self.t(249, 70, 71, 9, pends | p.FACT), self.adjust(250, 240, 0, 5000),
                 self.t(251, 71, 70, p.U128_MAX, p.BALANCING_DEBIT))

    def goes_on(self):
        """With the holds and posts of the run before."""
        keep, before = p.KEEP_OPEN, self.before - self.first
        self.all(self.adjust(2, before + 240, 5, 7200), self.post(3, before + 240, 95),
                 self.post(4, before + 242, 30, keep), self.post(5, before + 242, 100, p.FACT),
                 self.post(6, before + 244, 20),
                 self.back(7, before + 245, 20, debit=70, credit=71),
                 self.back(8, before + 246, 100), self.back(9, before + 248, p.U128_MAX),
                 m3=p.OVER_CAP)
        self.all(self.void(500, before + 249), self.back(501, before + 48, 1), c1=129)


# ---- Limits -------------------------------------------------------------------------------------

class Limits(Payments):
    """Limits of accounts 800 .. 864: set, set again, and what they change. Every run does all of
    it, and goes on with holds of the run before it. 801, 803 and 804 can be over-captured; from 860
    on velocity is limited, and 862 goes on counting from run to run."""

    ACCOUNTS = range(800, 865)
    FLAGS = {802: p.DEBITS_MUST_NOT_EXCEED_CREDITS, 803: p.CREDITS_MUST_NOT_EXCEED_DEBITS,
             804: p.HISTORY}

    def __init__(self, c, marks):
        self.c, self.first, self.before, self.marks, self.rows = c, 0, None, marks, {}
        assert c.create_accounts(*[p.account(id=id, ledger=978, code=1, flags=self.FLAGS.get(id, 0))
                                   for id in self.ACCOUNTS])[1] == {}

    def set(self, id, **limits):
        """A row that is to be set with others."""
        return dict(account_id=id, **limits)

    def sets(self, *rows):
        """Sets rows; the last one of an account is its row."""
        first, results = self.c.set_limits(*[p.limits(**row) for row in rows])
        assert results == {}, results
        zeros = dict.fromkeys((name for name, _ in p.LIMITS_FIELDS), 0)
        for i, row in enumerate(rows):
            self.rows[row["account_id"]] = {**zeros, **row, "timestamp": first + i}
        assert self.c.get_limits(*self.rows) == list(self.rows.values())

    def run(self, first, soon=1):
        self.first, self.soon = first, soon
        self.refused()
        self.sets(self.set(801, over_capture=1), self.set(800, over_capture=10000),
                  self.set(801, over_capture=2000))
        self.sets(self.set(802, floor=500), self.set(803, floor=7, over_capture=100000),
                  self.set(804, transfer_max=1 << 60, over_capture=1000),
                  self.set(806, balance_max=100), self.set(807, flags=p.BLOCK_DEBITS),
                  self.set(808), self.set(809, flags=p.BLOCK_CREDITS))
        if self.before is not None:
            self.goes_on()
        self.over_captures()
        self.guarded()
        self.blocked()
        self.many()
        self.velocity()
        self.all(self.t(240, 800, 801, 100, p.PENDING), self.post(241, 240, 40, p.KEEP_OPEN),
                 self.t(242, 800, 801, 100, p.PENDING))
        self.before = first
        return self

    def refused(self):
        day, months = p.rule(1, p.DAYS, p.CALENDAR), p.rule(1, p.MONTHS, p.SLIDING)
        rows = [dict(account_id=800, timestamp=1, reserved=1),
                dict(account_id=800, reserved=1 << 15, flags=8),
                dict(account_id=800, reserved=1), dict(flags=8), dict(floor=1),
                dict(account_id=p.U128_MAX, over_capture=100001),
                dict(account_id=9999, over_capture=100001, rule_0=months),
                dict(account_id=9999, rule_0=day, rule_1=months, maximum_2=1),
                dict(account_id=9999, rule_0=day, maximum_1=1, rule_2=months),
                dict(account_id=800, rule_3=day - 1), dict(account_id=800, rule_0=p.rule(1, 5, 1)),
                dict(account_id=800, rule_1=p.rule(1, 0, 4)), dict(account_id=800, rule_2=1),
                dict(account_id=800, rule_2=1 << 16), dict(account_id=800, rule_2=1 << 28),
                dict(account_id=800, rule_2=1 << 31), dict(account_id=800, rule_1=months),
                dict(account_id=9999, floor=1), dict(account_id=800, floor=1)]
        found = self.c.set_limits(*[p.limits(**row) for row in rows])[1]
        assert found == dict(enumerate((3, 4, 4, 5, 6, 7, 9, 11, 13, 12, 11, 11, 13, 13, 13, 13, 11,
                                        8, 10))), found
        assert self.c.get_limits(9999, 859) == ([self.rows[859]] if 859 in self.rows else [])

    def goes_on(self):
        before = self.before - self.first
        self.sets(self.set(801), self.set(801, over_capture=2000))
        self.all(self.post(2, before + 240, 81), self.post(3, before + 240, 80),
                 self.post(4, before + 242, 120, p.KEEP_OPEN), self.post(5, before + 242, 1),
                 self.void(6, before + 242), c0=136, c3=136)

    def over_captures(self):
        keep, pends, last = p.KEEP_OPEN, p.PENDING, p.U128_MAX
        # Of all, of parts, of a hold that was raised; the most that there may be, and more.
        self.all(self.t(10, 800, 801, 100, pends), self.post(11, 10, 121), self.post(12, 10, 120),
                 self.t(13, 800, 801, 100, pends), self.post(14, 13, 90, keep),
                 self.post(15, 13, 31, keep), self.post(16, 13, 30, keep), self.post(17, 13, 1),
                 self.adjust(18, 13, 10), self.post(19, 13, 12, keep), self.post(20, 13, 0),
                 self.t(21, 800, 801, 100, pends), self.post(22, 21, last),
                 self.t(23, 800, 801, 1 << 100, pends),
                 self.post(24, 23, (1 << 100) + (1 << 96)), c1=136, c5=136, c7=136)
        assert self.amounts(22) == [100]
        # Into and out of an account that keeps its history, with parts given back, and a fact.
        self.all(self.t(25, 800, 804, 50, pends), self.post(26, 25, 55, keep), self.void(27, 25),
                 self.t(28, 804, 801, 50, pends), self.post(29, 28, 60),
                 self.t(30, 800, 804, 50, pends, timeout=self.soon), self.void(31, 30, 20, keep),
                 self.post(32, 30, 35, keep), self.post(33, 30, 20, keep),
                 self.t(34, 804, 801, 50, pends), self.post(35, 34, 70, p.FACT | keep),
                 self.post(36, 34, 0), m10=p.OVER_CAP)
        # Not of a return, not without limits, nor with those of the debit account alone; what would
        # go beyond an account's own limit.
        self.all(self.t(37, 800, 801, 100), self.back(38, 37, 50, pends, debit=801, credit=800),
                 self.post(39, 38, 51), self.post(39, 38, 50), self.t(40, 800, 805, 10, pends),
                 self.post(41, 40, 11), self.post(41, 40, 10), self.t(42, 800, 803, 5, pends),
                 self.post(43, 42, 8), self.post(44, 42, 7), self.t(45, 803, 800, 7),
                 c2=31, c5=31, c8=55)
        # What a chain that fails did is gone.
        chain = [self.t(46, 800, 801, 100, pends | p.LINKED),
                 self.post(47, 46, 110, keep | p.LINKED)]
        self.all(*chain, self.t(48, 800, 9999, 1), c0=1, c1=1, c2=22)
        self.all(*chain, self.post(49, 46, 10))
        # As limits are when it is posted.
        self.all(self.t(50, 800, 801, 100, pends))
        self.sets(self.set(801, floor=0))
        self.all(self.post(51, 50, 101), c0=31)
        self.sets(self.set(801, over_capture=2000))
        self.all(self.post(51, 50, 101))
        self.all(self.post(51, 50, 101), self.post(51, 50, 100), self.post(12, 10, 120),
                 c0=46, c1=39, c2=46)

    def guarded(self):
        """Floors and the largest amounts: refused, and marked."""
        fact = p.FACT
        self.all(self.t(60, 802, 800, 501), self.t(61, 802, 800, 500),
                 self.t(62, 802, 800, 1, fact), self.t(63, 800, 802, 501),
                 self.t(64, 800, 803, 8), self.t(65, 800, 803, 7),
                 self.t(66, 800, 803, 1, fact | p.PENDING), self.void(67, 66),
                 self.t(68, 803, 800, 7), self.t(69, 800, 804, (1 << 60) + 1),
                 self.t(70, 800, 804, (1 << 60) + 1, fact), self.t(71, 800, 806, 101),
                 self.t(72, 800, 806, 101, fact), self.t(73, 806, 800, 101),
                 c0=54, c4=55, c9=137, c11=135, m2=p.NEGATIVE, m6=p.NEGATIVE, m10=p.OVER_TRANSFER,
                 m12=p.OVER_BALANCE)

    def blocked(self):
        fact, pends = p.FACT, p.PENDING
        self.all(self.t(80, 807, 800, 1), self.t(81, 807, 800, 1, fact), self.t(82, 800, 807, 1),
                 self.t(83, 800, 809, 1), self.t(84, 809, 800, 1), self.t(85, 800, 808, 10, pends),
                 self.t(86, 800, 808, 10, pends), self.t(87, 800, 808, 10, pends),
                 c0=133, c3=133, m1=p.BLOCKED)
        self.sets(self.set(808, flags=p.FROZEN, over_capture=100000))
        self.all(self.post(88, 85, 10), self.post(89, 85, 10, fact), self.post(90, 86, 11, fact),
                 self.void(91, 87), self.t(92, 808, 800, 1), self.t(93, 800, 808, 1, fact),
                 c0=133, c4=133, m1=p.BLOCKED, m2=p.BLOCKED | p.OVER_CAP, m5=p.BLOCKED)

    def many(self):
        """More rows than a chunk of a snapshot holds, in one request, some of them twice."""
        rows = [self.set(id, balance_max=self.first + id, transfer_max=id << 100,
                         over_capture=id % 7, flags=id % 8) for id in self.ACCOUNTS[10:60]]
        self.sets(*rows, *rows[::5])

    def velocity(self):
        """Verdicts with windows so long that none of them ends here, and windows that do."""
        amounts, pends, over, fact = p.AMOUNT, p.PENDING, p.OVER_VELOCITY, p.FACT
        self.sets(self.set(860), self.set(861), self.set(863), self.set(864))
        self.sets(
            self.set(860, maximum_0=100, rule_0=p.rule(65535, p.DAYS, p.CALENDAR, p.REJECT, amounts),
                     maximum_1=3, rule_1=p.rule(65535, p.DAYS, p.SLIDING, p.HOLD)),
            self.set(861, maximum_3=150,
                     rule_3=p.rule(1200, p.MONTHS, p.CALENDAR, p.MARK, amounts | p.OF_CREDITS)),
            self.set(862, rule_0=p.rule(1, p.SECONDS, p.SLIDING),
                     rule_1=p.rule(7, p.DAYS, p.CALENDAR, p.OFF, amounts), maximum_2=1000,
                     rule_2=p.rule(1, p.MINUTES, p.RATE, p.OFF, amounts),
                     rule_3=p.rule(1, p.MONTHS, p.CALENDAR, p.OFF, amounts | p.OF_CREDITS)),
            self.set(864, maximum_0=p.U128_MAX >> 64,
                     rule_0=p.rule(65535, p.DAYS, p.SLIDING, p.REJECT, amounts)),
            self.set(863, rule_0=p.rule(1, p.HOURS, p.RATE, p.MARK), maximum_1=2,
                     rule_1=p.rule(2, p.HOURS, p.RATE, p.REJECT)))
        self.all(self.t(110, 860, 861, 60), self.t(111, 860, 861, 41),
                 self.t(112, 860, 861, 40, pends), self.t(113, 860, 861, 1, p.NO_LIMIT),
                 self.t(114, 860, 861, 0), self.t(115, 860, 861, 0),
                 self.t(116, 860, 861, 0, pends), self.t(117, 860, 861, 70, fact),
                 self.adjust(118, 112, 1), self.adjust(119, 112, 0), self.t(115, 860, 861, 0),
                 self.t(115, 860, 861, 0, pends), self.t(116, 860, 861, 0), self.void(120, 115),
                 self.post(121, 112, 40), self.void(122, 116), c1=132, m5=over | p.HELD, m6=over,
                 m7=over, c8=132, c9=132, c10=46, c11=46, c12=36)
        used = self.c.get_velocity(9999, 860, 861, 805)
        assert [row["account_id"] for row in used] == [860, 861]
        assert [used[0]["used_%d" % s] for s in p.SLOTS] == [170, 6, 0, 0]
        assert [used[0]["maximum_%d" % s] for s in p.SLOTS] == [100, 3, 0, 0]
        assert used[1]["used_3"] == 170 and used[1]["end_3"] == 3155760000 * 10 ** 9
        self.all(self.t(130, 863, 800, 1), self.t(131, 863, 800, 1), self.t(132, 863, 800, 1),
                 self.t(133, 862, 800, 5, p.LINKED), self.t(134, 863, 800, 1),
                 self.t(135, 862, 800, 7), self.t(136, 800, 862, 9, pends),
                 self.back(137, 135, 7, debit=800, credit=862), m0=over, m1=over, c2=132, c3=1,
                 c4=132)
        self.all(self.t(138, 864, 800, 1 << 70), self.t(139, 864, 800, 1, fact),
                 self.adjust(140, 136, 3), m1=over)


# ---- Settlement ---------------------------------------------------------------------------------

class Settling(Payments):
    """What is posted to accounts 870 .. 914, all of which settle but 872, within the epochs of
    ledger 978. Every run ends two of them."""

    ACCOUNTS = range(870, 915)

    def __init__(self, c, marks):
        self.c, self.first, self.epoch, self.begin, self.marks = c, 0, 0, 0, marks
        self.now, self.past = {}, {}  # debits, credits and count by account, if there were any
        assert c.create_accounts(*[
            p.account(id=id, ledger=978, code=1, flags=p.SETTLES if id != 872 else 0)
            for id in self.ACCOUNTS])[1] == {}
        assert c.create_accounts(
            p.account(id=4000, ledger=978, code=1, flags=p.SETTLES | p.LINKED),
            p.account(id=4001, ledger=978, code=1, flags=2 * p.SETTLES))[1] == {0: 1, 1: 5}
        self.check()

    def posted(self, id, debits, credits, count):
        self.now[id] = [sum(two) for two in zip(self.now.get(id, (0, 0, 0)),
                                                (debits, credits, count))]

    def cut(self):
        first, results = self.c.cut_off(p.cut_off(self.first + self.epoch, 0),
                                        p.cut_off(978, self.epoch), p.cut_off(978, self.epoch))
        assert results == {2: 7}, results
        self.epoch, self.begin = self.epoch + 1, first + 1
        self.past, self.now = self.now, {}
        self.check()

    def check(self):
        wanted = []
        for id in (871, 870, *self.ACCOUNTS[3:]):
            now, past = self.now.get(id, (0, 0, 0)), self.past.get(id, (0, 0, 0))
            wanted.append(dict(account_id=id, debits=now[0], credits=now[1], debits_before=past[0],
                               credits_before=past[1], count=now[2], count_before=past[2],
                               epoch=self.epoch, begin=self.begin, ledger=978, reserved=0))
        found = self.c.get_settlements(9999, 871, 870, 872, 4000, *self.ACCOUNTS[3:])
        assert found == wanted, (found, wanted)

    def run(self, first, soon=1):
        self.first = first
        self.refused()
        keep, pends, linked = p.KEEP_OPEN, p.PENDING, p.LINKED
        self.all(self.t(10, 870, 871, 100), self.t(11, 871, 872, 30),
                 self.back(12, 10, 40, debit=871, credit=870), self.t(13, 870, 871, 70, pends),
                 self.post(14, 13, 20, keep), self.t(15, 870, 872, 0),
                 self.t(16, 871, 870, 5, p.FACT | pends), self.adjust(17, 16, 3), self.void(18, 16),
                 self.t(19, 870, 871, 9, linked), self.post(20, 13, 1, keep | linked),
                 self.t(21, 870, 4242, 1), self.void(22, 13, 4, keep), c9=1, c10=1, c11=22)
        self.posted(870, 120, 40, 4)
        self.posted(871, 70, 120, 4)
        self.check()
        self.cut()
        self.all(self.post(30, 13, 25), self.t(31, 871, 870, 1 << 100, p.FACT))
        self.posted(870, 25, 1 << 100, 2)
        self.posted(871, 1 << 100, 25, 2)
        self.all(*[self.t(id - 800, 870, id, id) for id in self.ACCOUNTS[3:]])
        self.posted(870, sum(self.ACCOUNTS[3:]), 0, len(self.ACCOUNTS[3:]))
        for id in self.ACCOUNTS[3:]:
            self.posted(id, 0, id, 1)
        self.check()
        self.cut()
        self.many()
        return self

    def refused(self):
        epoch, ledger = self.epoch, 978
        rows = [p.cut_off(0, 9, timestamp=1, reserved=1, flags=1),
                p.cut_off(0, 9, reserved=1 << 831, flags=1), p.cut_off(0, 9, reserved_1=1, flags=1),
                p.cut_off(0, 9, flags=1), p.cut_off(0, 9), p.cut_off(ledger, epoch + 1),
                p.cut_off(ledger, (1 << 64) - 1), p.cut_off(4242, 1)]
        found = self.c.cut_off(*rows)[1]
        assert found == dict(enumerate((3, 4, 4, 5, 6, 8, 8, 8))), found

    def many(self):
        """More epochs than a chunk of a snapshot holds, once."""
        found = self.c.cut_off(*[p.cut_off(5000 + i, 0) for i in range(170)])[1]
        assert found in ({}, dict.fromkeys(range(170), 7)), found

    def looked_up(self):
        return self.c.get_settlements(*self.ACCOUNTS)


# ---- Leases and schedules -----------------------------------------------------------------------

class Leasing(Payments):
    """Who may move what between accounts 920 and 921."""

    ACCOUNTS = (920, 921)

    def __init__(self, c, marks):
        self.c, self.first, self.marks = c, 0, marks
        assert c.create_accounts(*[p.account(id=id, ledger=978, code=1) for id in self.ACCOUNTS])[
            1] == {}

    def fenced(self, key, token, *events):
        return self.c.create_fenced(p.fence(key, token), *events)[1]

    def move(self, id, **fields):
        return transfer(self.first + id, 920, 921, 1, **fields)

    def act(self, *events, results=(0,)):
        leases = self.c.lease(*events)
        assert tuple(lease["result"] for lease in leases) == results, leases
        return leases

    def run(self, first):
        self.first, key, c = first, first, self.c
        self.refused()
        mine, other, theirs = self.act(
            p.lease(key, 1, p.ACQUIRE, timeout_ms=60000), p.lease(key + 1, 1, p.ACQUIRE, timeout_ms=1),
            p.lease(key, 2, p.ACQUIRE, timeout_ms=60000), results=(0, 0, 11))
        assert mine["deadline"] == mine["timestamp"] + 60 * 10 ** 9
        assert other["token"] > mine["token"] > 0
        assert (theirs["owner"], theirs["token"], theirs["deadline"], theirs["timestamp"]) == (
            1, 0, mine["deadline"], 0)
        token = mine["token"]
        assert self.fenced(key, token, self.move(1), self.move(2, flags=p.PENDING)) == {}
        again, = self.act(p.lease(key, 1, p.ACQUIRE, timeout_ms=50000))
        post = transfer(first + 3, 0, 0, p.U128_MAX, pending_id=first + 2, ledger=0, code=0,
                        flags=p.POST)
        adjust = transfer(first + 4, 0, 0, 1, pending_id=first + 2, ledger=0, code=0,
                          flags=p.PENDING | p.ADJUST)
        assert self.fenced(key, token, self.move(1), self.move(5), post, adjust,
                           self.move(6, flags=p.LINKED), self.move(7),
                           transfer(first + 8, 920, 4242, 1)) == {
            0: 46, 1: 134, 2: 134, 3: 134, 4: 134, 5: 1, 6: 22}
        assert self.fenced(key, again["token"], self.move(5), post) == {}
        renewed, late = self.act(p.lease(key, 1, p.RENEW, token=again["token"], timeout_ms=30000),
                                 p.lease(key, 1, p.RENEW, token=token, timeout_ms=30000),
                                 results=(0, 12))
        assert renewed["deadline"] < again["deadline"] and renewed["token"] == again["token"]
        assert (late["token"], late["deadline"], late["timestamp"]) == (0, 0, 0)
        found = c.get_leases(key, 4242, key)
        assert found == 2 * [{**dict.fromkeys((name for name, _ in p.LEASE_FIELDS), 0), "key": key,
                              "owner": 1, "token": again["token"],
                              "deadline": renewed["deadline"]}], found
        released, = self.act(p.lease(key, 1, p.RELEASE, token=again["token"]))
        assert (released["deadline"], released["token"]) == (0, again["token"])
        assert self.fenced(key, again["token"], self.move(9)) == {0: 134}
        self.act(p.lease(key, 1, p.RENEW, token=again["token"], timeout_ms=1),
                 p.lease(key, 2, p.ACQUIRE, timeout_ms=60000), results=(12, 0))
        assert self.fenced(4242, token, self.move(9)) == self.fenced(key, 0, self.move(9)) == {
            0: 134}
        assert c.create_transfers(self.move(9))[1] == {}
        assert self.fenced(key, token) == {}
        time.sleep(0.01)  # the lease of key + 1 is over, and so its row may be another's
        self.act(*[p.lease(key + 100 + i, 3, p.ACQUIRE, timeout_ms=1) for i in range(100)],
                 results=(0,) * 100)
        return self

    def refused(self):
        most = 86400000
        events = [dict(key=0, owner=0, action=0, timestamp=1, row=1), dict(key=0, row=1),
                  dict(deadline=1), dict(flags=1), dict(result=1), dict(reserved=1 << 463),
                  dict(key=0, owner=0), dict(key=p.U128_MAX, owner=0), dict(owner=0, action=0),
                  dict(action=0), dict(action=4, timeout_ms=0), dict(timeout_ms=0),
                  dict(timeout_ms=most + 1, token=1), dict(action=p.RENEW, timeout_ms=0),
                  dict(action=p.RELEASE, timeout_ms=1), dict(token=1),
                  dict(action=p.RENEW, timeout_ms=most), dict(action=p.RELEASE, timeout_ms=0)]
        found = self.c.lease(*[p.lease(**{"key": 4242, "owner": 1, "action": p.ACQUIRE,
                                          "timeout_ms": 5, **event}) for event in events])
        assert [lease["result"] for lease in found] == [
            3, 4, 4, 4, 4, 4, 5, 6, 7, 8, 8, 9, 9, 9, 9, 10, 12, 12], found
        fence = p.fence(1, 1, reserved=1)
        for body, status in ((fence, 38), (fence[:31], 16), (p.fence(1, 1) + b"x", 16)):
            expected = self.c.send(p.CREATE_TRANSFERS, body, flags=p.FENCED)
            assert self.c.reply()[:3] == (p.CREATE_TRANSFERS, status, expected)


class Scheduling(Payments):
    """What is moved between accounts 930 and 931 by itself; 931 has to have it first."""

    ACCOUNTS = (930, 931, 932)

    def __init__(self, c, marks):
        self.c, self.first, self.marks, self.ids = c, 0, marks, []
        assert c.create_accounts(
            p.account(id=930, ledger=978, code=1),
            p.account(id=931, ledger=978, code=1, flags=p.DEBITS_MUST_NOT_EXCEED_CREDITS),
            p.account(id=932, ledger=7, code=1))[1] == {}

    def schedule(self, id, first, rule, interval, debit=930, credit=931, amount=1, flags=0,
                 **values):
        self.ids.append(self.first + id)
        made = p.transfer(debit_account_id=debit, credit_account_id=credit, amount=amount,
                          ledger=978, code=7, flags=flags, user_data_64=id)
        return p.schedule(made, id=self.first + id, first=time_ns(first), rule=rule,
                          interval=interval, **values)

    def wait(self):
        """Until nothing is due within the next minute."""
        for _ in range(1000):
            found = self.c.get_schedules(*self.ids)
            later = time.time_ns() + 60 * 10 ** 9
            if all(half["next"] == 0 or half["next"] > later for half, _ in found):
                return found
            time.sleep(0.02)
        raise AssertionError(found)

    def run(self, first):
        self.first, c, before = first, self.c, len(self.ids)
        self.refused()
        events = (
            self.schedule(1, "2024-01-31", p.BY_MONTHS, 1, day=31, occurrences=14),
            self.schedule(2, "2024-02-29", p.BY_YEARS, 1, day=29, end=time_ns("2026-03-01")),
            self.schedule(3, "2024-02-28", p.BY_MONTHS, 3, day=28, occurrences=2,
                          flags=p.PENDING | p.NO_LIMIT),
            self.schedule(4, "2024-06-30", p.BY_SECONDS, 86400 * 7, occurrences=100),
            self.schedule(5, "2024-01-01", p.BY_SECONDS, 60, 931, 930, 10 ** 9, occurrences=1,
                          retries=2, retry_0=1, retry_1=1),
            self.schedule(6, "2024-01-01", p.BY_SECONDS, 60, 931, 930, 10 ** 9, occurrences=1,
                          flags=p.BALANCING_DEBIT),
            self.schedule(7, "2200-01-31", p.BY_MONTHS, 1, day=31),
            self.schedule(8, "2200-02-28", p.BY_MONTHS, 1, day=30),
            self.schedule(9, "2024-01-01", p.BY_SECONDS, (1 << 32) - 1, retries=1, retry_0=1 << 31))
        assert c.create_schedules(*events)[1] == {}
        assert c.create_schedules(*events)[1] == dict.fromkeys(range(9), 9)
        assert c.create_schedules(self.schedule(4, "2024-06-30", p.BY_SECONDS, 86400))[1] == {0: 8}
        self.ids.pop()
        found = {half["id"] - first: half for half, _ in self.wait()[before:]}
        made = [found[i]["made"] for i in range(1, 10)]
        assert made == [14, 3, 2, 100, 0, 1, 0, 0, 1], made
        assert [found[i]["state"] for i in range(1, 10)] == [2, 2, 2, 2, 2, 2, 1, 1, 1], found
        assert found[5]["last_result"] == 54 and found[5]["last_id"] == p.attempt_id(first + 5, 0, 2)
        ids = [p.attempt_id(first + 1, k) for k in range(15)]
        assert [row["id"] for row in c.lookup_transfers(*ids)] == ids[:14]
        assert c.cancel_schedules(first + 8, first + 1, 4242, first + 8)[1] == {1: 22, 2: 21, 3: 22}
        (half, made), = c.get_schedules(first + 8, 4242)
        assert (half["state"], half["next"], half["day"]) == (3, 0, 30)
        assert (made["amount"], made["code"], made["user_data_64"]) == (1, 7, 8)
        return self

    def refused(self):
        good = dict(first="2024-01-31", rule=p.BY_MONTHS, interval=1, day=31)
        rows = ((3, dict(timestamp=1, flags=1)), (5, dict(flags=1, made=1)), (4, dict(next=1)),
                (4, dict(state=1)), (4, dict(reserved=1 << 39)), (4, dict(transfer_flags=1)),
                (4, dict(reserved_1=1)), (10, dict(rule=4)), (10, dict(rule=0, interval=0)),
                (11, dict(interval=0)), (12, dict(first="1970-01-01")),
                (13, dict(rule=p.BY_SECONDS)), (13, dict(day=0)), (13, dict(day=32)),
                (13, dict(day=30)), (13, dict(first="2024-02-28", day=31)),
                (14, dict(end=1)), (15, dict(retries=5)), (15, dict(retry_0=1)),
                (15, dict(retries=1)), (16, dict(transfer=p.LINKED)), (16, dict(transfer=p.VOID)),
                (17, dict(credit=930)), (17, dict(debit=0)), (18, dict(debit=4242)),
                (19, dict(credit=4242)), (20, dict(debit=932, credit=931)))
        events = []
        for i, (_, row) in enumerate(rows):
            row = {**good, **row}
            flags = row.pop("transfer", 0)
            event = self.schedule(900 + i, row.pop("first"), row.pop("rule"), row.pop("interval"),
                                  row.pop("debit", 930), row.pop("credit", 931),
                                  **{k: v for k, v in row.items() if k != "flags"})
            fields = p.decode(p.SCHEDULE_FIELDS, event)
            fields["flags"] = row.get("flags", 0)
            made = {**p.decode(p.TRANSFER_FIELDS, event[128:]), "flags": flags}
            events.append(p.schedule(p.transfer(**made), **fields))
            self.ids.pop()
        found = self.c.create_schedules(*events)[1]
        assert found == {i: code for i, (code, _) in enumerate(rows)}, found
        for id, code in ((0, 6), (p.U128_MAX, 7)):
            fields = {**p.decode(p.SCHEDULE_FIELDS, events[0]), "timestamp": 0, "flags": 0, "id": id}
            assert self.c.create_schedules(p.schedule(events[0][128:], **fields))[1] == {0: code}


def time_ns(date):
    return int(datetime.datetime.fromisoformat(date + "T00:00:00+00:00").timestamp()) * 10 ** 9


# ---- Reading: queries and changes ---------------------------------------------------------------

BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


class Followed:
    """A ledger that is kept from read_changes alone, every balance worked out again."""

    def __init__(self):
        self.ordinal = 0
        self.ordinals = []
        self.accounts = {}
        self.transfers = []
        self.holds = {}  # whose amount is what is left
        self.marks = {}
        self.limits = {}
        self.epochs = {}  # by ledger number
        self.leases, self.schedules, self.fired = {}, {}, None
        self.history = {}

    def balances(self, account_id):
        return {name: self.accounts[account_id][name] for name in BALANCES}

    def move(self, transfer, side, amount):
        self.accounts[transfer["debit_account_id"]]["debits_" + side] += amount
        self.accounts[transfer["credit_account_id"]]["credits_" + side] += amount

    def close(self, transfer, closed):
        for flag, account_id in ((64, "debit_account_id"), (128, "credit_account_id")):
            if transfer["flags"] & flag:
                account = self.accounts[transfer[account_id]]
                account["flags"] = account["flags"] & ~32 | (32 if closed else 0)

    def resolve(self, record, kind):
        """What a post, a void or an expiry takes from its hold."""
        hold, amount = self.holds[record["pending_id"]], record["amount"]
        keeps = record["flags"] & p.KEEP_OPEN
        assert all(record[name] == hold[name] for name in
                   ("debit_account_id", "credit_account_id", "ledger"))
        limits = self.limits.get(record["credit_account_id"], {"over_capture": 0})
        over = kind == p.PENDING_POSTED and limits["over_capture"] > 0
        assert amount <= hold["amount"] or record["flags"] & p.FACT or over
        part = min(amount, hold["amount"]) if keeps else hold["amount"]
        self.move(hold, "pending", -part)
        hold["amount"] -= part
        if kind == p.PENDING_POSTED:
            self.move(record, "posted", amount)
        else:
            assert amount == part
        if kind == p.PENDING_EXPIRED:
            assert (record["id"], record["code"], record["flags"]) == (0, 0, 0)
        if not keeps:
            del self.holds[record["pending_id"]]
            if kind != p.PENDING_POSTED:
                self.close(hold, False)

    def create(self, record):
        """A plain or pending transfer, or one that adjusts a hold."""
        if record["flags"] & p.ADJUST:
            self.holds[record["pending_id"]]["amount"] += record["amount"]
        elif record["flags"] & p.PENDING:
            self.holds[record["id"]] = dict(record)
            self.close(record, True)
        self.move(record, "pending" if record["flags"] & p.PENDING else "posted", record["amount"])

    def lease(self, lease):
        known = self.leases.get(lease["key"], {"token": 0})
        if lease["action"] == p.ACQUIRE:
            assert lease["token"] > known["token"]
        else:
            assert lease["token"] == known["token"] and lease["owner"] == known["owner"]
        after = 0 if lease["action"] == p.RELEASE else (
            lease["timestamp"] + lease["timeout_ms"] * 10 ** 6)
        assert (lease["deadline"], lease["row"], lease["result"]) == (after, 0, 0)
        self.leases[lease["key"]] = lease

    def fire(self, firing):
        """An attempt is the one that the one before it has announced."""
        row = self.schedules[firing["schedule_id"]]
        assert all(firing[name] == row[name] for name in ("occurrence", "attempt"))
        assert firing["due"] == row["next"] <= firing["timestamp"]
        assert firing["transfer_id"] == p.attempt_id(row["id"], row["occurrence"], row["attempt"])
        following = log_format.Schedules.advance(row, firing)
        assert following == tuple(firing[name] for name in
                                  ("occurrence_next", "attempt_next", "next")), firing
        row["occurrence"], row["attempt"], row["next"] = following
        self.fired = firing["transfer_id"] if firing["result"] == 0 else None

    def other(self, kind, record):
        """What is about leases and schedules."""
        if kind == p.LEASE_CHANGED:
            self.lease(record)
        elif kind == p.SCHEDULE_CREATED:
            assert (record["state"], record["next"], record["flags"]) == (p.ACTIVE, record["first"], 0)
            self.schedules[record["id"]] = record
        elif kind == p.SCHEDULE_CANCELLED:
            told = {"schedule_id": record["schedule_id"], "timestamp": record["timestamp"]}
            assert record == {**dict.fromkeys(record, 0), **told}
            assert self.schedules[record["schedule_id"]]["next"] != 0
            self.schedules[record["schedule_id"]]["next"] = 0
        else:
            assert (record["code"], record["flags"], record["row"], record["reserved"]) == (0, 0, 0, 0)
            self.fire(record)

    def apply(self, change):
        kind, record = change["kind"], change["record"]
        self.ordinals.append(change["ordinal"])
        assert self.fired is None or (kind, record["id"]) == (p.TRANSFER_CREATED, self.fired)
        self.fired = None
        if p.LEASE_CHANGED <= kind <= p.SCHEDULE_FIRED:
            self.other(kind, record)
            assert change["marks"] == 0
            assert not any(change[side][name] for side in ("debit", "credit") for name in BALANCES)
            return
        if kind == p.ACCOUNT_CREATED:
            self.accounts[record["id"]] = record
            self.history[record["id"]] = []
            assert not any(record[name] for name in BALANCES)
            return
        if kind == p.LIMITS_SET:
            self.limits[record["account_id"]] = record
            assert change["marks"] == 0
            assert not any(change[side][name] for side in ("debit", "credit") for name in BALANCES)
            return
        if kind == p.CUT_OFF_DONE:
            assert record["epoch"] == self.epochs.get(record["ledger"], 0)
            assert record["ledger"] != 0 and record["timestamp"] != 0
            assert (record["reserved"], record["reserved_1"], record["flags"]) == (0, 0, 0)
            self.epochs[record["ledger"]] = record["epoch"] + 1
            assert change["marks"] == 0
            assert not any(change[side][name] for side in ("debit", "credit") for name in BALANCES)
            return
        if kind == p.TRANSFER_CREATED:
            self.create(record)
        else:
            self.resolve(record, kind)
        for side in ("debit", "credit"):
            account_id = record[side + "_account_id"]
            balances = self.balances(account_id)
            assert change[side] == balances, change
            if kind != p.PENDING_EXPIRED:
                self.history[account_id].append((record, balances))
        if kind != p.PENDING_EXPIRED:
            self.transfers.append(record)
        if change["marks"] != 0:
            self.marks[record["id"]] = change["marks"]

    def follow(self, c, limit):
        while True:
            self.ordinal, end, changes = c.read_changes(ordinal=self.ordinal, limit=limit)
            for change in changes:
                self.apply(change)
            if self.ordinal == end:
                return self


def pages(query, reversed_flag, **filter):
    """All that a filter finds, page by page, as docs/protocol.md says."""
    found = []
    while True:
        page = query(**filter)
        found += page
        if len(page) < filter["limit"]:
            return found
        if not filter["flags"] & reversed_flag:
            filter["timestamp_min"] = page[-1]["timestamp"] + 1
        elif page[-1]["timestamp"] > max(1, filter.get("timestamp_min", 0)):
            filter["timestamp_max"] = page[-1]["timestamp"] - 1
        else:
            return found
        if filter.get("timestamp_max") and filter.get("timestamp_min", 0) > filter["timestamp_max"]:
            return found


def both_ways(query, reversed_flag, limit, expected, **filter):
    flags = filter.pop("flags", 0)
    assert pages(query, reversed_flag, limit=limit, flags=flags, **filter) == expected
    assert pages(query, reversed_flag, limit=limit, flags=flags | reversed_flag,
                 **filter) == expected[::-1]


def queries(c, books):
    """What the filters find, against what the changes say."""
    both_ways(c.query_accounts, p.QUERY_REVERSED, 4, list(books.accounts.values()))
    both_ways(c.query_transfers, p.QUERY_REVERSED, 8190, books.transfers)
    few = [t for t in books.transfers if t["id"] < 1000]
    assert [t["timestamp"] for t in few] == sorted({t["timestamp"] for t in few})
    bounds = dict(timestamp_min=few[3]["timestamp"], timestamp_max=few[-4]["timestamp"])
    both_ways(c.query_transfers, p.QUERY_REVERSED, 3,
              [t for t in few[3:-3] if t["code"] == 9], code=9, **bounds)
    for name, value in (("user_data_128", p.U128_MAX - 1), ("user_data_64", 7),
                        ("user_data_32", 5)):
        expected = [t for t in few if t[name] == value]
        assert expected
        both_ways(c.query_transfers, p.QUERY_REVERSED, 2, expected, **{name: value})
        both_ways(c.query_transfers, p.QUERY_REVERSED, 2, [], ledger=840, **{name: value})
    assert c.query_accounts(ledger=840, limit=9) == [books.accounts[14]]
    assert c.query_accounts(user_data_64=50, limit=9) == [books.accounts[50]]
    for account_id, account in books.accounts.items():
        history = books.history[account_id]
        limit = 2 + len(history) // 20
        for flags, side in ((p.DEBITS, "debit"), (p.CREDITS, "credit"),
                            (p.DEBITS | p.CREDITS, None)):
            found = [(t, b) for t, b in history
                     if side is None or t[side + "_account_id"] == account_id]
            both_ways(c.get_account_transfers, p.REVERSED, 8190, [t for t, _ in found],
                      account_id=account_id, flags=flags)
            if account["flags"] & p.HISTORY:
                both_ways(c.get_account_balances, p.REVERSED, limit,
                          [{**b, "timestamp": t["timestamp"], "reserved": 0} for t, b in found],
                          account_id=account_id, flags=flags)
                both_ways(c.get_account_balances, p.REVERSED, limit,
                          [{**b, "timestamp": t["timestamp"], "reserved": 0} for t, b in found
                           if t["code"] == 9], account_id=account_id, flags=flags, code=9)
    assert c.get_account_transfers(account_id=99, limit=1, flags=p.DEBITS) == []
    assert c.get_account_balances(account_id=99, limit=1, flags=p.DEBITS) == []


def history(c):
    """Accounts 50, which keeps its history, and 51: all kinds of transfers between them."""
    assert c.create_accounts(p.account(id=50, ledger=978, code=1, flags=p.HISTORY, user_data_64=50),
                             p.account(id=51, ledger=978, code=1))[1] == {}
    end = {"ledger": 0, "code": 0}
    assert codes(c, transfer(500, 50, 51, 10, code=9, user_data_64=7, user_data_32=5),
                 transfer(501, 51, 50, 4, user_data_128=p.U128_MAX - 1),
                 transfer(502, 50, 51, 5, flags=p.PENDING, code=9),
                 transfer(503, 51, 50, 6, flags=p.PENDING, user_data_64=7),
                 transfer(504, 50, 51, 1, flags=p.PENDING, timeout=1, code=9),
                 transfer(505, 0, 0, 2, flags=p.POST, pending_id=502, **end),
                 transfer(506, 0, 0, 0, flags=p.VOID, pending_id=503, **end),
                 transfer(507, 50, 51, 0, flags=p.PENDING | p.CLOSING_DEBIT),
                 transfer(508, 0, 0, 0, flags=p.VOID, pending_id=507, **end),
                 transfer(509, 50, 51, 3, user_data_32=5)) == [0] * 10
    time.sleep(1.2)
    assert codes(c, transfer(510, 51, 50, 1)) == [0]  # after the expiry of 504


def filters(c):
    """Every status that a filter can be answered with, and which one comes first."""
    account = dict(account_id=50, limit=1, flags=1)
    account_cases = [
        (dict(account_id=0), 23), (dict(account_id=p.U128_MAX), 23), (dict(limit=0), 27),
        (dict(limit=8191), 27), (dict(limit=8190), 0), (dict(flags=0), 28), (dict(flags=4), 28),
        (dict(flags=9), 28), (dict(reserved=1), 29), (dict(timestamp_min=1 << 63), 24),
        (dict(timestamp_max=1 << 63), 25), (dict(timestamp_min=5, timestamp_max=4), 26),
        (dict(timestamp_min=5, timestamp_max=5), 0), (dict(timestamp_min=5), 0),
        (dict(timestamp_max=(1 << 63) - 1), 0)]
    for fields, expected in account_cases:
        body = p.account_filter(**{**account, **fields})
        for operation in (p.GET_ACCOUNT_TRANSFERS, p.GET_ACCOUNT_BALANCES):
            assert c.status(operation, body) == expected, (operation, fields)
    assert c.status(p.GET_ACCOUNT_BALANCES, p.account_filter(**{**account, "account_id": 51})) == 30
    query_cases = [(fields, expected) for fields, expected in account_cases
                   if "account_id" not in fields and "flags" not in fields] + [
                       (dict(flags=0), 0), (dict(flags=2), 28)]
    for fields, expected in query_cases:
        body = p.query_filter(**{"limit": 1, "flags": 1, **fields})
        for operation in (p.QUERY_ACCOUNTS, p.QUERY_TRANSFERS):
            assert c.status(operation, body) == expected, (operation, fields)
    end = c.read_changes(limit=1)[1]
    for fields, expected in [
            ({}, 0), (dict(limit=0), 27), (dict(limit=3854), 0), (dict(limit=3855), 27),
            (dict(wait_ms=60000), 0), (dict(wait_ms=60001), 32), (dict(reserved=1), 29),
            (dict(reserved=1 << 120), 29), (dict(ordinal=end), 0), (dict(ordinal=end + 1), 31)]:
        assert c.status(p.READ_CHANGES, p.change_filter(**{"limit": 1, **fields})) == expected, (
            fields)
    for operation, bytes_wanted in ((p.GET_ACCOUNT_TRANSFERS, 128), (p.GET_ACCOUNT_BALANCES, 128),
                                    (p.QUERY_ACCOUNTS, 64), (p.QUERY_TRANSFERS, 64),
                                    (p.READ_CHANGES, 32), (p.SNAPSHOT, 0)):
        for size in {0, bytes_wanted - 1, bytes_wanted + 1, 2 * bytes_wanted} - {-1, bytes_wanted}:
            assert c.status(operation, bytes(size)) == 16, (operation, size)
    assert c.query_accounts(limit=1)  # the connection is still there


def fresh(address, books, id):
    """A read sees what was executed before it; a subscriber that waits gets what comes."""
    writer, reader = p.Connection(address), p.Connection(address)
    writer.hello()
    reader.hello()
    writer.send(p.CREATE_TRANSFERS, transfer(id, 50, 51, 1))
    writer.send(p.GET_ACCOUNT_TRANSFERS, p.account_filter(account_id=50, limit=1,
                                                          flags=p.DEBITS | p.REVERSED))
    assert writer.reply()[1] == 0
    found = p.decode(p.TRANSFER_FIELDS, writer.reply()[3])
    assert found["id"] == id
    assert reader.query_transfers(limit=1, flags=1)[0]["id"] == id
    books.follow(reader, 1000)
    assert books.transfers[-1]["id"] == id
    assert reader.read_changes(ordinal=books.ordinal, limit=1, wait_ms=50)[2] == []
    reader.send(p.READ_CHANGES, p.change_filter(ordinal=books.ordinal, limit=10, wait_ms=30000))
    reader.send(p.PING)
    time.sleep(0.1)
    assert codes(writer, transfer(id + 1, 50, 51, 1)) == [0]
    operation, status, _, body = reader.reply()
    assert (operation, status, len(body)) == (p.READ_CHANGES, 0, 32 + 272), (status, len(body))
    assert p.change(body[32:])["record"]["id"] == id + 1
    assert reader.reply()[:2] == (p.PING, 0)
    books.follow(reader, 1)
    writer.close()
    reader.close()


def reads_changes(c, marks):
    """Changes, against lookups; marks: that there must be."""
    books = Followed().follow(c, 3854)
    assert books.marks == marks
    assert list(books.limits.values()) == c.get_limits(*books.limits)
    assert list(books.accounts.values()) == c.lookup_accounts(*books.accounts)
    assert books.transfers[:4000] == c.lookup_transfers(*[t["id"] for t in books.transfers[:4000]])
    assert c.stats()[:3] == (len(books.accounts), len(books.transfers), len(books.holds))
    return books


def reads(c, marks):
    """Changes and queries, against each other as well."""
    books = reads_changes(c, marks)
    assert books.ordinals == Followed().follow(c, 997).ordinals
    queries(c, books)
    return books


def raw(address, data):
    """What the server answers to bytes: the statuses of its replies, and whether it closed."""
    connection = p.Connection(address)
    connection.socket.settimeout(2)
    connection.socket.sendall(data)
    statuses = []
    try:
        while True:
            statuses.append(connection.reply()[1])
    except EOFError:
        return statuses, True
    except socket.timeout:
        return statuses, False
    finally:
        connection.close()


def statuses(address):
    hello = p.frame(p.HELLO, 1, struct.pack("<HHI32s24s", 1, 1, 0, b"", b""))
    flipped = bytearray(hello)
    flipped[40] ^= 1
    ping = p.frame(p.PING, 2)
    cases = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", [1]),
        (p.frame(p.HELLO, 1, version=2), [2]),
        (p.frame(p.HELLO, 1, struct.pack("<HHI32s24s", 2, 9, 0, b"", b"")), [2]),
        (bytes(flipped), [3]),
        (p.HEADER.pack(0, p.MAGIC, 1, p.CREATE_ACCOUNTS, 0, 1048321, 0, 1), [4]),
        (hello + ping + p.frame(99, 3), [0, 0, 5]),
        (p.frame(p.HELLO, 1, bytes(64), flags=1), [6]),
        (p.frame(p.HELLO, 1, bytes(64), status=1), [6]),
        (p.frame(p.HELLO, 1, struct.pack("<HHI32s24s", 1, 1, 1, b"", b"")), [6]),
        (ping, [7]),
        (hello + hello, [0, 7]),
        (p.frame(p.HELLO, 1, bytes(63)), [7]),
        (p.HEADER.pack(0, p.MAGIC, 1, p.HELLO, 0, 65, 0, 1), [7]),
    ]
    for data, expected in cases:
        assert raw(address, data) == (expected, True), (data[:40], expected)
    c = p.Connection(address)
    c.hello()
    c.send(p.CREATE_TRANSFERS, transfer(400, 10, 11, 1))
    c.socket.shutdown(socket.SHUT_WR)  # nothing more to say, but still listening
    assert c.reply()[1] == 0
    c.close()
    c = p.Connection(address)
    c.hello()
    for operation, body, expected in [
            (p.CREATE_ACCOUNTS, bytes(127), 16), (p.LOOKUP_ACCOUNTS, bytes(17), 16),
            (p.PING, b"x", 16), (p.STATS, b"x", 16), (p.LOOKUP_TRANSFERS, bytes(8191 * 16), 17),
            (p.CREATE_TRANSFERS, b"", 0), (p.LOOKUP_ACCOUNTS, b"", 0), (p.PING, b"", 0)]:
        request_id = c.send(operation, body)
        assert c.reply()[:3] == (operation, expected, request_id), (operation, expected)
    c.close()


# ---- What the log document says -------------------------------------------------------------------


def compare(data, looked_up, settled=(), scheduled=()):
    """The independent reader against giro verify, against the server's last answers, and against
    what the server derived from its log. Returns what was read, and how many sidecars and snapshots
    there are."""
    derived = derived_format.Derived(data)
    log, books = derived.log, derived.state
    report = giro("verify", "--data", data)
    assert report.returncode == 0, report.stdout
    head = re.search(r"^head +([0-9a-f]{32})$", report.stdout, re.M).group(1)
    assert "%032x" % log.head == head, report.stdout
    counts = [int(n) for n in re.findall(r"\d+", re.search(r"^records.*$", report.stdout,
                                                           re.M).group(0))]
    assert counts == [books.counts[i] for i in (log_format.ACCOUNT, log_format.TRANSFER,
                                                log_format.BURNT)] + [
                                                    books.expired, len(books.holds)], report.stdout
    assert list(books.accounts.values()) == looked_up
    assert [books.settlements.answer(row["account_id"], books.row_of[row["account_id"]],
                                     row["ledger"]) for row in settled] == list(settled)
    for half, made in scheduled:
        row = books.schedules.rows[books.schedules.number[half["id"]]]
        assert row == {**half, **{"of_" + name: made[name] for name in made}}, (row, half)
    for side in ("pending", "posted"):
        assert (sum(a["debits_" + side] for a in looked_up) ==
                sum(a["credits_" + side] for a in looked_up))
    assert log.verdict in ("clean", "torn")
    return derived, derived.check()


def reseal(block, **fields):
    """A block with other header fields and a header checksum that holds."""
    places = {"version": (4, 2), "lsn": (32, 8)}
    for name, value in fields.items():
        at, size = places[name]
        block[at:at + size] = value.to_bytes(size, "little")
    block[112:128] = xxh3.xxh3_128(bytes(block[:112])).to_bytes(16, "little")


def ends(data, work):
    """The table of how a log ends, row by row: both readers must judge alike."""
    log, _ = log_format.read(data)
    assert log.verdict == "clean" and log.segment == 0
    end, last = log.offset, log.offset - SECTOR
    sound = bytearray(open(log.paths[0], "rb").read())

    def flip(at):
        def change(segment, _):
            segment[at] ^= 0x10
        return change

    def put(at, content, of_next=False):
        def change(segment, following):
            target = following if of_next else segment
            target[at:at + len(content)] = content
        return change

    def resealed(at, **fields):
        block = bytearray(sound[at:at + SECTOR])
        reseal(block, **fields)
        return put(at, block)

    stranger = bytearray(sound[:SECTOR])
    stranger[8:24] = bytes(range(16))
    reseal(stranger)
    cases = [
        ("nothing", lambda *_: None, "clean"),
        ("last block zero", put(last, bytes(SECTOR)), "clean"),
        ("last block, header", flip(last + 40), "torn"),
        ("last block, body", flip(last + 200), "torn"),
        ("garbage behind the end", put(end + 3 * SECTOR, b"garbage"), "torn"),
        ("garbage in the next segment", put(7 * SECTOR, b"garbage", True), "torn"),
        ("a block, header", flip(SECTOR + 70), "damaged"),
        ("a block, body", flip(SECTOR + 130), "damaged"),
        ("a block zero", put(SECTOR, bytes(SECTOR)), "damaged"),
        ("a block in the place of another", put(end, sound[SECTOR:2 * SECTOR]), "damaged"),
        ("a block further behind", put(end + SECTOR, sound[SECTOR:2 * SECTOR]), "damaged"),
        ("a block out of the chain", resealed(last, lsn=77), "damaged"),
        ("a block of a stranger behind", put(end + 4 * SECTOR, stranger), "torn"),
        ("a block of a stranger", put(end, stranger), "damaged"),
        ("more garbage than one write leaves",
         lambda *two: (put(end + SECTOR, b"garbage")(*two),
                       put(end + 3 * SECTOR, b"garbage", True)(*two)), "damaged"),
        ("as much garbage as one write leaves",
         lambda *two: (put(end + SECTOR, b"garbage")(*two),
                       put(end, b"garbage", True)(*two)), "torn"),
        ("a newer block", resealed(last, version=3), "newer"),
        ("a newer block behind damage",
         lambda *two: (resealed(last, version=3)(*two), flip(last - SECTOR + 9)(*two)), "damaged"),
    ]
    texts = {"clean": "ends cleanly", "torn": "torn tail", "damaged": "is damaged",
             "newer": "newer version"}
    copy = os.path.join(work, "copy")
    shutil.copytree(data, copy)
    first, second = log_format.Log(copy).paths[:2]
    for name, change, expected in cases:
        segment, following = bytearray(sound), bytearray(log.segment_bytes)
        change(segment, following)
        for path, content in ((first, segment), (second, following)):
            with open(path, "r+b") as file:
                file.write(content)
        verdict = log_format.read(copy)[0].verdict
        report = giro("verify", "--data", copy)
        assert verdict == expected, (name, verdict)
        assert texts[expected] in report.stdout, (name, report.stdout)
        assert (report.returncode == 0) == (expected in ("clean", "torn")), (name, report.stdout)


def noticed(what, check, *arguments):
    """That a check fails, and says that it is about this."""
    try:
        check(*arguments)
    except derived_format.Difference as difference:
        assert what in str(difference), (what, str(difference))
        return
    raise AssertionError("not noticed: " + what)


def flipped(data, at, *seals):
    """The data with one bit changed, and what is sealed sealed again."""
    changed = bytearray(data)
    changed[at] ^= 0x10
    for seal in seals:
        seal(changed)
    return bytes(changed)


class Forger:
    """A copy of a data directory in which one record after another is changed, and every checksum
    and the chain made to hold again."""

    def __init__(self, data, copy):
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("*.idx", "*.mdb", "manifest"))
        self.path, self.log = copy, log_format.Log(copy)
        self.blocks, self.places, self.records, self.fields = [], [], [], []
        for block, _, records in self.log.walk():
            for i, record in enumerate(records):
                self.places.append((len(self.blocks), block.offset + 128 * (1 + i)))
                self.fields.append({**p.decode(p.TRANSFER_FIELDS, record),
                                    "kind": record[119] >> 6, "number": len(self.records)})
                self.records.append(record)
            self.blocks.append(block)
        self.segments = [self.log.bytes(i) for i in range(self.log.segment + 1)]

    def find(self, what):
        """Number of the first record whose fields what() finds."""
        return next(fields["number"] for fields in self.fields if what(fields))

    def write(self, changes):
        """changes: bytes of a record by its number."""
        segments = [bytearray(segment) for segment in self.segments]
        damaged = set()
        for number, record in changes.items():
            block, at = self.places[number]
            segments[self.blocks[block].segment][at:at + 128] = record
            damaged.add(block)
        head = 0
        for i, block in enumerate(self.blocks):
            if i >= min(damaged, default=len(self.blocks)):
                data, at = segments[block.segment], block.offset
                if i in damaged:
                    body = bytes(data[at + 128:at + block.block_bytes])
                    data[at + 96:at + 112] = derived_format.checksum(body)
                data[at + 80:at + 96] = head
                data[at + 112:at + 128] = derived_format.checksum(bytes(data[at:at + 112]))
            head = segments[block.segment][block.offset + 112:block.offset + 128]
        for path, segment in zip(self.log.paths, segments):
            with open(path, "wb") as file:
                file.write(segment)

    def judged(self):
        """(whether our reader finds that the log holds, whether giro verify does, what they say)"""
        try:
            derived_format.Derived(self.path)
            text = ""
        except (derived_format.Difference, log_format.LogError) as error:
            text = str(error)
        report = giro("verify", "--data", self.path)
        return text == "", report.returncode == 0, (text, report.stdout)


def mutations(data, work):
    """What records say about payments and limits: changed, both readers must notice."""
    forger = Forger(data, os.path.join(work, "forged"))

    def system(code, *named):
        """A system record in which these fields are not 0."""
        return lambda f: (f["kind"] == log_format.SYSTEM and f["code"] == code and
                          all(f[name] != 0 for name in named))

    def with_flags(wanted, unwanted=0, also=lambda f: True):
        return lambda f: (f["kind"] == log_format.TRANSFER and
                          f["flags"] & (wanted | unwanted) == wanted and also(f))

    def set_to(name, value):
        """value: the new one, or what makes it of the fields."""
        def change(record):
            fields = p.decode(p.TRANSFER_FIELDS, record)
            fields[name] = value(fields) if callable(value) else value
            return p.encode(p.TRANSFER_FIELDS, fields)
        return change

    def more(name, by=1):
        return set_to(name, lambda fields: fields[name] + by)

    def without(flag):
        return set_to("flags", lambda fields: fields["flags"] & ~flag)

    def also_with(flag):
        return set_to("flags", lambda fields: fields["flags"] | flag)

    def flip(at):
        return lambda record: flipped(record, at)

    first = system(log_format.PAYMENT, "pending_id")
    marked = system(log_format.PAYMENT, "user_data_32")
    digest = system(log_format.DIGEST, "timeout")  # where payment_count is
    of_limits = system(log_format.LIMITS)
    newest = max(f["number"] for f in forger.fields if of_limits(f))
    needed = max(f["number"] for f in forger.fields if of_limits(f) and f["id"] == 801 and
                 f["number"] < forger.find(lambda f: f["id"] == 12012))
    over = {f["user_data_128"] for f in forger.fields if marked(f)}
    held = {f["pending_id"] for f in forger.fields if f["flags"] & p.KEEP_OPEN}

    def is_over(f):
        return f["id"] in over

    def of_held(f):
        return f["pending_id"] in held

    def digest_of_limits(f):
        return digest(f) and f["ledger"] == 2  # where side_table is

    def digest_of_settlements(f):
        return digest(f) and f["ledger"] == 6

    def newest_limits(f):
        return f["number"] == newest

    def over_captured(f):
        return f["number"] == needed

    def over_capture(f):
        return f["id"] == 12012

    def over_capture_of_part(f):
        return f["id"] == 12016

    def counted(f):
        return f["id"] == 12135

    def held_for_velocity(f):
        return f["id"] == 12115

    def of_cut_off(f):
        """The second one of ledger 978."""
        return system(log_format.CUT_OFF)(f) and f["ledger"] == 978 and f["id"] == 1

    def settles(f):
        return f["kind"] == log_format.ACCOUNT and f["flags"] & p.SETTLES

    def settled(f):
        return f["id"] == 21010

    def account_without(flag):
        def change(record):
            fields = p.decode(p.ACCOUNT_FIELDS, record)
            fields["flags"] ^= flag
            return p.encode(p.ACCOUNT_FIELDS, fields)
        return change

    def cut_off_with(name, value):
        def change(record):
            fields = p.decode(p.CUT_OFF_FIELDS, record)
            fields[name] = value
            return p.encode(p.CUT_OFF_FIELDS, fields)
        return change

    def limits_with(name, value):
        def change(record):
            fields = p.decode(p.LIMITS_FIELDS, record)
            fields[name] = value(fields) if callable(value) else value
            return p.encode(p.LIMITS_FIELDS, fields)
        return change

    def record_with(fields_of, name, value):
        def change(record):
            fields = p.decode(fields_of, record)
            fields[name] = value(fields[name]) if callable(value) else value
            return p.encode(fields_of, fields)
        return change

    def lease_of(action, key=31000):
        def what(f):
            return system(log_format.LEASE)(f) and f["id"] == key and p.decode(
                p.LEASE_FIELDS, forger.records[f["number"]])["action"] == action
        return what

    def lease_with(name, value):
        return record_with(p.LEASE_FIELDS, name, value)

    def schedule_with(name, value):
        return record_with(p.SCHEDULE_FIELDS, name, value)

    def firing_with(name, value):
        return record_with(p.FIRING_FIELDS, name, value)

    def of_schedule(code, id):
        return lambda f: system(code)(f) and f["id"] == id

    def one_more(value):
        return value + 1

    monthly = of_schedule(log_format.SCHEDULE, 41001)
    made = of_schedule(log_format.TEMPLATE, 41001)
    fired = of_schedule(log_format.FIRING, 41001)
    refused = of_schedule(log_format.FIRING, 41005)
    cancelled = system(log_format.CANCEL)

    def limits_more(name, by=1):
        return limits_with(name, lambda fields: fields[name] + by)

    def flip_flags(flags):
        return limits_with("flags", lambda fields: fields["flags"] ^ flags)

    cases = [
        ("first return, origin", first, set_to("pending_id", 4242)),
        ("first return, transfer", first, more("user_data_128")),
        ("first return, amount", first, more("amount")),
        ("first return, account", first, set_to("debit_account_id", 74)),
        ("first return, unknown account", first, set_to("credit_account_id", 75)),
        ("marks", marked, set_to("user_data_32", lambda fields: fields["user_data_32"] ^ 3)),
        ("no marks", marked, set_to("user_data_32", 0)),
        ("large marks", marked, set_to("user_data_32", 1 << 16)),
        ("marks of another", marked, more("user_data_128")),
        ("return", with_flags(p.RETURN), without(p.RETURN)),
        ("return of what is not there", with_flags(p.RETURN), set_to("pending_id", 4242)),
        ("return of what is returned here", with_flags(p.RETURN),
         set_to("pending_id", lambda fields: fields["id"])),
        ("return, amount", with_flags(p.RETURN, p.PENDING), more("amount")),
        ("pending return, amount", with_flags(p.RETURN | p.PENDING), more("amount")),
        ("part of a hold, flag", with_flags(p.POST | p.KEEP_OPEN), without(p.KEEP_OPEN)),
        ("part of a hold, amount", with_flags(p.POST | p.KEEP_OPEN), more("amount")),
        ("part of a hold, all", with_flags(p.POST | p.KEEP_OPEN), more("amount", 1 << 100)),
        ("part given back, flag", with_flags(p.VOID | p.KEEP_OPEN), without(p.KEEP_OPEN)),
        ("part given back, amount", with_flags(p.VOID | p.KEEP_OPEN), more("amount")),
        ("last post", with_flags(p.POST, p.KEEP_OPEN | p.FACT, of_held),
         also_with(p.KEEP_OPEN)),
        ("last void", with_flags(p.VOID, p.KEEP_OPEN, of_held), more("amount")),
        ("keep_open of a plain transfer", with_flags(0, p.POST | p.VOID), also_with(p.KEEP_OPEN)),
        ("adjust", with_flags(p.ADJUST), without(p.ADJUST)),
        ("adjust without pending", with_flags(p.ADJUST), without(p.PENDING)),
        ("adjust, amount", with_flags(p.ADJUST), more("amount")),
        ("adjust, account", with_flags(p.ADJUST), set_to("debit_account_id", 74)),
        ("adjust of no hold", with_flags(p.ADJUST), set_to("pending_id", 4242)),
        ("adjust of a return", with_flags(p.ADJUST), also_with(p.RETURN)),
        ("fact over a hold", with_flags(p.POST | p.FACT, 0, is_over), without(p.FACT)),
        ("fact over a hold, amount", with_flags(p.POST | p.FACT, 0, is_over), more("amount")),
        ("fact over a return", with_flags(p.RETURN | p.FACT, 0, is_over), without(p.FACT)),
        ("fact that voids", with_flags(p.VOID), also_with(p.FACT)),
        ("expiry, amount", lambda f: system(log_format.EXPIRY)(f) and of_held(f), more("amount")),
        ("digest, rows of payments", digest, flip(88)),
        ("digest, checksum", digest, flip(96)),
        ("digest, first row", digest, flip(104)),
        ("digest, number of rows", digest, flip(108)),
        ("digest, table", digest, flip(112)),
        ("an unknown system record", first, set_to("code", 12)),
        ("an unknown system record of limits", of_limits, set_to("code", 12)),
        ("digest of settlements, checksum", digest_of_settlements, flip(96)),
        ("digest of settlements, first row", digest_of_settlements, flip(104)),
        ("digest of settlements, number of rows", digest_of_settlements, flip(108)),
        ("digest, rows of limits", digest, flip(92)),
        ("settles", settles, account_without(p.SETTLES)),
        ("settles, another flag", settles, account_without(p.HISTORY)),
        ("posted amount", settled, more("amount")),
        ("posted side", settled, lambda record: record[:16] + record[32:48] + record[16:32] +
         record[48:]),
        ("cut-off of no ledger", of_cut_off, cut_off_with("ledger", 0)),
        ("cut-off of another ledger", of_cut_off, cut_off_with("ledger", 4242)),
        ("cut-off of an epoch that is over", of_cut_off, cut_off_with("epoch", 0)),
        ("cut-off of a later epoch", of_cut_off, cut_off_with("epoch", 2)),
        ("cut-off, timestamp", lambda f: system(log_format.CUT_OFF)(f) and f["ledger"] == 5000,
         cut_off_with("timestamp", 1)),
        ("lease, token", lease_of(p.ACQUIRE), lease_with("token", one_more)),
        ("lease, no key", lease_of(p.ACQUIRE), lease_with("key", 0)),
        ("lease, no owner", lease_of(p.ACQUIRE), lease_with("owner", 0)),
        ("lease, row", lease_of(p.ACQUIRE), lease_with("row", 1000)),
        ("lease, deadline", lease_of(p.ACQUIRE), lease_with("deadline", 1 << 63)),
        ("lease, timestamp", lease_of(p.ACQUIRE), lease_with("timestamp", 1 << 63)),
        ("lease of another, current", lease_of(p.ACQUIRE, 32001), lease_with("row", 0)),
        ("renewed, token", lease_of(p.RENEW), lease_with("token", one_more)),
        ("renewed, key", lease_of(p.RENEW), lease_with("key", 4242)),
        ("renewed, released", lease_of(p.RENEW), lease_with("deadline", 0)),
        ("renewed, row", lease_of(p.RENEW), lease_with("row", one_more)),
        ("released, deadline", lease_of(p.RELEASE), lease_with("deadline", 1)),
        ("schedule, no id", monthly, schedule_with("id", 0)),
        ("schedule, rule", monthly, schedule_with("rule", 4)),
        ("schedule, no interval", monthly, schedule_with("interval", 0)),
        ("schedule, day", monthly, schedule_with("day", 30)),
        ("schedule, first", monthly, schedule_with("first", one_more)),
        ("schedule, next", monthly, schedule_with("next", one_more)),
        ("schedule, end", monthly, schedule_with("end", 1)),
        ("schedule, retries", monthly, schedule_with("retries", 1)),
        ("schedule, reserved", monthly, schedule_with("reserved", 1 << 39)),
        ("schedule, code", monthly, schedule_with("transfer_code", 0)),
        ("schedule, flags", monthly, schedule_with("transfer_flags", p.LINKED)),
        ("schedule, a second one", of_schedule(log_format.SCHEDULE, 41002),
         schedule_with("id", 41001)),
        ("made, id", made, more("id")),
        ("made, ledger", made, more("ledger")),
        ("made, account", made, set_to("debit_account_id", 4242)),
        ("made, one account", made, set_to("debit_account_id", 931)),
        ("made, pending_id", made, set_to("pending_id", 1)),
        ("made, timeout", made, set_to("timeout", 1)),
        ("fired, row", fired, firing_with("row", one_more)),
        ("fired, unknown row", fired, firing_with("row", 1 << 20)),
        ("fired, schedule", fired, firing_with("schedule_id", 41002)),
        ("fired, due", fired, firing_with("due", one_more)),
        ("fired, next", fired, firing_with("next", 1 << 63)),
        ("fired, over", fired, firing_with("next", 0)),
        ("fired, occurrence", fired, firing_with("occurrence", 1)),
        ("fired, attempt", fired, firing_with("attempt", 1)),
        ("fired, another occurrence next", fired, firing_with("occurrence_next", 2)),
        ("fired, transfer", fired, firing_with("transfer_id", one_more)),
        ("fired, no transfer", refused, firing_with("transfer_id", 0)),
        ("fired, created", refused, firing_with("result", 0)),
        ("cancelled, schedule", cancelled, firing_with("schedule_id", 41001)),
        ("cancelled, over", cancelled, firing_with("row", 0)),
        ("digest of limits, payments", digest_of_limits, flip(88)),
        ("digest of limits, limits", digest_of_limits, flip(92)),
        ("digest of limits, checksum", digest_of_limits, flip(96)),
        ("digest of limits, first row", digest_of_limits, flip(104)),
        ("digest of limits, number of rows", digest_of_limits, flip(108)),
        ("limits of nobody", of_limits, limits_with("account_id", 4242)),
        ("limits of another", newest_limits, limits_with("account_id", 70)),
        ("limits, too much over_capture", of_limits, limits_with("over_capture", 100001)),
        ("limits, no over_capture", over_captured, limits_with("over_capture", 0)),
        ("limits, over_capture", newest_limits, limits_more("over_capture")),
        ("limits, floor", newest_limits, limits_more("floor")),
        ("limits, balance_max", newest_limits, limits_more("balance_max")),
        ("limits, transfer_max", newest_limits, limits_more("transfer_max", 1 << 127)),
        ("limits, timestamp", newest_limits, limits_more("timestamp")),
        ("limits, block_debits", newest_limits, flip_flags(1)),
        ("limits, frozen", newest_limits, flip_flags(4)),
        ("limits, an unknown flag", newest_limits, flip_flags(1 << 13)),
        ("velocity, maximum", newest_limits, limits_more("maximum_0")),
        ("velocity, maximum of no slot", newest_limits, limits_with("maximum_3", 1)),
        ("velocity, verdict", newest_limits, limits_more("rule_1", -(1 << 28))),
        ("velocity, period 0", newest_limits, limits_more("rule_0", -1)),
        ("velocity, unit", newest_limits, limits_with("rule_0", p.rule(1, 5, p.RATE))),
        ("velocity, months", newest_limits, limits_with("rule_0", p.rule(1, p.MONTHS, p.RATE))),
        ("velocity, window", newest_limits, limits_with("rule_0", p.rule(1, p.DAYS, 4))),
        ("velocity, not used", newest_limits, limits_with("rule_3", p.rule(1, p.DAYS, 0))),
        ("counted", counted, also_with(p.NO_LIMIT)),
        ("counted, amount", counted, more("amount")),
        ("held, a post", held_for_velocity, also_with(p.POST)),
        ("held, not pending", held_for_velocity, without(p.PENDING)),
        ("over-capture, amount", over_capture, more("amount")),
        ("no over-capture by a void", lambda f: f["id"] == 12031, more("amount", 40)),
        ("over-capture, a void", over_capture, set_to(
            "flags", lambda fields: fields["flags"] ^ p.POST ^ p.VOID)),
        ("over-capture, keep_open", over_capture, also_with(p.KEEP_OPEN)),
        ("over-capture of a part, keep_open", over_capture_of_part, without(p.KEEP_OPEN)),
        ("over-capture of a part, amount", over_capture_of_part, more("amount")),
    ]
    forger.write({})
    assert forger.judged()[:2] == (True, True)
    for name, what, change in cases:
        number = forger.find(what)
        forger.write({number: change(forger.records[number])})
        ours, theirs, said = forger.judged()
        assert (ours, theirs) == (False, False), (name, number, said)
    # The payment record behind its transfer instead of in front of it.
    for what in (first, marked):
        number = forger.find(what)
        forger.write({number: forger.records[number + 1], number + 1: forger.records[number]})
        assert forger.judged()[:2] == (False, False), (number, forger.judged()[2])
    # The transfer of a schedule in front of it, and that of an attempt.
    for what in (monthly, fired):
        number = forger.find(what)
        forger.write({number: forger.records[number + 1], number + 1: forger.records[number]})
        assert forger.judged()[:2] == (False, False), (number, forger.judged()[2])
    # What replay does not look at.
    number = forger.find(with_flags(p.KEEP_OPEN))
    forger.write({number: also_with(p.NO_LIMIT)(forger.records[number])})
    assert forger.judged()[:2] == (True, True), forger.judged()[2]
    # Limits between a payment record and its transfer.
    number = forger.find(marked)
    forger.write({number + 1: forger.records[newest]})
    assert forger.judged()[:2] == (False, False), forger.judged()[2]


def sidecar_mutations(derived):
    """Every section of sidecars, with and without a checksum that holds."""
    smallest = sorted(derived.sealed(), key=lambda segment: segment.used_bytes)
    pages = {}
    for segment in smallest:
        data = derived.read("%010d.idx" % segment.segment)
        sections = derived.sidecar_sections(segment)
        number = segment.segment

        def seal(changed):
            for page in range(len(changed) // 4096):
                changed[page * 4096:page * 4096 + 8] = derived.page_sum(
                    number, page, changed).to_bytes(8, "little")

        def changed(what, at):
            noticed("checksum of page %d" % (at // 4096), derived.sidecar, segment,
                    flipped(data, at), sections)
            noticed(what, derived.sidecar, segment, flipped(data, at, seal), sections)

        for i, (name, _) in enumerate(derived_format.SECTIONS):
            extent = derived_format.SIDECAR_HEAD.size + 16 * i
            first, item_bytes, items = derived_format.EXTENT.unpack_from(data, extent)
            if name in pages or items == 0:
                continue
            pages[name] = -(-items // (4088 // item_bytes))
            changed(name + ", extent", extent + 8)
            changed(name, first * 4096 + 8)
            last = (items - 1) % (4088 // item_bytes) * item_bytes + item_bytes - 1
            changed(name, (first + pages[name] - 1) * 4096 + 8 + last)
            if item_bytes > 1:
                changed(name, first * 4096 + 4095)  # behind the items of the page
        if len(pages) == len(derived_format.SECTIONS):
            break
    assert len(pages) == len(derived_format.SECTIONS), pages
    for what, at in (("magic", 8), ("magic", 16), ("page_count", 20), ("directory_id", 24),
                     ("facts", 40), ("facts", 159), ("padding", 368), ("padding", 4095)):
        changed(what, at)
    noticed("checksum", derived.sidecar, segment, data[:4096] + data[8192:12288] + data[4096:8192] +
            data[12288:])
    noticed("checksum", derived.sidecar, derived.segments[(number + 1) % 2], data)
    more = bytearray(data + bytes(4096))
    seal(more)
    noticed("page_count", derived.sidecar, segment, bytes(more))
    noticed("size", derived.sidecar, segment, data[:-1])


def snapshot_mutations(derived):
    """Every database of a snapshot, the manifest, and what ties them to the log."""
    entry = derived.entries[0]
    segment, name = derived.segments[entry[0]], "snapshot-%010d.mdb" % entry[0]
    data, manifest = derived.read(name), derived.read("manifest")
    assert segment.state.holds and segment.state.outcomes and len(derived.entries) == 2
    assert len(segment.state.payments.rows) > 100 and any(segment.state.deadlines.values())
    assert len(segment.state.limits) > 49 and any(row["flags"] for row in segment.state.limits)
    lmdb = lmdb_file.Lmdb(data)
    still_open = set(segment.state.addresses.values())  # whose outcomes may be anything
    for database in lmdb.databases:
        key, value, at = next(lmdb.items(database), (0, b"", 0))
        if not value:
            continue
        chunk = database in derived_format.PER_CHUNK

        def seal(changed):
            if chunk:
                changed[at:at + 16] = derived_format.checksum(changed[at + 32:at + len(value)])

        noticed("checksum", derived.entry, entry, flipped(data, at + 40))
        if chunk:
            noticed(database + ", checksum", derived.snapshot, segment, flipped(data, at + 40))
            noticed(database + ", head", derived.snapshot, segment, flipped(data, at + 16))
            noticed(database + ", head", derived.snapshot, segment, flipped(data, at + 24))
        for offset in ((32, 32 + 64, 32 + 136, len(value) // 2, len(value) - 1) if chunk else
                       range(0, len(value), 3)):
            if database == "outcomes" and (key * 3968 + offset - 32) * 4 + 2 in still_open:
                continue
            noticed(database, derived.snapshot, segment, flipped(data, at + offset, seal))
    noticed("LMDB", derived.snapshot, segment, data[:-4096])

    def seal_manifest(changed):
        changed[496:] = derived_format.checksum(changed[:496])

    for at in range(0, 512, 5):
        noticed("checksum", derived.manifest, flipped(manifest, at))
    for what, at in (("magic", 0), ("magic", 8), ("count", 12), ("directory_id", 16),
                     ("reserved", 36), ("reserved", 56), ("zeros", 128), ("zeros", 495)):
        noticed(what, derived.manifest, flipped(manifest, at, seal_manifest))
    for what, at in (("segment", 32), ("lsn", 40), ("size", 48), ("checksum", 64)):
        changed = derived.manifest(flipped(manifest, at, seal_manifest))
        noticed(what, derived.entry, changed[0], data)


def derived_again(data, derived, looked_up):
    """What is derived may be damaged: the log makes it once more."""
    folder = os.path.join(data, "shard-0")
    for name in ("manifest", "0000000000.idx"):
        damaged = flipped(derived.read(name), 20)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(damaged)
    server = Server(data)
    assert "the whole log is read" in server.text, server.text
    assert server.end(signal.SIGTERM) == 0
    again, counts = compare(data, looked_up)
    assert counts == (len(again.sealed()), 1)  # a clean stop took one


# ---- All of it --------------------------------------------------------------------------------------

def run(work):
    xxh3.self_test()
    example, data = os.path.join(work, "example"), os.path.join(work, "data")
    for path in (example, data):
        report = giro("format", "--data", path, "--segment-bytes", "4m")
        assert report.returncode == 0, report.stdout

    server = Server(example)
    c = p.Connection(server.address)
    p.example(c)
    p.example_reads(p.Connection(server.address))
    looked_up = c.lookup_accounts(1, 2)
    assert server.end(signal.SIGTERM) == 0
    assert compare(example, looked_up)[1] == (0, 0)
    ends(example, work)

    paid = os.path.join(work, "paid")
    assert giro("format", "--data", paid, "--segment-bytes", "1m").returncode == 0
    server = Server(paid)
    c = server.connect()
    payments = Payments(c).run(1000).closes()
    limits = Limits(c, payments.marks).run(11000).run(12000)
    settling = Settling(c, payments.marks).run(21000).run(22000)
    leasing = Leasing(c, payments.marks).run(31000).run(32000)
    scheduling = Scheduling(c, payments.marks).run(41000).run(42000)
    time.sleep(1.2)
    reads_changes(c, payments.marks)
    assert c.snapshot()[2] == 1
    looked_up = c.lookup_accounts(*Payments.ACCOUNTS, *Limits.ACCOUNTS, *Settling.ACCOUNTS,
                                  *Leasing.ACCOUNTS, *Scheduling.ACCOUNTS)
    settled = settling.looked_up()
    scheduled = scheduling.wait()
    assert server.end(signal.SIGTERM) == 0
    derived, _ = compare(paid, looked_up, settled, scheduled)
    assert derived.state.expired == 7 and derived.digests > 0
    mutations(paid, work)

    server = Server(data)
    c = p.Connection(server.address)
    p.example(c)
    again = p.Connection(server.address)
    p.example_again(again)
    rules(c)
    statuses(server.address)
    history(c)
    filters(c)
    payments = Payments(c).run(3000)
    limits = Limits(c, payments.marks).run(13000)
    settling = Settling(c, payments.marks).run(23000)
    leasing = Leasing(c, payments.marks).run(33000)
    scheduling = Scheduling(c, payments.marks).run(43000)
    fresh(server.address, reads(c, payments.marks), 600)
    holds = across(c, 2000, None)
    pipelined(c, 1000000, 5)
    holds = across(c, 2100, holds)
    payments.run(4000)
    limits.run(14000)
    settling.run(24000)
    assert c.snapshot()[2] == 2
    holds = across(c, 2200, holds)
    payments.run(5000).closes()
    limits.run(15000)
    settling.run(25000)
    leasing.run(35000)
    scheduling.run(45000)
    assert c.snapshot()[2] == 3
    time.sleep(1.2)  # the holds that it has expire
    reads(c, payments.marks)
    holds = across(c, 2300, holds, 0)
    payments.run(6000, 3600)
    limits.run(16000, 3600)
    settling.run(26000)
    ids = [1, 2, 10, 11, 12, 13, 14, 30, 31, 50, 51, *Payments.ACCOUNTS, *Limits.ACCOUNTS,
           *Settling.ACCOUNTS, *Leasing.ACCOUNTS, *Scheduling.ACCOUNTS, 60, 61]
    looked_up, settled = c.lookup_accounts(*ids), settling.looked_up()
    scheduled, leased = scheduling.wait(), c.get_leases(33000, 35000)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    derived, counts = compare(data, looked_up, settled, scheduled)
    assert derived.log.segment == 3  # the pipelined requests end one, each snapshot another
    assert counts == (3, 2)

    server = Server(data, "--accounts-max", str(len(ids)), "--frame-timeout-ms", "500")
    assert "snapshot of segment 3" in server.text, server.text
    c = server.connect()
    assert c.lookup_accounts(*ids) == looked_up
    assert c.get_settlements(*Settling.ACCOUNTS) == settled
    assert c.get_schedules(*scheduling.ids) == scheduled and c.get_leases(33000, 35000) == leased
    reads(c, payments.marks)
    c.send(p.CREATE_ACCOUNTS, p.account(id=40, ledger=978, code=1))
    assert c.reply()[1] == 19
    assert raw(server.address, b"\x00" * 8) == ([10], True)
    assert codes(c, transfer(300, 10, 11, 1)) == [0]
    payments.c = limits.c = settling.c = leasing.c = scheduling.c = c
    payments.run(7000, 3600)
    limits.run(17000, 3600)
    settling.run(27000)
    leasing.run(37000)
    scheduling.run(47000)
    fresh(server.address, reads(c, payments.marks), 602)
    across(c, 2400, holds, 0)
    looked_up, settled = c.lookup_accounts(*ids), settling.looked_up()
    scheduled = scheduling.wait()
    assert server.end(signal.SIGTERM) == 0
    derived, counts = compare(data, looked_up, settled, scheduled)
    assert derived.log.verdict == "clean" and derived.digests > 2
    assert counts == (3, 2)
    assert all(segment in derived.snapshots for segment, _, _, _ in derived.entries)
    sidecar_mutations(derived)
    snapshot_mutations(derived)
    derived_again(data, derived, looked_up)


def main():
    global GIRO
    GIRO = os.path.abspath(sys.argv[1])
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="format-test-",
                                     dir=sys.argv[2] if len(sys.argv) > 2 else ".") as work:
        try:
            run(os.path.abspath(work))
        finally:
            for process in Server.running:
                process.kill()
    print("format: the documents, the server and giro verify agree (%.1f s)" %
          (time.time() - started))


if __name__ == "__main__":
    main()
