"""What an export of the journal has to agree with, for export_end_to_end.sh.

    export_books.py work ADDRESS SEED           a random history of every kind of transfer, of those too
                                                that schedules make or that need a lease
    export_books.py balances ADDRESS FILE       what the server says of every account, as JSON
    export_books.py csv|jsonl EXPORT FILE       the export, added up again, is what FILE says
    export_books.py hledger EXPORT FILE         ... added up by hledger: all four balances of all
    export_books.py change EXPORT WHAT OUT      a copy with one thing changed: amount, account, gone
    export_books.py late EXPORT NANOSECONDS     how many lines of CSV are later than that
    export_books.py fake PORT_FILE WHAT         a server that answers a read of changes badly

Exit status 1, with one line on stderr, when something does not agree.
"""
import csv
import io
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))
import protocol as p  # noqa: E402

BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
CLOSING_CREDIT, IMPORTED = 128, 256
RETURN, KEEP_OPEN, ADJUST, FACT = 512, 1024, 2048, 4096
ACCOUNT_IMPORTED = 16
SCHEDULED_FLAGS = p.PENDING | p.BALANCING_DEBIT | p.BALANCING_CREDIT  # of what a schedule makes
LEDGERS = (1, 7, 840, 978, 65536, 0xFFFFFFFF)
HUGE = 7  # the ledger whose amounts use all of 128 bits
SECOND_NS = 10 ** 9
DAY_NS = 86400 * SECOND_NS
JANUARY_31_2020_NS = 18292 * DAY_NS


def check(condition, *what):
    if not condition:
        sys.exit("export_books: " + " ".join(str(word) for word in what))


# ---- A random history ----------------------------------------------------------------------------

class Work:
    def __init__(self, address, seed):
        self.random = random.Random(seed)
        self.c = p.Connection(address)
        self.c.hello()
        self.accounts = {ledger: [] for ledger in LEDGERS}
        self.holds = []  # that may be open
        self.posted = []  # that may be returned
        self.created = self.refused = 0
        self.tokens = {}  # of leases that somebody has or had, by key
        self.schedules = []
        self.fenced = self.unfenced = 0  # transfers that a lease let pass, or did not
        self.timestamp = 1577836800 * 10 ** 9  # of the next import: from 2020-01-01 on

    def id(self):
        return self.random.choice((self.random.randrange(1, 1 << 20), self.random.getrandbits(64),
                                   self.random.getrandbits(128))) or 1

    def user_data(self):
        r = self.random
        if r.random() < 0.7:
            return {}
        return {"user_data_128": r.getrandbits(128), "user_data_64": r.getrandbits(64),
                "user_data_32": r.getrandbits(32)}

    def create_accounts(self, count, imported):
        records = []
        for _ in range(count):
            ledger = self.random.choice(LEDGERS)
            fields = {"id": self.id(), "ledger": ledger, "code": self.random.randrange(1, 65536),
                      "flags": self.random.choice((0, 0, 0, 0, 0, 0, 2, 4, 8, 8)), **self.user_data()}
            if imported:
                self.timestamp += self.random.randrange(1, 10 ** 9)
                fields["timestamp"] = self.timestamp
                fields["flags"] |= ACCOUNT_IMPORTED
            records.append(fields)
        _, results = self.c.create_accounts(*[p.account(**fields) for fields in records])
        for i, fields in enumerate(records):
            if i not in results:
                self.accounts[fields["ledger"]].append(fields["id"])

    def amount(self, ledger):
        r = self.random
        if ledger == HUGE:
            return r.choice((r.getrandbits(128), 1 << 100, r.getrandbits(120), (1 << 64) - 1))
        return r.choice((0, 1, r.randrange(100), r.randrange(100000), r.getrandbits(40)))

    def moving(self):
        """A plain or a pending transfer."""
        r = self.random
        ledger = r.choice(LEDGERS)
        debit, credit = r.sample(self.accounts[ledger], 2)
        fields = {"id": self.id(), "debit_account_id": debit, "credit_account_id": credit,
                  "amount": self.amount(ledger), "ledger": ledger, "code": r.randrange(1, 65536),
                  **self.user_data()}
        kind = r.random()
        if kind < 0.35:
            fields["flags"] = p.PENDING
            if r.random() < 0.2:
                fields["timeout"] = 1
            elif r.random() < 0.3:
                fields["timeout"] = r.randrange(60, 1 << 32)
            if r.random() < 0.04:
                fields["flags"] |= r.choice((p.CLOSING_DEBIT, CLOSING_CREDIT,
                                             p.CLOSING_DEBIT | CLOSING_CREDIT))
        elif kind < 0.45:
            fields["flags"] = r.choice((p.BALANCING_DEBIT, p.BALANCING_CREDIT,
                                        p.BALANCING_DEBIT | p.BALANCING_CREDIT))
            fields["amount"] = r.choice((p.U128_MAX, fields["amount"]))
        return fields

    def ending(self):
        """A post or a void."""
        r = self.random
        hold = self.holds.pop(r.randrange(len(self.holds)))
        fields = {"id": self.id(), "pending_id": hold["id"], **self.user_data()}
        if r.random() < 0.4:
            return {**fields, "flags": p.VOID}
        amount = r.choice((p.U128_MAX, hold["amount"], r.randrange(hold["amount"] + 1), 0))
        if r.random() < 0.15:
            amount = min(hold["amount"] * 2, p.U128_MAX - 1)
            return {**fields, "flags": p.POST | FACT, "amount": amount}
        return {**fields, "flags": p.POST, "amount": amount}

    def amending(self):
        """A part of a hold that stays open, or more of it."""
        r = self.random
        hold = r.choice(self.holds)
        fields = {"id": self.id(), "pending_id": hold["id"], **self.user_data()}
        part = r.randrange(hold["amount"] // 2 + 1)
        flags = r.choice((p.POST | KEEP_OPEN, p.VOID | KEEP_OPEN, p.PENDING | ADJUST))
        return {**fields, "flags": flags, "amount": part}

    def returning(self):
        """A refund, or a chargeback, of what was posted."""
        r = self.random
        origin = r.choice(self.posted)
        flags = RETURN | r.choice((0, 0, p.PENDING, FACT))
        return {"id": self.id(), "debit_account_id": origin["credit_account_id"],
                "credit_account_id": origin["debit_account_id"], "pending_id": origin["id"],
                "amount": r.choice((p.U128_MAX, r.randrange(origin["amount"] + 1))),
                "ledger": origin["ledger"], "code": 9, "flags": flags, **self.user_data()}

    def send(self, events, fence=None):
        """Returns how many were created."""
        records = [p.transfer(**fields) for fields in events]
        _, results = (self.c.create_fenced(fence, *records) if fence
                      else self.c.create_transfers(*records))
        for i, fields in enumerate(events):
            if i in results:
                self.refused += 1
                continue
            self.created += 1
            flags = fields.get("flags", 0)
            if flags & p.PENDING and not flags & ADJUST:
                self.holds.append(fields)
            if not flags & (p.PENDING | p.POST | p.VOID) and fields["amount"] < 1 << 120:
                self.posted.append(fields)
        return len(events) - len(results)

    def event(self):
        kind = self.random.random()
        if self.holds and kind < 0.25:
            return self.ending()
        if self.holds and kind < 0.35:
            return self.amending()
        if self.posted and kind < 0.45:
            return self.returning()
        return self.moving()

    def batch(self, size):
        events = [self.event() for _ in range(size)]
        for event in events[:-1]:
            if self.random.random() < 0.05:
                event["flags"] = event.get("flags", 0) | p.LINKED
        self.send(events)

    def lease(self):
        """Acquires a lease, for a minute, or renews one, or gives one back."""
        r = self.random
        key = r.randrange(1, 6)
        if key in self.tokens and r.random() < 0.6:
            action = r.choice((p.RENEW, p.RELEASE))
            event = p.lease(key, 1, action, token=self.tokens[key],
                            timeout_ms=60000 if action == p.RENEW else 0)
        else:
            event = p.lease(key, 1, p.ACQUIRE, timeout_ms=60000)
        lease, = self.c.lease(event)
        if lease["result"] == 0:
            self.tokens[key] = lease["token"]

    def fenced_batch(self, size):
        """Transfers that need a lease: all are refused when it was released, or acquired anew."""
        key = self.random.randrange(1, 6)
        known = self.c.get_leases(key)
        current = bool(known) and known[0]["deadline"] > time.time_ns() + SECOND_NS
        token = known[0]["token"] if current else 1
        if current and self.random.random() < 0.3:
            token, current = token - 1, False
        created = self.send([self.event() for _ in range(size)], p.fence(key, token))
        check(current or created == 0, "a lease that nobody has let", created, "transfers pass")
        self.fenced += created
        self.unfenced += 0 if current else size

    def create_schedules(self, count):
        """Most are due at once, or every second; those of months make up for years."""
        r = self.random
        for _ in range(count):
            made = self.moving()
            made["flags"] = made.get("flags", 0) & SCHEDULED_FLAGS
            if not made["flags"] & p.PENDING:
                made["timeout"] = 0
            fields = {"id": made.pop("id"), "occurrences": r.randrange(1, 5), "interval": 1,
                      "rule": p.BY_SECONDS, "retries": r.randrange(3)}
            fields["first"] = time.time_ns() + r.randrange(-3 * SECOND_NS, SECOND_NS // 2)
            if r.random() < 0.2:
                fields.update(rule=r.choice((p.BY_MONTHS, p.BY_YEARS)), day=31,
                              first=JANUARY_31_2020_NS + r.randrange(DAY_NS))
            fields.update({"retry_%d" % i: 1 for i in range(fields["retries"])})
            _, results = self.c.create_schedules(p.schedule(p.transfer(**made), **fields))
            if not results:
                self.schedules.append(fields["id"])

    def schedules_end(self):
        """Waits a while and cancels what is not over then; what they made can be ended, or returned."""
        time.sleep(1.5)
        _, results = self.c.cancel_schedules(*self.schedules)
        check(len(results) < len(self.schedules), "no schedule was left to be cancelled")
        rows = [row for row, _ in self.c.get_schedules(*self.schedules)]
        check(len(rows) == len(self.schedules), "schedules are missing")
        check(all(row["state"] != p.ACTIVE for row in rows), "a schedule goes on")
        for fields in self.c.lookup_transfers(*[row["last_id"] for row in rows if row["made"]]):
            if fields["amount"] < 1 << 120:
                (self.holds if fields["flags"] & p.PENDING else self.posted).append(fields)
        made = sum(row["made"] for row in rows)
        failed = sum(row["last_result"] != 0 for row in rows)
        check(made > 50 and failed > 5, "schedules made", made, "transfers, and at the end", failed,
              "of them made none")
        self.created += made

    def import_batch(self, size, step_ns):
        """As old as the last import; step_ns: at most between two."""
        events = []
        for _ in range(size):
            event = self.moving()
            self.timestamp += self.random.randrange(1, step_ns)
            events.append({**event, "timeout": 0, "timestamp": self.timestamp,
                           "flags": event.get("flags", 0) | IMPORTED})
        self.send(events)

    def last_timestamp(self):
        return self.c.query_transfers(limit=1, flags=p.QUERY_REVERSED)[0]["timestamp"]

    def run(self):
        self.create_accounts(60, True)
        for _ in range(10):
            self.import_batch(60, 20 * DAY_NS // 24)
        self.create_accounts(40, False)
        for _ in range(40):
            self.batch(self.random.randrange(1, 160))
        first = self.last_timestamp()
        time.sleep(1.3)  # the short holds expire, and then older transfers are imported
        self.timestamp = first
        self.import_batch(40, 1000)
        self.create_accounts(20, False)
        for _ in range(20):
            self.batch(self.random.randrange(1, 160))
            self.create_schedules(self.random.randrange(1, 8))
            for _ in range(3):
                self.lease()
            self.fenced_batch(self.random.randrange(1, 40))
        self.schedules_end()
        for _ in range(5):
            self.lease()
            self.batch(self.random.randrange(1, 160))
        check(self.fenced > 20 and self.unfenced > 20, "leases let", self.fenced, "pass, and not",
              self.unfenced)
        time.sleep(1.3)
        self.batch(1)
        check(self.created > 2000 and self.refused > 200, "the history is too small:",
              self.created, "transfers,", self.refused, "refused")


def work(address, seed):
    history = Work(address, int(seed))
    history.run()
    print("seed %s: %d transfers, %d refused" % (seed, history.created, history.refused))


# ---- What the server says ------------------------------------------------------------------------

def balances(address, path):
    c = p.Connection(address)
    c.hello()
    accounts, after = [], 0
    while True:
        page = c.query_accounts(limit=8190, timestamp_min=after)
        accounts += page
        if len(page) < 8190:
            break
        after = page[-1]["timestamp"] + 1
    assert accounts == c.lookup_accounts(*[account["id"] for account in accounts])
    held = c.stats()[2]
    with open(path, "w", encoding="ascii") as file:
        json.dump({"holds": held, "accounts": {
            str(account["id"]): {"ledger": account["ledger"],
                                 **{name: str(account[name]) for name in BALANCES}}
            for account in accounts}}, file)


def expected(path):
    with open(path, encoding="ascii") as file:
        known = json.load(file)
    for account in known["accounts"].values():
        account.update({name: int(account[name]) for name in BALANCES})
    return known


# ---- Adding up -----------------------------------------------------------------------------------

class Books:
    """Accounts and open holds, from records alone; the balances of each record are compared."""

    def __init__(self):
        self.accounts = {}
        self.holds = {}
        self.kinds = {}
        self.schedules = set()
        self.made = None  # id of the transfer that comes next
        self.ordinal = -1

    def add(self, account_id, balance, amount):
        self.accounts[account_id][balance] += amount
        check(0 <= self.accounts[account_id][balance] <= p.U128_MAX, "account", account_id, balance)

    def move(self, row, kind, amount):
        self.add(row["debit_account_id"], "debits_" + kind, amount)
        self.add(row["credit_account_id"], "credits_" + kind, amount)

    def release(self, row, flags):
        """All of what is left of a hold, unless the record says that some of it stays."""
        hold = self.holds.get(row["pending_id"])
        check(hold is not None, "ordinal", row["ordinal"], "ends no hold")
        over = row["amount"] > hold
        check(not over or "fact" in flags, "ordinal", row["ordinal"], "is more than its hold")
        check(over == ("over_cap" in (row["marks"] or ())), "ordinal", row["ordinal"], "marks")
        released = min(row["amount"], hold) if "keep_open" in flags else hold
        check(row["kind"] == "pending_posted" or row["amount"] == released, "ordinal",
              row["ordinal"], "does not release its amount")
        self.holds[row["pending_id"]] -= released
        if "keep_open" not in flags:
            del self.holds[row["pending_id"]]
        self.move(row, "pending", -released)

    def take_object(self, row):
        """Leases and schedules: nothing moves. An attempt comes right before its transfer."""
        kind = row["kind"]
        check(row["debit_account_debits_posted"] is None, "ordinal", row["ordinal"], "moves nothing")
        if kind == "schedule_created":
            check(row["id"] not in self.schedules, "schedule", row["id"], "twice")
            self.schedules.add(row["id"])
        elif kind in ("schedule_cancelled", "schedule_fired"):
            check(row["id"] in self.schedules, "schedule", row["id"], "was never created")
        if kind == "schedule_fired" and row["result"] == "created":
            check(row["transfer_id"] == p.attempt_id(row["id"], row["occurrence"], row["attempt"]),
                  "ordinal", row["ordinal"], "names another transfer")
            self.made = row["transfer_id"]
            self.kinds["made"] = self.kinds.get("made", 0) + 1

    def take(self, row):
        """row: numbers as such, None for what is absent, flags as a list"""
        kind, flags = row["kind"], row["flags"]
        check(row["ordinal"] > self.ordinal, "ordinal", row["ordinal"], "after", self.ordinal)
        self.ordinal = row["ordinal"]
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(row["timestamp"] // 10 ** 9))
        check(row["time"] == "%s.%09dZ" % (seconds, row["timestamp"] % 10 ** 9), row["time"])
        if kind == "account_created":
            check(row["id"] not in self.accounts, "account", row["id"], "twice")
            check(row["amount"] is None and row["debit_account_debits_posted"] is None, row)
            self.accounts[row["id"]] = dict({name: 0 for name in BALANCES}, ledger=row["ledger"])
            return
        check(self.made in (None, row["id"]), "ordinal", row["ordinal"], "is not what was made")
        self.made = None
        if kind in ("lease", "schedule_created", "schedule_cancelled", "schedule_fired"):
            self.take_object(row)
            return
        for flag in ("return", "adjust", "keep_open", "fact"):
            self.kinds[flag] = self.kinds.get(flag, 0) + (flag in flags)
        if kind == "transfer_created" and "adjust" in flags:
            self.holds[row["pending_id"]] += row["amount"]
            self.move(row, "pending", row["amount"])
        elif kind == "transfer_created" and "pending" in flags:
            check(row["id"] not in self.holds, "hold", row["id"], "twice")
            self.holds[row["id"]] = row["amount"]
            self.move(row, "pending", row["amount"])
        elif kind == "transfer_created":
            self.move(row, "posted", row["amount"])
        elif kind in ("pending_posted", "pending_voided", "pending_expired"):
            self.release(row, flags)
            if kind == "pending_posted":
                self.move(row, "posted", row["amount"])
        else:
            check(False, "kind", kind)
        for side in ("debit", "credit"):
            account = self.accounts[row[side + "_account_id"]]
            check(account["ledger"] == row["ledger"], "ordinal", row["ordinal"], "ledger")
            for name in BALANCES:
                told = row["%s_account_%s" % (side, name)]
                check(account[name] == told, "ordinal", row["ordinal"], side, name, "is", told,
                      "and adds up to", account[name])

    def compare(self, path):
        known = expected(path)
        check(self.accounts == {int(id): account for id, account in known["accounts"].items()},
              "the accounts differ from those of the server")
        check(len(self.holds) == known["holds"], len(self.holds), "holds instead of",
              known["holds"])
        for kind in ("account_created", "transfer_created", "pending_posted", "pending_voided",
                     "pending_expired", "return", "adjust", "keep_open", "fact", "lease",
                     "schedule_created", "schedule_fired", "made"):
            check(self.kinds.get(kind, 0) > 10, "hardly any", kind)


TEXTS = ("kind", "time", "action", "result")  # columns that are no numbers


def csv_rows(path):
    with open(path, newline="", encoding="ascii") as file:
        for row in csv.DictReader(file, strict=True):
            check(None not in row and None not in row.values(), "columns:", row)
            names = {name: [word for word in row.pop(name).split("|") if word]
                     for name in ("flags", "marks")}
            yield {**{name: value if name in TEXTS else int(value) if value else None
                      for name, value in row.items()}, **names}


def json_rows(path):
    """Numbers beyond a double are strings; none that is a number changes as a double."""
    with open(path, encoding="ascii") as file:
        for line in file:
            row = json.loads(line, parse_float=None, object_pairs_hook=lambda pairs: (
                check(len(dict(pairs)) == len(pairs), "a name twice"), dict(pairs))[1])
            for name, value in row.items():
                if isinstance(value, int):
                    check(value < 1 << 53, name, "is not exact:", value)
            yield {name: int(value) if isinstance(value, str) and name not in TEXTS
                   else value for name, value in row.items()}


def rows_compare(rows, path):
    books = Books()
    for row in rows:
        books.take(row)
    books.compare(path)
    print(books.ordinal, "ordinals agree")


def hledger(journal, path, *options):
    """The four balances of every account, as hledger adds them up, without what it rounds."""
    result = subprocess.run(
        ["hledger", "-f", journal, *options, "balance", "--flat", "--empty", "--no-total",
         "--layout=bare", "-O", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(result.returncode == 0, "hledger refuses:", result.stderr.decode()[:400])
    found = {(row["account"], row["commodity"]): int(row["balance"])
             for row in csv.DictReader(io.StringIO(result.stdout.decode()))}
    # An account that has only zeros has no commodity.
    amounts = {name: amount for (name, _), amount in found.items()}
    check(len(amounts) == len(found), "an account has two commodities")
    compared = 0
    for id, account in expected(path)["accounts"].items():
        name = "L%d:A%s" % (account["ledger"], id)
        for part, balance, sign in (("%s:debits", "debits_posted", 1),
                                    ("%s:credits", "credits_posted", -1),
                                    ("pending:%s:debits", "debits_pending", 1),
                                    ("pending:%s:credits", "credits_pending", -1)):
            amount = sign * amounts.pop(part % name, 0)
            check(amount == account[balance], "account", id, balance, "is", account[balance],
                  "and in hledger", amount)
            compared += 1
    check(not amounts, "hledger has accounts that the server has not:", list(amounts)[:3])
    for (name, commodity), amount in found.items():
        check(commodity in ("", re.search(r"(L\d+):A", name).group(1)), name, commodity, amount)
    print(compared, "balances agree")


# ---- What has to be noticed ----------------------------------------------------------------------

def change(path, what, out):
    """Changes the transaction, or the line, in the middle of those that move money at once."""
    with open(path, encoding="ascii") as file:
        text = file.read()
    if text.startswith("ordinal,") or text.startswith("{"):
        parts, mark = text.splitlines(keepends=True), "transfer_created"
    else:
        parts, mark = re.split(r"(?m)(?<=\n)(?=\n)", text), " transfer code "
    moving = [i for i, part in enumerate(parts) if mark in part and re.search(r"[1-9]\d{3}", part)
              and "pending" not in part.replace("_pending", "").replace("pending_", "")
              and re.search(r"(?m)  [1-9]\d* |^(?:[^,{]*,){7}[1-9]|\"amount\":\"[1-9]", part)]
    at = moving[len(moving) // 2]
    part = parts[at]
    if what == "gone":
        changed = ""
    elif part.startswith("\n") and what == "amount":  # both postings: it still balances
        changed = re.sub(r"(?m)(  -?)(\d+)( \"L\d+\" =)",
                         lambda m: m.group(1) + str(int(m.group(2)) + 1) + m.group(3), part)
    elif part.startswith("\n") and what == "one amount":
        changed = re.sub(r"(  )(\d+)( \"L\d+\" =)",
                         lambda m: m.group(1) + str(int(m.group(2)) + 1) + m.group(3), part, count=1)
    elif part.startswith("\n"):  # to another account, where assertions are left out
        other = next(q for q in parts if q.startswith("\naccount " + re.search(
            r"L\d+:", part).group(0)) and re.search(r"A\d+", q).group(0) not in part)
        changed = re.sub(r"A\d+(?=:credits)", re.search(r"A\d+", other).group(0), part)
    elif part.startswith("{"):
        changed = re.sub(r'("amount":")(\d+)', lambda m: m.group(1) + str(int(m.group(2)) + 1), part)
    else:
        fields = part.split(",")
        fields[7] = str(int(fields[7]) + 1)
        changed = ",".join(fields)
    assert changed != part
    parts[at] = changed
    with open(out, "w", encoding="ascii") as file:
        file.write("".join(parts))


def late(path, nanoseconds):
    print(sum(row["timestamp"] > int(nanoseconds) for row in csv_rows(path)))


# ---- A server that fails -------------------------------------------------------------------------

def fake(port_file, what):
    """Answers the first read with one account, and the next one as told."""
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file + ".tmp", "w", encoding="ascii") as file:
        file.write("127.0.0.1:%d" % listener.getsockname()[1])
    os.rename(port_file + ".tmp", port_file)
    peer, _ = listener.accept()

    def receive(size):
        data = b""
        while len(data) < size:
            try:
                part = peer.recv(size - len(data))
            except ConnectionError:
                part = b""
            if not part:
                sys.exit(0)
            data += part
        return data

    def change_of(ordinal, kind):
        account = p.account(id=ordinal + 1, ledger=1, code=1, timestamp=ordinal + 1)
        return struct.pack("<QII", ordinal, kind, 0) + account + bytes(128)

    reads = 0
    while True:
        _, _, _, operation, _, size, _, request_id = p.HEADER.unpack(receive(p.HEADER.size))
        receive(size)
        if operation == p.HELLO:
            body, status = struct.pack("<HHIIIQ", 1, 1, 8190, 1048352, 0, 1).ljust(64, b"\0"), 0
        elif reads == 0:
            body, status = struct.pack("<QQIIQ", 1, 5, 1, 0, 0) + change_of(0, 1), 0
        elif what == "status":
            body, status = b"", 33
        else:
            body, status = struct.pack("<QQIIQ", 2, 5, 1, 0, 0) + change_of(1, 99), 0
        reads += operation == p.READ_CHANGES
        peer.sendall(p.frame(operation, request_id, body, flags=p.REPLY, status=status))


def main():
    name, *arguments = sys.argv[1:]
    if name in ("csv", "jsonl"):
        rows_compare((csv_rows if name == "csv" else json_rows)(arguments[0]), arguments[1])
        return
    {"work": work, "balances": balances, "hledger": hledger, "change": change, "late": late,
     "fake": fake}[name](*arguments)


if __name__ == "__main__":
    main()
