"""A reader of LMDB's data files, as far as Giro's snapshots use them.

Written from the layout that LMDB 0.9 documents in its source (data version 1, 64 bits,
little-endian): two meta pages, then a tree of pages for every database.

    page        0 u64 number, 10 u16 flags, 12 u16 lower, 14 u16 upper; of an overflow run: 12 u32
                pages; 16 on: u16 offsets of the nodes, as far as lower
    meta page   16 u32 magic, 20 u32 version, 24 u64 address, 32 u64 map size, then the free list's
                and the main database, 136 u64 last page, 144 u64 transaction
    database    0 u32 (of the free list's: page size), 4 u16 flags, 6 u16 depth, 8 u64 branch pages,
                16 u64 leaf pages, 24 u64 overflow pages, 32 u64 entries, 40 u64 root
    node        0 u16, 2 u16, 4 u16 flags, 6 u16 key size, 8 on: key, then value. In a leaf the
                first two are the value's size, in a branch they and the flags the child's number

A value that is too large for a leaf lies behind the head of a run of overflow pages, and the leaf
holds the number of that run. The main database holds the others by name.
"""
import struct

MAGIC, VERSION, NONE = 0xBEEFC0DE, 1, (1 << 64) - 1
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8  # flags of pages
BIG_VALUE, DATABASE = 1, 2  # flags of nodes
INTEGER_KEY = 8  # flag of databases
PAGE_HEAD, NODE_HEAD = 16, 8


class LmdbError(Exception):
    pass


def expect(true, what):
    if not true:
        raise LmdbError(what)


class Database:
    def __init__(self, data, at=0):
        (self.pad, self.flags, self.depth, self.branch_pages, self.leaf_pages, self.overflow_pages,
         self.entries, self.root) = struct.unpack_from("<IHHQQQQQ", data, at)


class Lmdb:
    def __init__(self, data):
        self.data = data
        expect(len(data) >= 4096, "too short for a meta page")
        self.page_bytes = Database(data, 40).pad
        expect(self.page_bytes in (4096, 8192, 16384, 32768, 65536), "page size")
        metas = [at for at in (0, self.page_bytes) if self.meta_holds(at)]
        expect(metas, "no meta page")
        at = max(metas, key=lambda at: struct.unpack_from("<Q", data, at + 144))
        self.main = Database(data, at + 88)
        self.last_page, self.transaction = struct.unpack_from("<QQ", data, at + 136)
        expect(self.last_page < len(data) // self.page_bytes, "the file is shorter than its pages")
        self.databases = {}
        for name, value, _, flags in self.nodes(self.main, lambda name: name):
            expect(flags == DATABASE and len(value) == 48, "an entry of the main database")
            self.databases[name.decode()] = Database(value)

    def meta_holds(self, at):
        flags, = struct.unpack_from("<H", self.data, at + 10)
        return flags == META and struct.unpack_from("<II", self.data, at + 16) == (MAGIC, VERSION)

    def page(self, number, kind):
        expect(1 < number <= self.last_page, "page number %d" % number)
        at = number * self.page_bytes
        found, _, flags = struct.unpack_from("<QHH", self.data, at)
        expect(found == number and flags == kind, "page %d" % number)
        return at

    def page_nodes(self, at):
        lower, upper = struct.unpack_from("<HH", self.data, at + 12)
        expect(PAGE_HEAD < lower <= upper <= self.page_bytes, "room of a page")
        for node in struct.unpack_from("<%dH" % ((lower - PAGE_HEAD) // 2), self.data,
                                       at + PAGE_HEAD):
            expect(upper <= node <= self.page_bytes - NODE_HEAD, "place of a node")
            yield at + node, *struct.unpack_from("<HHHH", self.data, at + node)

    def nodes(self, database, key_of):
        """Yields (key, value, where the value lies in the file, flags) in the order of keys."""
        counts = {BRANCH: 0, LEAF: 0, OVERFLOW: 0}
        keys = []

        def walk(number, depth):
            kind = BRANCH if depth < database.depth else LEAF
            counts[kind] += 1
            for node, low, high, flags, key_bytes in self.page_nodes(self.page(number, kind)):
                if kind == BRANCH:
                    yield from walk(low | high << 16 | flags << 32, depth + 1)
                    continue
                keys.append(key_of(self.data[node + NODE_HEAD:node + NODE_HEAD + key_bytes]))
                at, size = node + NODE_HEAD + key_bytes, low | high << 16
                if flags & BIG_VALUE:
                    at = self.page(*struct.unpack_from("<Q", self.data, at), OVERFLOW)
                    pages, = struct.unpack_from("<I", self.data, at + 12)
                    expect(size <= pages * self.page_bytes - PAGE_HEAD, "an overflow run")
                    counts[OVERFLOW] += pages
                    at += PAGE_HEAD
                yield keys[-1], self.data[at:at + size], at, flags & ~BIG_VALUE

        if database.root != NONE:
            yield from walk(database.root, 1)
        expect(all(a < b for a, b in zip(keys, keys[1:])), "order of keys")
        expect(len(keys) == database.entries, "number of entries")
        expect(counts == {BRANCH: database.branch_pages, LEAF: database.leaf_pages,
                          OVERFLOW: database.overflow_pages}, "number of pages")

    def items(self, name):
        """Yields (key, value, where the value lies) of a database with keys of 64 bits."""
        database = self.databases[name]
        expect(database.flags == INTEGER_KEY, "flags of a database")
        for key, value, at, flags in self.nodes(database, lambda key: struct.unpack("<Q", key)[0]):
            expect(flags == 0, "flags of an entry")
            yield key, value, at
