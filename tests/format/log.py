"""A reader of Giro's data directory, written from docs/log-format.md alone.

    python3 log.py DIR

walks the log, checks every checksum and the chain, judges how the log ends, folds the records into
balances, and prints the head and every account. Exit status 0: clean or torn, 1: anything else.
"""
import calendar
import datetime
import os
import struct
import sys

from protocol import (ACCOUNT_FIELDS, ACQUIRE, ACTIVE, ADJUST, AMOUNT, BALANCING_CREDIT,
                      BALANCING_DEBIT, BY_MONTHS, BY_SECONDS, BY_YEARS, CALENDAR, CANCELLED,
                      CLOSING_DEBIT, CUT_OFF_FIELDS, FACT, FIRING_FIELDS, HELD, KEEP_OPEN,
                      LEASE_FIELDS, LIMITS_FIELDS, MONTHS, NO_LIMIT, OF_CREDITS, OVER,
                      OVER_VELOCITY, PENDING, POST, RATE, RELEASE, RETURN, SCHEDULE_FIELDS, SETTLES,
                      SLIDING, SLOTS, TRANSFER_FIELDS, U128_MAX, VOID, decode)
from xxh3 import xxh3_128

META = struct.Struct("<8sII16sIIQ")
HEADER = struct.Struct("<4sHH16sIIQQQIIQIHH")
CLOSING_CREDIT, CLOSED = 2 * CLOSING_DEBIT, 32
RECORD_BYTES = 128
TRANSFER, ACCOUNT, BURNT, SYSTEM = range(4)
EXPIRY, DIGEST, SNAPSHOT, PAYMENT, LIMITS = 1, 2, 3, 4, 5  # codes of system records
LEASE, SCHEDULE, TEMPLATE, FIRING, CANCEL, CUT_OFF = 6, 7, 8, 9, 10, 11
SESSION, SESSION_RESULTS = 12, 13
PAYMENT_FIELDS = (("id", 16), ("amount", 16), ("taken", 16), ("left", 16), ("parent", 4),
                  ("debit_row", 4), ("credit_row", 4), ("marks", 2), ("depth", 1), ("kind", 1))
LIMITS_ROW_FIELDS = (("floor", 16), ("balance_max", 16), ("transfer_max", 16), ("timestamp", 8),
                     ("account_row", 4), ("over_capture", 3), ("flags", 1),
                     *((name + "_%d" % s, size) for s in SLOTS for name, size in
                       (("maximum", 8), ("end", 8), ("current", 8), ("previous", 8),
                        ("period_ns", 8), ("rule", 4), ("zero", 4))))
EPOCH_FIELDS = (("epoch", 8), ("timestamp", 8), ("ledger", 4), ("zero", 4))
SETTLEMENT_ROW_FIELDS = (("debits", 16), ("credits", 16), ("debits_before", 16),
                         ("credits_before", 16), ("count", 8), ("count_before", 8), ("epoch", 8),
                         ("epoch_before", 8), ("account_row", 4), ("zero", 12))
LEASE_ROW_FIELDS = (("key", 16), ("owner", 16), ("token", 8), ("deadline", 8))
LEASES_MAX = SESSIONS_MAX = 65536
SESSION_FIELDS = (("client", 16), ("checksum", 16), ("number", 8), ("timestamp_first", 8),
                  ("request", 4), ("release", 4), ("row", 4), ("event_count", 4),
                  ("result_count", 4), ("reserved", 48), ("code", 2), ("flags", 2),
                  ("timestamp", 8))
SESSION_ROW_FIELDS = (("client", 16), ("checksum", 16), ("number", 8), ("address", 8),
                      ("timestamp_first", 8), ("zero", 8), ("request", 4), ("release", 4),
                      ("event_count", 4), ("result_count", 4))
SESSION_RESULTS_MAX, EVENTS_MAX = 7, 8190
# A row has both halves; the names of the transfer's fields begin with of_.
SCHEDULE_ROW_FIELDS = (*SCHEDULE_FIELDS, *(("of_" + name, size) for name, size in TRANSFER_FIELDS))
RESERVED_OF_SCHEDULES = ("reserved", "reserved_1", "transfer_code", "transfer_flags")
TIMESTAMP_MAX = (1 << 63) - 1
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
LEDGERS_MAX = 1024  # that are cut off
LIMITS_COUNT = 128  # a flag of a row of limits: a slot of it is used
OVER_CAPTURE_MAX = 100000
MARKED, HOLD, POSTED = range(3)  # kinds of rows of payments; of the first: its transfer is to come
DEPTH_MAX = 6
SECOND_NS = 10 ** 9
DAY_NS = 86400 * SECOND_NS
UNITS_NS = (SECOND_NS, 60 * SECOND_NS, 3600 * SECOND_NS, DAY_NS, 0)
U64_MAX = (1 << 64) - 1
START = 2
TORN_BYTES_MAX = 4 << 20


class LogError(Exception):
    pass


def number(data, at):
    return int.from_bytes(data[at:at + 16], "little")


def meta_read(path):
    with open(os.path.join(path, "giro.meta"), "rb") as file:
        data = file.read()
    if len(data) != 512 or number(data, 496) != xxh3_128(data[:496]):
        raise LogError("giro.meta is damaged")
    magic, version, shards, directory_id, segment_bytes, sector_bytes, _ = META.unpack_from(data)
    if magic != b"GIROMETA" or version != 1 or shards != 1:
        raise LogError("giro.meta: unknown magic, version or number of shards")
    return directory_id, segment_bytes, sector_bytes


class Block:
    def __init__(self, data, at):
        (self.magic, self.version, self.shard, self.directory_id, self.segment, self.offset,
         self.lsn, self.lsn_durable, self.ordinal, self.record_count, self.block_bytes,
         self.written_at, self.epoch, self.kind, _) = HEADER.unpack_from(data, at)
        self.previous, self.body_checksum, self.header_checksum = (
            number(data, at + offset) for offset in (80, 96, 112))


class Log:
    """verdict: clean, torn, damaged or newer, once walk() has come to the end."""

    def __init__(self, path):
        self.directory_id, self.segment_bytes, self.sector_bytes = meta_read(path)
        folder = os.path.join(path, "shard-0")
        names = sorted(name for name in os.listdir(folder)
                       if len(name) == 14 and name.endswith(".log") and name[:10].isdigit())
        if names != ["%010d.log" % i for i in range(len(names))] or not names:
            raise LogError("segments are missing")
        self.paths = [os.path.join(folder, name) for name in names]
        self.loaded = (None, b"")
        self.segment, self.offset, self.lsn, self.ordinal, self.head = 0, 0, 1, 0, 0
        self.epochs, self.verdict = 0, None

    def bytes(self, segment):
        if self.loaded[0] != segment:
            with open(self.paths[segment], "rb") as file:
                data = file.read()
            self.loaded = (segment, data.ljust(self.segment_bytes, b"\0"))
        return self.loaded[1]

    def judge(self, segment, offset):
        """(verdict of section 3, block)"""
        data = self.bytes(segment)
        if data[offset:offset + 4] != b"GBLK":
            return ("damaged" if any(data[offset:offset + 128]) else "empty"), None
        block = Block(data, offset)
        if block.header_checksum != xxh3_128(data[offset:offset + 112]):
            return "damaged", None
        if block.version not in (1, 2):
            return "newer", block
        if (block.directory_id, block.shard, block.segment, block.offset) != (
                self.directory_id, 0, segment, offset):
            return "misplaced", block
        size = RECORD_BYTES * (1 + block.record_count)
        size = (size + self.sector_bytes - 1) // self.sector_bytes * self.sector_bytes
        if (block.lsn == 0 or block.lsn_durable >= block.lsn or block.kind > 3 or
                block.block_bytes != size or offset + size > self.segment_bytes):
            return "damaged", None
        return "sound", block

    def continues(self, block):
        return (block.lsn, block.ordinal, block.previous) == (self.lsn, self.ordinal, self.head)

    def body_holds(self, block):
        data = self.bytes(block.segment)
        body = data[block.offset + 128:block.offset + block.block_bytes]
        return block.body_checksum == xxh3_128(body)

    def proof_at(self, segment, offset):
        if (segment, offset) == (self.segment, self.offset):
            return False
        found, block = self.judge(segment, offset)
        return (found in ("sound", "misplaced", "newer") and
                block.directory_id == self.directory_id)

    def rest(self):
        """(a proof behind P, extent of what is not zero from P on, a file that is short)"""
        proof, short, begin, end = False, False, None, None
        for segment in range(self.segment, len(self.paths)):
            first = self.offset if segment == self.segment else 0
            data = self.bytes(segment)
            short = short or os.path.getsize(self.paths[segment]) < self.segment_bytes
            used = len(data.rstrip(b"\0"))
            if used > first:
                end = segment * self.segment_bytes + used
                if begin is None:
                    begin = end - len(data[first:used].lstrip(b"\0"))
            proof = proof or any(self.proof_at(segment, at) for at in
                                 range(first, max(used, first), self.sector_bytes))
        return proof, 0 if end is None else end - begin, short

    def end(self, found):
        proof, extent, short = self.rest()
        if found == "newer":
            self.verdict = "newer"
        elif found in ("misplaced", "contradicts") or proof or extent > TORN_BYTES_MAX:
            self.verdict = "damaged"
        else:
            self.verdict = "torn" if extent > 0 or short else "clean"

    def walk(self):
        """Yields (block, address of its first record, its records)."""
        while True:
            found, block = "empty", None
            if self.offset < self.segment_bytes:
                found, block = self.judge(self.segment, self.offset)
            if found in ("empty", "damaged", "newer") and self.segment + 1 < len(self.paths):
                next_found, next_block = self.judge(self.segment + 1, 0)
                if next_found == "sound" and self.continues(next_block):
                    self.segment, self.offset = self.segment + 1, 0
                    found, block = next_found, next_block
            if found == "sound" and not self.continues(block):
                found = "contradicts"
            if found != "sound":
                return self.end(found)
            if not self.body_holds(block):
                return self.end("body")
            data = self.bytes(self.segment)
            records = [data[at:at + RECORD_BYTES] for at in
                       range(self.offset + 128, self.offset + 128 * (1 + block.record_count), 128)]
            address = (self.segment * self.segment_bytes + self.offset) // RECORD_BYTES + 1
            self.offset += block.block_bytes
            self.lsn += 1
            self.ordinal += block.record_count
            self.head = block.header_checksum
            self.epochs += block.kind == START
            yield block, address, records


def may_have(flags, marks):
    """Whether a transfer with these flags may have these marks."""
    if flags & FACT:
        return marks < 2 * HELD and not marks & HELD
    return not flags & (POST | VOID | ADJUST) and (
        marks == OVER_VELOCITY or marks == OVER_VELOCITY | HELD and flags & PENDING != 0)


def expect(true, what):
    if not true:
        raise LogError("a record that contradicts the state: " + what)


class Payments:
    """Rows of payments: section 8."""

    def __init__(self):
        self.rows, self.number = [], {}

    def copy(self):
        other = Payments()
        other.rows, other.number = [dict(row) for row in self.rows], dict(self.number)
        return other

    def of(self, id):
        """The row of a transfer, None: it has none."""
        return self.rows[self.number[id]] if id in self.number else None

    def add(self, id, **fields):
        expect(id not in self.number, "a second row of payments for transfer %d" % id)
        self.number[id] = len(self.rows)
        self.rows.append({**{name: 0 for name, _ in PAYMENT_FIELDS}, "id": id, **fields})
        return self.rows[-1]

    def put(self, id, **fields):
        """A transfer gets its row: the one that its marks made, or a new one."""
        row = self.of(id)
        if row is not None and row["kind"] == MARKED:
            row.update(fields)
        else:
            self.add(id, **fields)

    def take(self, parent, first, amount):
        """Changes what is taken at every second level, from level 0 or from level 1 on."""
        level = 0
        while parent != 0:
            row = self.rows[parent - 1]
            if level % 2 == first:
                row["taken"] = min(max(row["taken"] + amount, 0), U128_MAX)
            level, parent = level + 1, row["parent"]

    def reserve(self, parent, amount):
        self.take(parent, 0, amount)

    def settle(self, parent, amount):
        self.take(parent, 1, -amount)

    def release(self, parent, amount):
        self.take(parent, 0, -amount)


def month_begin(month):
    """Of a month that is counted from January 1970, in ns."""
    day = datetime.date(1970 + month // 12, month % 12 + 1, 1)
    return (day.toordinal() - datetime.date(1970, 1, 1).toordinal()) * DAY_NS


class Slot:
    """A slot of velocity limits in a row of limits: section 8, what slots count."""

    def __init__(self, row, s):
        self.row, self.s = row, s
        rule = row["rule_%d" % s]
        self.period, self.unit, self.window = rule & 0xFFFF, rule >> 16 & 0xFF, rule >> 24 & 15
        self.flags, self.counts = rule >> 30, rule & ~(3 << 28)  # all but the verdict

    def __getitem__(self, name):
        return self.row["%s_%d" % (name, self.s)]

    def __setitem__(self, name, value):
        self.row["%s_%d" % (name, self.s)] = value

    def check(self):
        unused = self.window == 0 and self.row["rule_%d" % self.s] == 0 and self["maximum"] == 0
        months = self.unit < MONTHS or (self.unit == MONTHS and self.window == CALENDAR)
        expect(unused or (CALENDAR <= self.window <= RATE and months and self.period > 0),
               "a slot of limits")

    def window_of(self, time):
        """(begin, end) of the window that a time is in."""
        length = self["period_ns"]
        if self.unit == MONTHS:
            day = datetime.date.fromordinal(
                datetime.date(1970, 1, 1).toordinal() + time // DAY_NS)
            month = ((day.year - 1970) * 12 + day.month - 1) // self.period * self.period
            return month_begin(month), month_begin(month + self.period)
        monday = 4 * DAY_NS if self.window == CALENDAR and length % (7 * DAY_NS) == 0 else 0
        begin = (time - monday) // length * length + monday
        return begin, begin + length

    def count(self, time, n):
        if self.window == RATE:
            if n != 0 and self["maximum"] != 0:
                cost = -(-n * self["period_ns"] // self["maximum"])
                end = min(max(self["end"], time) + cost, time + 2 * self["period_ns"], U64_MAX)
                self["end"] = max(self["end"], end)
            return
        if time >= self["end"]:
            begin, end = self.window_of(time)
            follows = self.window == SLIDING and begin == self["end"]
            self["previous"] = self["current"] if follows else 0
            self["current"], self["end"] = 0, end
        self["current"] = min(self["current"] + n, U64_MAX)


class Settlements:
    """Rows of epochs and of settlements: section 8."""

    def __init__(self):
        self.epochs, self.rows = [], []
        self.epoch_of, self.number = {}, {}  # by ledger number, and by row of an account

    def copy(self):
        other = Settlements()
        other.epochs, other.rows = [dict(row) for row in self.epochs], [
            dict(row) for row in self.rows]
        other.epoch_of, other.number = dict(self.epoch_of), dict(self.number)
        return other

    def epoch(self, ledger):
        return self.epochs[self.epoch_of[ledger]]["epoch"] if ledger in self.epoch_of else 0

    def add(self, account_row, ledger):
        self.number[account_row] = len(self.rows)
        self.rows.append({**{name: 0 for name, _ in SETTLEMENT_ROW_FIELDS},
                          "account_row": account_row, "epoch": self.epoch(ledger)})

    def cut(self, ledger, epoch, time):
        expect(ledger != 0 and epoch == self.epoch(ledger), "a cut-off of another epoch")
        if ledger not in self.epoch_of:
            expect(len(self.epochs) < LEDGERS_MAX, "more ledger numbers than there can be")
            self.epoch_of[ledger] = len(self.epochs)
            self.epochs.append({})
        self.epochs[self.epoch_of[ledger]] = {
            "epoch": epoch + 1, "timestamp": time, "ledger": ledger, "zero": 0}

    def count(self, account_row, ledger, side, amount):
        """Adds what is posted to an account on one side."""
        if account_row not in self.number:
            return
        row = self.rows[self.number[account_row]]
        self.roll(row, self.epoch(ledger))
        row[side] += amount
        row["count"] += 1

    @staticmethod
    def roll(row, epoch):
        if row["epoch"] != epoch:
            for name in ("debits", "credits", "count", "epoch"):
                row[name + "_before"], row[name] = row[name], 0
            row["epoch"] = epoch

    def answer(self, id, account_row, ledger):
        """What get_settlements tells of an account, as docs/protocol.md says."""
        row, epoch = dict(self.rows[self.number[account_row]]), self.epoch(ledger)
        self.roll(row, epoch)
        if row["epoch_before"] + 1 != epoch:
            row.update(debits_before=0, credits_before=0, count_before=0)
        found = {name: row[name] for name in ("debits", "credits", "debits_before",
                                              "credits_before", "count", "count_before", "epoch")}
        begin = self.epochs[self.epoch_of[ledger]]["timestamp"] if ledger in self.epoch_of else 0
        return {"account_id": id, **found, "begin": begin, "ledger": ledger, "reserved": 0}


class Leases:
    """Rows of leases: section 8."""

    def __init__(self):
        self.rows, self.number = [], {}  # and which row is a key's

    def copy(self):
        other = Leases()
        other.rows, other.number = [dict(row) for row in self.rows], dict(self.number)
        return other

    def apply(self, lease, address):
        at, known = lease["row"], self.number.get(lease["key"])
        expect(lease["key"] and lease["owner"] and at <= len(self.rows) and at < LEASES_MAX and
               lease["deadline"] <= TIMESTAMP_MAX and known in (None, at), "a row of leases")
        place = self.rows[at] if at < len(self.rows) else None
        if lease["action"] == ACQUIRE:
            current = place is not None and place["deadline"] > lease["timestamp"]
            expect(lease["token"] == address and
                   not (current and (known is None or place["owner"] != lease["owner"])),
                   "a lease that another one has")
        else:
            expect(known is not None and place["token"] == lease["token"] and
                   (lease["action"] == RELEASE) == (lease["deadline"] == 0), "another lease")
        if place is None:
            self.rows.append(None)
        else:
            del self.number[place["key"]]
        self.number[lease["key"]] = at
        self.rows[at] = {name: lease[name] for name, _ in LEASE_ROW_FIELDS}


class Sessions:
    """Rows of sessions: section 8. Their results lie behind their records."""

    def __init__(self):
        self.rows, self.number, self.left = [], {}, 0  # results that must come yet

    def copy(self):
        other = Sessions()
        other.rows, other.number = [dict(row) for row in self.rows], dict(self.number)
        other.left = self.left
        return other

    def apply(self, session, address):
        at, known = session["row"], self.number.get(session["client"])
        expect(session["client"] and at <= len(self.rows) and at < SESSIONS_MAX and
               known in (None, at) and session["reserved"] == 0 and
               session["result_count"] <= session["event_count"] <= EVENTS_MAX and
               self.left == 0, "a row of sessions")
        if session["request"] == 0:
            expect(session["number"] == address, "the number of a session")
        else:
            expect(known is not None and self.rows[at]["number"] == session["number"] and
                   self.rows[at]["request"] < session["request"], "another session")
        if at == len(self.rows):
            self.rows.append(None)
        else:
            del self.number[self.rows[at]["client"]]
        self.number[session["client"]] = at
        self.left = session["result_count"]
        self.rows[at] = {name: {**session, "address": address, "zero": 0}[name]
                         for name, _ in SESSION_ROW_FIELDS}

    def results(self, record):
        count = number(record[112:116])
        expect(0 < count <= SESSION_RESULTS_MAX and count == min(self.left, SESSION_RESULTS_MAX),
               "results of a session")
        self.left -= count


class Schedules:
    """Rows of schedules: section 8."""

    def __init__(self):
        self.rows, self.number, self.half = [], {}, False  # half: the newest lacks its transfer

    def copy(self):
        other = Schedules()
        other.rows, other.number = [dict(row) for row in self.rows], dict(self.number)
        return other

    @staticmethod
    def day_in(month, day):
        """Day, counted from 1970, of a month that is counted likewise, or its last one."""
        year, month = 1970 + month // 12, month % 12 + 1
        days = calendar.monthrange(year, month)[1]
        return datetime.date(year, month, min(day, days)).toordinal() - EPOCH_DAY

    @classmethod
    def due(cls, row, occurrence):
        """When an occurrence is due; 0: there is none."""
        if row["occurrences"] and occurrence >= row["occurrences"]:
            return 0
        if row["rule"] == BY_SECONDS:
            due = row["first"] + row["interval"] * occurrence * SECOND_NS
        else:
            first = datetime.date.fromordinal(EPOCH_DAY + row["first"] // DAY_NS)
            months = row["interval"] * (12 if row["rule"] == BY_YEARS else 1)
            month = (first.year - 1970) * 12 + first.month - 1 + months * occurrence
            if month > 12 * 400:  # no timestamp is as late
                return 0
            due = cls.day_in(month, row["day"]) * DAY_NS + row["first"] % DAY_NS
        return 0 if due > TIMESTAMP_MAX or row["end"] and due > row["end"] else due

    def check_rule(self, row):
        expect(row["rule"] in (BY_SECONDS, BY_MONTHS, BY_YEARS) and row["interval"] and
               0 < row["first"] <= TIMESTAMP_MAX, "the rule of a schedule")
        if row["rule"] == BY_SECONDS:
            expect(row["day"] == 0, "the day of a schedule")
        else:
            day = row["first"] // DAY_NS
            date = datetime.date.fromordinal(EPOCH_DAY + day)
            expect(1 <= row["day"] <= 31 and day == self.day_in(
                (date.year - 1970) * 12 + date.month - 1, row["day"]), "the day of a schedule")
        expect(row["end"] == 0 or row["end"] >= row["first"], "the end of a schedule")
        expect(row["retries"] <= 4 and all((i < row["retries"]) == (row["retry_%d" % i] != 0)
                                           for i in range(4)), "the retries of a schedule")

    def begin(self, row):
        """The first half of one."""
        row.update(state=ACTIVE, flags=0, of_code=row["transfer_code"],
                   of_flags=row["transfer_flags"], transfer_code=0, transfer_flags=0)
        expect(not self.half and row["next"] == row["first"] and row["id"] and
               row["id"] not in self.number and not any(
                   row[name] for name in RESERVED_OF_SCHEDULES), "a schedule")
        self.check_rule(row)
        for name, _ in TRANSFER_FIELDS:
            row.setdefault("of_" + name, 0)
        self.number[row["id"]], self.half = len(self.rows), True
        self.rows.append(row)

    def complete(self, made, accounts):
        """The transfer that it makes."""
        row = self.rows[-1] if self.half else {"id": 0}
        expect(made["id"] == row["id"] != 0 and made["pending_id"] == 0, "a transfer of no schedule")
        flags, debit, credit = row["of_flags"], *(made[side + "_account_id"]
                                                  for side in ("debit", "credit"))
        expect(not flags & ~(PENDING | BALANCING_DEBIT | BALANCING_CREDIT | NO_LIMIT) and
               row["of_code"] and made["ledger"] and debit != credit and
               (flags & PENDING or not made["timeout"]), "the transfer of a schedule")
        expect(all(id in accounts and accounts[id]["ledger"] == made["ledger"]
                   for id in (debit, credit)), "the accounts of a schedule")
        row.update({"of_" + name: made[name] for name, _ in TRANSFER_FIELDS
                    if name not in ("id", "code", "flags", "timestamp")})
        self.half = False

    def row_of(self, firing):
        expect(firing["row"] < len(self.rows) and firing["next"] <= TIMESTAMP_MAX, "a row")
        row = self.rows[firing["row"]]
        expect(row["id"] == firing["schedule_id"] and row["state"] == ACTIVE, "another schedule")
        return row

    def fire(self, firing):
        row = self.row_of(firing)
        expect(firing["due"] == row["next"] and firing["transfer_id"] and
               all(firing[name] == row[name] for name in ("occurrence", "attempt")), "an attempt")
        row.update(next=firing["next"], occurrence=firing["occurrence_next"],
                   attempt=firing["attempt_next"], last_id=firing["transfer_id"],
                   last_result=firing["result"], made=row["made"] + (firing["result"] == 0))
        if firing["next"] == 0:
            row["state"] = OVER

    def cancel(self, firing):
        self.row_of(firing).update(next=0, state=CANCELLED)

    @classmethod
    def advance(cls, row, firing):
        """(occurrence, attempt, time) of the attempt behind one, as docs/protocol.md says."""
        attempt = firing["attempt"]
        if firing["result"] != 0 and attempt < row["retries"]:
            again = firing["timestamp"] + row["retry_%d" % attempt] * SECOND_NS
            return firing["occurrence"], attempt + 1, again if again <= TIMESTAMP_MAX else 0
        return firing["occurrence"] + 1, 0, cls.due(row, firing["occurrence"] + 1)


class Books:
    """Replay: section 8. The amount of a hold is what is left of it."""

    def __init__(self):
        self.accounts, self.row_of, self.holds, self.deadlines = {}, {}, {}, {}
        self.payments, self.announced = Payments(), None  # id of the transfer that must come now
        self.limits, self.limits_of = [], {}  # rows, and which one is an account's
        self.settlements = Settlements()
        self.leases, self.schedules, self.sessions = Leases(), Schedules(), Sessions()
        self.counts, self.expired = [0, 0, 0, 0], 0

    def move(self, transfer, state, amount):
        self.accounts[transfer["debit_account_id"]]["debits_" + state] += amount
        self.accounts[transfer["credit_account_id"]]["credits_" + state] += amount
        for side in ("debit", "credit") if state == "posted" else ():
            id = transfer[side + "_account_id"]
            self.settlements.count(self.row_of[id], self.accounts[id]["ledger"], side + "s", amount)

    def close(self, hold, closed):
        for flag, name in ((CLOSING_DEBIT, "debit_account_id"),
                           (CLOSING_CREDIT, "credit_account_id")):
            if hold["flags"] & flag:
                account = self.accounts[hold[name]]
                account["flags"] = account["flags"] & ~CLOSED | (CLOSED if closed else 0)

    def hold_of(self, transfer):
        """The open hold that a transfer or an expiry names."""
        hold = self.holds.get(transfer["pending_id"])
        expect(hold is not None, "hold %d is not open" % transfer["pending_id"])
        expect(all(transfer[name] == hold[name] for name in
                   ("debit_account_id", "credit_account_id")), "other accounts than the hold's")
        return hold

    def end(self, hold):
        del self.holds[hold["id"]], self.deadlines[hold["id"]]

    def account_rows(self, transfer):
        return {"debit_row": self.row_of[transfer["debit_account_id"]],
                "credit_row": self.row_of[transfer["credit_account_id"]]}

    def parent(self, hold):
        row = self.payments.of(hold["id"])
        return 0 if row is None else row["parent"]

    def amended(self, hold):
        """The row of a hold that is about to be amended."""
        left = hold["amount"]
        return self.payments.of(hold["id"]) or self.payments.add(
            hold["id"], amount=left, left=left, kind=HOLD, **self.account_rows(hold))

    def apply(self, record, address):
        kind = record[119] >> 6
        self.counts[kind] += 1
        fields = decode(ACCOUNT_FIELDS if kind == ACCOUNT else TRANSFER_FIELDS, record)
        fields["flags"] &= 0x3FFF
        expect(fields["timestamp"] <= TIMESTAMP_MAX, "a timestamp")
        system = fields["code"] if kind == SYSTEM else 0
        if self.announced is not None:
            named = fields["user_data_128"] if system == PAYMENT else fields["id"]
            expect((kind == TRANSFER or system == PAYMENT) and named == self.announced,
                   "a payment record, or an attempt, in front")
            self.announced = None
        if kind == ACCOUNT:
            expect(fields["id"] not in self.accounts, "a second account %d" % fields["id"])
            self.row_of[fields["id"]] = len(self.accounts)
            self.accounts[fields["id"]] = fields
            if fields["flags"] & SETTLES:
                self.settlements.add(self.row_of[fields["id"]], fields["ledger"])
        elif kind == TRANSFER:
            self.transfer(fields)
        elif kind == SYSTEM:
            self.system(system, fields, record, address)

    def system(self, code, fields, record, address):
        if code == EXPIRY:
            self.expiry(fields)
        elif code == PAYMENT:
            self.payment(fields)
        elif code == LIMITS:
            self.set_limits(decode(LIMITS_FIELDS, record))
        elif code == LEASE:
            self.leases.apply(decode(LEASE_FIELDS, record), address)
        elif code == SCHEDULE:
            self.schedules.begin(decode(SCHEDULE_FIELDS, record))
        elif code == TEMPLATE:
            self.schedules.complete(fields, self.accounts)
        elif code == FIRING:
            firing = decode(FIRING_FIELDS, record)
            self.schedules.fire(firing)
            if firing["result"] == 0:
                self.announced = firing["transfer_id"]
        elif code == CANCEL:
            self.schedules.cancel(decode(FIRING_FIELDS, record))
        elif code == CUT_OFF:
            cut_off = decode(CUT_OFF_FIELDS, record)
            self.settlements.cut(cut_off["ledger"], cut_off["epoch"], cut_off["timestamp"])
        elif code == SESSION:
            self.sessions.apply(decode(SESSION_FIELDS, record), address)
        elif code == SESSION_RESULTS:
            self.sessions.results(record)
        elif code not in (DIGEST, SNAPSHOT):
            raise LogError("unknown system record")

    def block_ends(self):
        expect(self.announced is None, "a payment record, or an attempt, is the last one of its block")
        expect(not self.schedules.half, "half a schedule at the end of a block")
        expect(self.sessions.left == 0, "results of a session are missing in its block")

    def transfer(self, transfer):
        flags = transfer["flags"]
        expect(all(transfer[name] in self.accounts for name in
                   ("debit_account_id", "credit_account_id")), "an unknown account")
        ways = flags & (PENDING | POST | VOID)
        expect(ways in (0, PENDING, POST, VOID), "more than one of pending, post and void")
        expect(not flags & ADJUST or ways == PENDING, "adjust without pending")
        expect(not flags & KEEP_OPEN or ways & (POST | VOID), "keep_open without post or void")
        expect(not flags & RETURN or not (ways & (POST | VOID) or flags & ADJUST), "return, with")
        expect(not (flags & FACT and ways & VOID), "fact, with void")
        row = self.payments.of(transfer["id"])
        expect(row is None or may_have(flags, row["marks"]), "marks of what has none")
        if flags & ADJUST:
            self.adjust(transfer)
        elif flags & POST:
            self.post(transfer)
        elif flags & VOID:
            self.void(transfer)
        else:
            self.plain(transfer)

    def plain(self, transfer):
        flags, amount, pends = transfer["flags"], transfer["amount"], transfer["flags"] & PENDING
        self.move(transfer, "pending" if pends else "posted", amount)
        if pends:
            self.holds[transfer["id"]], seconds = transfer, transfer["timeout"]
            self.deadlines[transfer["id"]] = seconds and transfer["timestamp"] + seconds * SECOND_NS
            self.close(transfer, True)
        row = dict(amount=amount, left=amount if pends else 0, kind=HOLD if pends else POSTED,
                   **self.account_rows(transfer))
        if flags & RETURN:
            origin = self.payments.of(transfer["pending_id"])
            expect(origin is not None and origin["kind"] == POSTED and origin["depth"] < DEPTH_MAX,
                   "what is returned")
            parent = self.payments.number[origin["id"]] + 1
            self.payments.reserve(parent, amount)
            if not pends:
                self.payments.settle(parent, amount)
            self.payments.put(transfer["id"], parent=parent, depth=origin["depth"] + 1, **row)
        elif self.payments.of(transfer["id"]) is not None:
            self.payments.put(transfer["id"], **row)
        self.count(transfer)

    def count(self, transfer):
        """Counts a transfer where accounts limit velocity."""
        if transfer["flags"] & NO_LIMIT:
            return
        for name, side in (("debit_account_id", 0), ("credit_account_id", OF_CREDITS)):
            row = self.limits_of.get(transfer[name])
            if row is None or not self.limits[row]["flags"] & LIMITS_COUNT:
                continue
            for slot in (Slot(self.limits[row], s) for s in SLOTS):
                if slot.window == 0 or slot.flags & OF_CREDITS != side:
                    continue
                n = 0 if transfer["flags"] & ADJUST else 1
                if slot.flags & AMOUNT:
                    n = min(transfer["amount"], U64_MAX)
                slot.count(transfer["timestamp"], n)

    def adjust(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        row = self.amended(hold)
        row["amount"] = min(row["amount"] + amount, U128_MAX)
        row["left"] += amount
        self.payments.reserve(row["parent"], amount)
        hold["amount"] += amount
        self.move(hold, "pending", amount)
        self.count(transfer)
        if transfer["timeout"] != 0 and self.deadlines[hold["id"]] != 0:
            self.deadlines[hold["id"]] = max(
                self.deadlines[hold["id"]],
                transfer["timestamp"] + transfer["timeout"] * SECOND_NS)

    def may_over_capture(self, hold):
        row = self.limits_of.get(hold["credit_account_id"])
        return (row is not None and self.limits[row]["over_capture"] > 0 and
                self.parent(hold) == 0)

    def post(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        keeps = transfer["flags"] & KEEP_OPEN
        left = hold["amount"]
        expect(amount <= left or transfer["flags"] & FACT or self.may_over_capture(hold),
               "a post of more than is left")
        row = self.amended(hold) if keeps else self.payments.of(hold["id"])
        if row is not None:
            row["taken"] = min(row["taken"] + amount, U128_MAX)
            row["left"] -= min(amount, left) if keeps else 0
        parent = self.parent(hold)
        self.payments.settle(parent, amount)
        self.payments.reserve(parent, max(amount - left, 0))
        if not keeps:
            self.payments.release(parent, max(left - amount, 0))
        if parent != 0 or self.payments.of(transfer["id"]) is not None:
            self.payments.put(transfer["id"], amount=amount, parent=parent, kind=POSTED,
                              depth=row["depth"] if parent != 0 else 0, **self.account_rows(hold))
        self.move(hold, "posted", amount)
        self.move(hold, "pending", -min(amount, left) if keeps else -left)
        if keeps:
            hold["amount"] -= min(amount, left)
        else:
            self.end(hold)

    def void(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        keeps = transfer["flags"] & KEEP_OPEN
        expect(amount <= hold["amount"] if keeps else amount == hold["amount"], "amount of a void")
        if keeps:
            self.amended(hold)["left"] -= amount
        self.payments.release(self.parent(hold), amount)
        self.move(hold, "pending", -amount)
        if keeps:
            hold["amount"] -= amount
        else:
            self.close(hold, False)
            self.end(hold)

    def expiry(self, expiry):
        hold = self.hold_of(expiry)
        expect(expiry["amount"] == hold["amount"], "amount of an expiry")
        self.expired += 1
        self.payments.release(self.parent(hold), hold["amount"])
        self.move(hold, "pending", -hold["amount"])
        self.close(hold, False)
        self.end(hold)

    def payment(self, record):
        """What is to be known about the transfer behind it."""
        self.announced, marks = record["user_data_128"], record["user_data_32"]
        expect(self.announced != 0 and marks < 1 << 16 and (marks or record["pending_id"]),
               "a payment record")
        if record["pending_id"] != 0:
            expect(all(record[name] in self.accounts for name in
                       ("debit_account_id", "credit_account_id")), "an unknown account")
            self.payments.add(record["pending_id"], amount=record["amount"], kind=POSTED,
                              **self.account_rows(record))
        if marks != 0:
            self.payments.add(self.announced, marks=marks, kind=MARKED)

    def set_limits(self, limits):
        id = limits["account_id"]
        expect(id in self.accounts, "limits of an unknown account")
        expect(limits["over_capture"] <= OVER_CAPTURE_MAX, "over_capture")
        expect(limits["flags"] & 0x3FFF < 8, "flags of limits")
        row = {name: limits[name] for name in ("floor", "balance_max", "transfer_max", "timestamp",
                                               "over_capture")}
        row.update(account_row=self.row_of[id], flags=limits["flags"] & 0x3FFF)
        if id not in self.limits_of:
            self.limits_of[id] = len(self.limits)
            self.limits.append({name: 0 for name, _ in LIMITS_ROW_FIELDS})
        before = self.limits[self.limits_of[id]]
        self.limits[self.limits_of[id]] = row
        for s in SLOTS:
            for name in ("maximum", "rule"):
                row["%s_%d" % (name, s)] = limits["%s_%d" % (name, s)]
            slot, old = Slot(row, s), Slot(before, s)
            slot.check()
            slot["period_ns"] = slot.period * UNITS_NS[slot.unit]
            same = slot.window != 0 and slot.counts == old.counts
            for name in ("end", "current", "previous"):
                slot[name] = old[name] if same else 0
            slot["zero"] = 0
            row["flags"] |= LIMITS_COUNT if slot.window != 0 else 0


def read(path):
    """(log, books) of a directory, read to its end."""
    log, books = Log(path), Books()
    for _, first, records in log.walk():
        for i, record in enumerate(records):
            books.apply(record, first + i)
        books.block_ends()
    return log, books


def main(path):
    log, books = read(path)
    print("blocks     %d, %d starts" % (log.lsn - 1, log.epochs))
    print("records    %d accounts, %d transfers, %d burnt ids, %d expiries; %d holds open" %
          (books.counts[ACCOUNT], books.counts[TRANSFER], books.counts[BURNT],
           books.expired, len(books.holds)))
    print("payments   %d rows" % len(books.payments.rows))
    print("limits     %d rows" % len(books.limits))
    print("leases     %d rows" % len(books.leases.rows))
    print("schedules  %d rows" % len(books.schedules.rows))
    print("sessions   %d rows" % len(books.sessions.rows))
    print("settlement %d epochs, %d rows" %
          (len(books.settlements.epochs), len(books.settlements.rows)))
    print("head       %032x" % log.head)
    print("end        %s, segment %d, offset %d" % (log.verdict, log.segment, log.offset))
    for account in books.accounts.values():
        print("account %d ledger %d flags %d: debits %d + %d pending, credits %d + %d pending" % (
            account["id"], account["ledger"], account["flags"], account["debits_posted"],
            account["debits_pending"], account["credits_posted"], account["credits_pending"]))
    return 0 if log.verdict in ("clean", "torn") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
