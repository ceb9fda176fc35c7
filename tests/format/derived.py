"""A reader of what Giro derives from its log, written from docs/log-format.md alone.

    python3 derived.py DIR

reads the log, works out what every sidecar, every snapshot and the manifest must hold, byte for
byte, and compares. Checks the digest and snapshot records of the log on the way. Exit status 0: all
that is there agrees with the log.
"""
import functools
import os
import struct
import sys

import log as log_format
from lmdb_file import Lmdb, LmdbError
from log import (ACCOUNT, BURNT, CANCEL, CUT_OFF, DIGEST, EPOCH_FIELDS, EXPIRY, FIRING, LEASE,
                 LEASE_ROW_FIELDS, LIMITS, LIMITS_ROW_FIELDS, PAYMENT_FIELDS, SCHEDULE,
                 SCHEDULE_ROW_FIELDS, SESSION, SESSION_ROW_FIELDS, SETTLEMENT_ROW_FIELDS, SNAPSHOT, SYSTEM, TRANSFER, number)
from protocol import (ACCOUNT_FIELDS, FACT, HISTORY, KEEP_OPEN, POST, TRANSFER_FIELDS, U128_MAX,
                      VOID, decode, encode)
from xxh3 import xxh3_64, xxh3_128

MASK = (1 << 64) - 1
POSTED, VOIDED, EXPIRED = 1, 2, 3  # how a hold ended
BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
PAGE, PAYLOAD, CHUNK = 4096, 4088, 65536
FACTS = struct.Struct("<4I5Q16s16s4Q")
SIDECAR_HEAD = struct.Struct("<Q8sII16s120s")
EXTENT = struct.Struct("<IIQ")
SECTIONS = (("runs", 8), ("ids", 8), ("chunks", 4), ("log_pages", 8), ("accounts", 8),
            ("user_data", 8), ("history", 8), ("balances", 80), ("base", 1), ("released", 1),
            ("accounts_fences", 8), ("user_data_fences", 8), ("history_fences", 8))
FENCED = ("accounts", "user_data", "history")
CHUNK_HEAD = struct.Struct("<16sQII")
PER_CHUNK = {"accounts": (31, 128), "payments": (49, 80), "limits": (15, 256),
             "leases": (82, 48), "schedules": (15, 256), "epochs": (165, 24),
             "settlements": (35, 112), "sessions": (49, 80),
             "holds": (27, 144), "outcomes": (3968, 1)}  # items, item size
TABLES = (("accounts", ACCOUNT_FIELDS), ("payments", PAYMENT_FIELDS), ("limits", LIMITS_ROW_FIELDS),
          ("leases", LEASE_ROW_FIELDS), ("schedules", SCHEDULE_ROW_FIELDS), ("epochs", EPOCH_FIELDS),
          ("settlements", SETTLEMENT_ROW_FIELDS), ("sessions", SESSION_ROW_FIELDS))  # by their numbers
TIMED = (EXPIRY, LIMITS, LEASE, SCHEDULE, FIRING, CANCEL, CUT_OFF, SESSION)  # by the ledger's clock
TABLES_ALWAYS = 7
META = struct.Struct("<II16s IIQQQ16s 6Q Q 16s 8Q 64s")
ENTRY = struct.Struct("<IIQQQ16s")


class Difference(Exception):
    """Something is not what the log makes it."""


def expect(true, what):
    if not true:
        raise Difference(what)


def checksum(data):
    return xxh3_128(data).to_bytes(16, "little")


def words(numbers):
    return struct.pack("<%dQ" % len(numbers), *numbers)


def packed(value):
    """7 bits a byte, least first, the top bit set in all but the last."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# ---- The log, replayed --------------------------------------------------------------------------

class State(log_format.Books):
    """The books, and what else a server knows: rows, outcomes, totals."""

    def __init__(self):
        super().__init__()
        self.rows, self.addresses, self.outcomes = [], {}, {}
        self.timestamp_last = self.account_timestamp_last = self.transfer_timestamp_last = 0
        self.transfers = self.burnt = 0

    def copy(self):
        """All but accounts, which goes on with the original."""
        other = State()
        other.__dict__.update(self.__dict__)
        other.rows = [dict(row) for row in self.rows]
        other.holds = {id: dict(hold) for id, hold in self.holds.items()}
        other.deadlines, other.addresses, other.outcomes = (
            dict(self.deadlines), dict(self.addresses), dict(self.outcomes))
        other.payments = self.payments.copy()
        other.limits, other.limits_of = [dict(row) for row in self.limits], dict(self.limits_of)
        other.settlements = self.settlements.copy()
        other.leases, other.schedules = self.leases.copy(), self.schedules.copy()
        other.sessions = self.sessions.copy()
        return other

    def settle(self, pending_id, outcome):
        self.outcomes[self.addresses.pop(pending_id)] = outcome

    def follow(self, record, fields, kind, address):
        """Applies a record; returns the number that released has for it, if it is a post."""
        released, pending_id = 0, fields.get("pending_id")
        if kind == TRANSFER and fields["flags"] & POST and pending_id in self.holds:
            released = left = self.holds[pending_id]["amount"]
            if fields["flags"] & KEEP_OPEN:
                released = min(fields["amount"], left)
            if not fields["flags"] & FACT:
                released = (released - fields["amount"]) & U128_MAX
        self.apply(record, address)
        if kind == ACCOUNT:
            self.rows.append(self.accounts[fields["id"]])
            self.account_timestamp_last = fields["timestamp"]
        elif kind == TRANSFER:
            self.transfers += 1
            self.transfer_timestamp_last = fields["timestamp"]
            if fields["id"] in self.holds:
                self.addresses[fields["id"]] = address
            elif fields["flags"] & (POST | VOID) and not fields["flags"] & KEEP_OPEN:
                self.settle(pending_id, POSTED if fields["flags"] & POST else VOIDED)
        elif kind == BURNT:
            self.burnt += 1
        elif fields["code"] == EXPIRY:
            self.settle(pending_id, EXPIRED)
        if kind != SYSTEM or fields["code"] in TIMED:
            self.timestamp_last = max(self.timestamp_last, fields["timestamp"])
        return released

    def tables(self):
        """The rows of each table, by its number."""
        return (self.rows, self.payments.rows, self.limits, self.leases.rows, self.schedules.rows,
                self.settlements.epochs, self.settlements.rows, self.sessions.rows)

    def table_count(self):
        """Tables that digests are of."""
        tables = self.tables()
        return max([TABLES_ALWAYS] + [i + 1 for i, rows in enumerate(tables) if rows])

    def table_bytes(self, table, first=0, count=None):
        rows = self.tables()[table]
        end = len(rows) if count is None else first + count
        return b"".join(encode(TABLES[table][1], row) for row in rows[first:end])

    def side_sum(self, first, count, table, where):
        """Of rows of one table that is not that of accounts."""
        expect(table < len(TABLES) and count <= 4096 and
               first + count <= len(self.tables()[table]) and (table > 0 or count == 0),
               where + "rows of another table")
        return MASK & xxh3_128(self.table_bytes(table, first, count)) if count > 0 else 0

    def hold_bytes(self, id, last):
        """144 bytes of an open hold; last: the two numbers at their end."""
        return encode(TRANSFER_FIELDS, self.holds[id]) + words(last)

    def balances(self, row):
        return b"".join(self.rows[row][name].to_bytes(16, "little") for name in BALANCES)

    def digest(self):
        holds = sum(xxh3_128(self.hold_bytes(id, [self.deadlines[id], 0])) for id in self.holds)
        return checksum(b"".join(checksum(self.table_bytes(i)) for i in range(self.table_count())) +
                        words([holds & MASK, self.account_timestamp_last,
                               self.transfer_timestamp_last, self.transfers, self.burnt,
                               self.expired]))

    def digest_check(self, record, where):
        first, count = struct.unpack_from("<QQ", record, 16)
        expect(count <= 4096 and first + count <= len(self.rows), where + "rows")
        side = struct.unpack_from("<III", record, 104)
        counts = words([len(rows) for rows in self.tables()[:self.table_count()]])
        expected = checksum(self.table_bytes(0, first, count)) + words([
            first, count, len(self.rows), self.transfers, self.burnt, self.expired,
            len(self.holds), self.account_timestamp_last, self.transfer_timestamp_last,
            MASK & xxh3_128(counts), self.side_sum(*side, where)])
        expect(record[:104] == expected, where + "differs from the state")


class Segment:
    """What one segment of the log comes to, and what its sidecar must hold."""

    def __init__(self, segment, block, before, state):
        self.segment, self.first, self.last = segment, block, block
        self.before = before  # the block before it, None: none
        self.state = state  # at its beginning; only where there is a snapshot
        self.runs, self.ids, self.chunks = [], [], []
        self.base, self.history, self.balances = {}, [], []
        self.accounts, self.user_data, self.released = [], [], bytearray()
        self.timestamps, self.accounts_created = [], 0

    @property
    def used_bytes(self):
        return self.last.offset + self.last.block_bytes

    def facts(self):
        first, last, times = self.first, self.last, self.timestamps or [0]
        return FACTS.pack(
            self.segment, last.epoch, self.used_bytes, last.offset, first.lsn, last.lsn + 1,
            first.ordinal, last.ordinal + last.record_count, last.written_at,
            first.previous.to_bytes(16, "little"), last.header_checksum.to_bytes(16, "little"),
            times[0], times[-1], len(self.timestamps), self.accounts_created)

    def block(self, block, sector_bytes):
        self.last = block
        while len(self.chunks) * CHUNK < self.used_bytes:
            self.chunks.append(block.offset // sector_bytes + 1)

    def id(self, place, hashed):
        if not self.runs or sum(self.runs[-1]) != place:
            self.runs.append([place, 0])
        self.runs[-1][1] += 1
        self.ids.append(hashed)

    def data_of(self, place, fields, kind, hash_seed):
        keys = set()
        for width in (128, 64, 32):
            value = fields["user_data_%d" % width]
            if value != 0:
                key = xxh3_64(value.to_bytes(16, "little"), hash_seed ^ width) & 0xFFFFFFFE
                keys.add(key | (kind == ACCOUNT))
        self.user_data += [key << 32 | place for key in keys]

    def transfer(self, place, fields, rows, state):
        self.timestamps.append(fields["timestamp"])
        for side, row in enumerate(rows):
            posting = place * 2 + side
            self.accounts.append(row << 32 | posting)
            if state.rows[row]["flags"] & HISTORY:
                self.history.append(row << 32 | len(self.balances))
                self.balances.append(state.balances(row) + struct.pack(
                    "<QII", fields["timestamp"], posting, row))

    def base_bytes(self):
        out, before = bytearray(), 0
        for row, balances in sorted(self.base.items()):
            out += packed(row - before)
            for at in range(0, 64, 16):
                out += packed(number(balances, at))
            before = row
        return bytes(out)

    def sections(self, pages):
        """The items of every section; pages: the checksums of the log's pages."""
        sections = {
            "runs": b"".join(struct.pack("<II", *run) for run in self.runs),
            "ids": words(self.ids), "chunks": struct.pack("<%dI" % len(self.chunks), *self.chunks),
            "log_pages": words(pages), "balances": b"".join(self.balances),
            "base": self.base_bytes(), "released": bytes(self.released)}
        for name in FENCED:
            items = sorted(getattr(self, name))
            sections[name] = words(items)
            sections[name + "_fences"] = words(items[::PAYLOAD // 8])
        return sections


class Derived:
    """Everything that the log of a directory says about what was derived from it."""

    def __init__(self, path):
        self.log = log_format.Log(path)
        self.folder = os.path.join(path, "shard-0")
        self.hash_seed = xxh3_128(self.log.directory_id) & MASK
        self.entries = self.manifest(self.read("manifest")) if self.exists("manifest") else []
        self.segments, self.state = [], State()
        self.digests, self.snapshots = 0, {}  # the latter: by segment, the last record about it
        self.id_hash = functools.lru_cache(maxsize=None)(self.id_hash)
        before = None
        for block, address, records in self.log.walk():
            if block.offset == 0:
                wanted = any(entry[0] == block.segment for entry in self.entries)
                self.segments.append(Segment(block.segment, block, before,
                                             self.state.copy() if wanted else None))
            place = block.offset // 128 + 1
            for i, record in enumerate(records):
                self.record(self.segments[-1], record, address + i, place + i, block)
            self.state.block_ends()
            self.segments[-1].block(block, self.log.sector_bytes)
            before = block
        expect(self.log.verdict in ("clean", "torn"), "the log is " + self.log.verdict)

    def exists(self, name):
        return os.path.exists(os.path.join(self.folder, name))

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def id_hash(self, id):
        hashed = xxh3_64((id >> 6).to_bytes(16, "little"), self.hash_seed) ^ (id & 63) << 58
        return hashed ^ 1 << 40 if hashed >> 40 == 0xFFFFFF else hashed

    def record(self, segment, record, address, place, block):
        kind, state = record[119] >> 6, self.state
        fields = decode(ACCOUNT_FIELDS if kind == ACCOUNT else TRANSFER_FIELDS, record)
        moves = kind == TRANSFER or kind == SYSTEM and fields["code"] == EXPIRY
        rows = [state.row_of[fields[side]] for side in
                ("debit_account_id", "credit_account_id")] if moves else []
        for row in rows:
            if row not in segment.base:
                segment.base[row] = state.balances(row)
        released = state.follow(record, fields, kind, address)
        if kind in (TRANSFER, BURNT):
            segment.id(place, self.id_hash(fields["id"]))
        if kind == TRANSFER:
            segment.transfer(place, fields, rows, state)
            segment.data_of(place, fields, kind, self.hash_seed)
            if fields["flags"] & POST:
                segment.released += packed(released)
        elif kind == ACCOUNT:
            segment.accounts_created += 1
            segment.data_of(place, fields, kind, self.hash_seed)
        elif kind == SYSTEM and fields["code"] == DIGEST:
            state.digest_check(record, "digest record at address %d: " % address)
            self.digests += 1
        elif kind == SYSTEM and fields["code"] == SNAPSHOT:
            self.snapshot_record(record, block)

    # ---- Sidecars -------------------------------------------------------------------------------

    def sidecar_seed(self, segment):
        return self.hash_seed ^ segment << 32

    def page_sum(self, segment, page, data):
        return xxh3_64(data[page * PAGE + 8:(page + 1) * PAGE], self.sidecar_seed(segment) ^ page)

    def sidecar_sections(self, segment):
        data, seed = self.log.bytes(segment.segment), self.sidecar_seed(segment.segment)
        return segment.sections([xxh3_64(data[at:at + PAGE], seed)
                                 for at in range(0, segment.used_bytes, PAGE)])

    def sidecar(self, segment, data, sections=None):
        """Checks the bytes of a sidecar; sections: of sidecar_sections(), where at hand."""
        where = "%010d.idx: " % segment.segment
        expect(len(data) > 0 and len(data) % PAGE == 0, where + "size")
        for page in range(len(data) // PAGE):
            expect(int.from_bytes(data[page * PAGE:page * PAGE + 8], "little") ==
                   self.page_sum(segment.segment, page, data), where + "checksum of page %d" % page)
        _, magic, version, pages, directory_id, facts = SIDECAR_HEAD.unpack_from(data)
        expect((magic, version) == (b"SIDECAR1", 1), where + "magic, version")
        expect(pages == len(data) // PAGE, where + "page_count")
        expect(directory_id == self.log.directory_id, where + "directory_id")
        expect(facts == segment.facts(), where + "facts")
        sections = sections or self.sidecar_sections(segment)
        page = 1
        for i, (name, item_bytes) in enumerate(SECTIONS):
            expected, per_page = sections[name], PAYLOAD // item_bytes * item_bytes
            expect(EXTENT.unpack_from(data, SIDECAR_HEAD.size + i * EXTENT.size) ==
                   (page, item_bytes, len(expected) // item_bytes), where + name + ", extent")
            for at in range(0, len(expected), per_page):
                expect(data[page * PAGE + 8:(page + 1) * PAGE] ==
                       expected[at:at + per_page].ljust(PAYLOAD, b"\0"), where + name)
                page += 1
        expect(page == pages, where + "pages behind the last section")
        expect(not any(data[SIDECAR_HEAD.size + len(SECTIONS) * EXTENT.size:PAGE]),
               where + "padding of the header")

    # ---- Snapshots ------------------------------------------------------------------------------

    def snapshot_record(self, record, block):
        file, size, lsn, segment = struct.unpack_from("<16sQQI", record)
        where = "record of snapshot %d: " % segment
        expect(not any(record[36:116]), where + "reserved fields")
        expect(0 < segment <= block.segment, where + "segment")
        expect(lsn == self.segments[segment].first.lsn - 1, where + "lsn")
        self.snapshots[segment] = (lsn, size, file)

    def position(self, segment):
        """What a log goes on with at a segment's beginning."""
        before = segment.before
        return (segment.segment, before.epoch, segment.first.lsn, segment.first.ordinal,
                before.written_at, before.header_checksum.to_bytes(16, "little"))

    def chunks(self, name, lmdb, where):
        """The items of a database of chunks, by the number of the first."""
        per_chunk, item_bytes = PER_CHUNK[name]
        where += name
        for key, value, _ in lmdb.items(name):
            expect(len(value) >= CHUNK_HEAD.size, where + ", size")
            total, first, count, reserved = CHUNK_HEAD.unpack_from(value)
            items = value[CHUNK_HEAD.size:]
            expect(total == checksum(items), where + ", checksum")
            expect(first == key * per_chunk and reserved == 0 and 0 < count <= per_chunk and
                   len(items) == count * item_bytes, where + ", head")
            yield first, items

    def outcomes_check(self, lmdb, segment, where):
        """Every address before the segment; those of holds that were open may hold anything."""
        end = segment.segment * self.log.segment_bytes // 128 // 4
        found, state = bytearray(end), segment.state
        for first, items in self.chunks("outcomes", lmdb, where):
            expect(any(items), where + "outcomes, a chunk of zeros")
            expect(len(items) == min(3968, end - first), where + "outcomes, size")
            found[first:first + len(items)] = items
        expected = bytearray(end)
        for address, outcome in state.outcomes.items():
            expected[address // 4] |= outcome << address % 4 * 2
        for address in state.addresses.values():
            found[address // 4] &= ~(3 << address % 4 * 2)
        expect(found == expected, where + "outcomes")

    def snapshot(self, segment, data):
        """Checks the bytes of a snapshot's file, except for their checksum."""
        where, state = "snapshot-%010d.mdb: " % segment.segment, segment.state
        try:
            lmdb = Lmdb(data)
            expect(set(lmdb.databases) == {name for name, _ in TABLES} | {
                "holds", "outcomes", "segments", "meta"}, where + "databases")
            for name, expected in ((name, state.table_bytes(i))
                                   for i, (name, _) in enumerate(TABLES)):
                rows = b""
                for first, items in self.chunks(name, lmdb, where):
                    expect(first == len(rows) // PER_CHUNK[name][1], where + name + ", order")
                    rows += items
                expect(rows == expected, where + name)
            holds = []
            for first, items in self.chunks("holds", lmdb, where):
                expect(first == len(holds), where + "holds, order")
                holds += [items[at:at + 144] for at in range(0, len(items), 144)]
            expect(sorted(holds) == sorted(
                state.hold_bytes(id, [state.addresses[id], state.deadlines[id]])
                for id in state.holds), where + "holds")
            self.outcomes_check(lmdb, segment, where)
            expect([(key, value) for key, value, _ in lmdb.items("segments")] ==
                   [(i, self.segments[i].facts()) for i in range(segment.segment)],
                   where + "segments")
            sums = b"".join((sum(row[name] for row in state.rows) & U128_MAX).to_bytes(16, "little")
                            for name in BALANCES)
            expect([(key, value) for key, value, _ in lmdb.items("meta")] == [(0, META.pack(
                3, self.log.segment_bytes, self.log.directory_id, *self.position(segment),
                state.timestamp_last, state.account_timestamp_last, state.transfer_timestamp_last,
                state.transfers, state.burnt, state.expired, len(state.holds), state.digest(),
                *[len(rows) for rows in state.tables()], sums))],
                where + "meta")
        except LmdbError as error:
            raise Difference(where + "LMDB, " + str(error)) from error

    # ---- The manifest ---------------------------------------------------------------------------

    def manifest(self, data):
        """Checks the manifest by itself; returns (segment, lsn, bytes, checksum) of its entries."""
        expect(len(data) == 512 and data[496:] == checksum(data[:496]), "manifest: checksum")
        expect(data[:12] == b"GIROMANI" + struct.pack("<I", 1), "manifest: magic, version")
        count, = struct.unpack_from("<I", data, 12)
        expect(count <= 2, "manifest: count")
        expect(data[16:32] == self.log.directory_id, "manifest: directory_id")
        expect(not any(data[32 + count * ENTRY.size:496]), "manifest: zeros")
        entries = []
        for i in range(count):
            segment, zero, lsn, size, zero_1, file = ENTRY.unpack_from(data, 32 + i * ENTRY.size)
            expect((zero, zero_1) == (0, 0), "manifest: reserved fields")
            entries.append((segment, lsn, size, file))
        segments = [entry[0] for entry in entries]
        expect(segments == sorted(set(segments), reverse=True), "manifest: order")
        return entries

    def entry(self, entry, data):
        """An entry of the manifest against the log and against the file that it names."""
        segment, lsn, size, file = entry
        where = "manifest: snapshot %d: " % segment
        expect(0 < segment < len(self.segments), where + "segment")
        expect(lsn == self.segments[segment].first.lsn - 1, where + "lsn")
        expect(size == len(data), where + "size")
        expect(file == checksum(data), where + "checksum")
        # The log may not say so yet: the server ended before.
        expect(self.snapshots.get(segment, entry[1:]) == entry[1:], where + "record in the log")

    # ---- All of it ------------------------------------------------------------------------------

    def sealed(self):
        """Segments that the log has left behind."""
        return self.segments[:-1]

    def check(self):
        """Checks every file that is there. Returns the numbers of (sidecars, snapshots)."""
        newest = self.entries[0][0] if self.entries else 0
        sidecars = 0
        for segment in self.sealed():
            name = "%010d.idx" % segment.segment
            expect(self.exists(name) or segment.segment >= newest, name + ": missing")
            if self.exists(name):
                self.sidecar(segment, self.read(name))
                sidecars += 1
        for entry in self.entries:
            data = self.read("snapshot-%010d.mdb" % entry[0])
            self.entry(entry, data)
            self.snapshot(self.segments[entry[0]], data)
        named = {"%010d.idx" % segment.segment for segment in self.sealed()} | {
            "snapshot-%010d.mdb" % entry[0] for entry in self.entries}
        strangers = {name for name in os.listdir(self.folder)
                     if name.endswith((".idx", ".mdb"))} - named
        expect(not strangers, "of no segment, or not in the manifest: %s" % sorted(strangers))
        return sidecars, len(self.entries)


def main(path):
    try:
        derived = Derived(path)
        counts = derived.check()
    except (Difference, log_format.LogError) as error:
        print(error)
        return 1
    print("%d sidecars, %d snapshots and %d digest records are what the log makes them" %
          (*counts, derived.digests))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
