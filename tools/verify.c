/* giro verify: walks the whole log and says whether it and its ledger are sound. */
#include "tools/verify.h"
#include "tools/command.h"
#include "tools/index_check.h"
#include "tools/log_walk.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: giro verify --data DIR\n"
    "\n"
    "Reads the whole log of a ledger that no server has open: every checksum, the chain of\n"
    "blocks, every record applied in order, and debits = credits in every ledger. Changes\n"
    "nothing. The head is the checksum of the last block; through the chain it stands for the\n"
    "whole history: keep it elsewhere, and nobody can rewrite the past unnoticed.\n"
    "\n"
    "Indexes and snapshots, where there are any, are compared with the log, which alone is enough\n"
    "to make them again.\n"
    "\n"
    "Exit status 0: sound (an unacknowledged torn tail is sound); 1: not; 2: the log is sound, "
    "and\n"
    "an index or a snapshot is damaged.\n";

enum { EXIT_INDEXES = 2 };

/* Sums of one ledger number. */
struct book {
    uint32_t ledger;
    uint32_t accounts;
    struct ledger_sums sums;
};

struct books {
    struct book *rows; /* sorted by ledger */
    uint32_t count;
    uint32_t capacity;
};

static struct book *book_of(struct books *books, uint32_t ledger)
{
    uint32_t low = 0;
    uint32_t high = books->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (books->rows[middle].ledger < ledger)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < books->count && books->rows[low].ledger == ledger)
        return &books->rows[low];
    if (books->count == books->capacity) {
        books->capacity = books->capacity == 0 ? 16 : 2 * books->capacity;
        books->rows = realloc(books->rows, books->capacity * sizeof *books->rows);
        if (books->rows == NULL)
            abort();
    }
    memmove(&books->rows[low + 1], &books->rows[low], (books->count - low) * sizeof *books->rows);
    books->rows[low] = (struct book){.ledger = ledger};
    books->count++;
    return &books->rows[low];
}

static bool books_check(const struct ledger *ledger)
{
    struct books books = {0};
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const struct giro_account *account = &ledger->accounts.rows[i];
        struct book *book = book_of(&books, account->ledger);
        book->accounts++;
        ledger_sums_add(&book->sums, account);
    }
    bool balanced = true;
    printf("%10s %10s %28s %28s\n", "ledger", "accounts", "debits = credits posted", "pending");
    for (uint32_t i = 0; i < books.count; i++) {
        const struct ledger_sums *sums = &books.rows[i].sums;
        char posted[U128_TEXT_BYTES];
        char pending[U128_TEXT_BYTES];
        bool equal = sums->debits_posted == sums->credits_posted &&
                     sums->debits_pending == sums->credits_pending;
        u128_format(sums->debits_posted, posted);
        u128_format(sums->debits_pending, pending);
        printf("%10u %10u %28s %28s%s\n", books.rows[i].ledger, books.rows[i].accounts, posted,
               pending, equal ? "" : "  NOT BALANCED");
        balanced = balanced && equal;
    }
    free(books.rows);
    return balanced;
}

static void summary_print(const struct log_walk *walk)
{
    const struct log_reader *reader = &walk->reader;
    struct checksum digest = ledger_digest(walk->ledger);
    char written[TIME_TEXT_BYTES];
    time_format(reader->written_at, written);
    printf("blocks     %" PRIu64 " in %u segments, %u starts, last written %s (%s)\n",
           reader->lsn - 1, reader->segment + 1, reader->epoch, written,
           block_kind_name(reader->kind));
    printf("records    %" PRIu64 " accounts, %" PRIu64 " transfers, %" PRIu64 " burnt ids, %" PRIu64
           " expiries; %u holds open\n",
           walk->records[RECORD_ACCOUNT], walk->records[RECORD_TRANSFER],
           walk->records[RECORD_BURNT], walk->ledger->expired_count, walk->ledger->holds.count);
    printf("head       %016" PRIx64 "%016" PRIx64 "\n", reader->previous.high,
           reader->previous.low);
    printf("digest     %016" PRIx64 "%016" PRIx64 "\n", digest.high, digest.low);
}

/* What the log itself says about the server that wrote it. */
static void digests_print(const struct ledger *ledger)
{
    printf("digests    %" PRIu64 " checked", ledger->digests_checked);
    if (ledger->digests_failed == 0) {
        printf(", all as replayed\n");
        return;
    }
    printf(", %" PRIu64 " FAILED, the first at log position %" PRIu64
           ": the memory of the server that wrote them differed from its log; what it accepted "
           "after that may have been judged by wrong balances\n",
           ledger->digests_failed, ledger->digest_failed_first * GIRO_RECORD_BYTES);
}

static bool end_print(const struct log_walk *walk)
{
    struct error text;
    log_end_describe(&walk->reader.end, &walk->directory, &text);
    printf("end        %s\n", text.text);
    return walk->reader.end.verdict == LOG_END_CLEAN || walk->reader.end.verdict == LOG_END_TORN;
}

static int verdict_print(const struct log_walk *walk, const struct index_check *check, bool sound)
{
    bool digests = walk->ledger->digests_failed == 0;
    if (sound && digests && check->damaged == 0) {
        printf("verdict    SOUND\n");
        return EXIT_DONE;
    }
    if (sound && digests) {
        printf("verdict    SOUND, indexes damaged: start the server, which makes again what it "
               "cannot use, or run giro recover --data %s --rebuild-index\n",
               walk->directory.path);
        return EXIT_INDEXES;
    }
    printf("verdict    NOT SOUND%s\n",
           sound ? ": the log is whole, and says that the server's memory was not (see digests)"
                 : "");
    return EXIT_FAILED;
}

/* Reads and applies the whole log. */
static int log_prove(struct log_walk *walk, struct index_check *check, struct error *error)
{
    const struct block_header *header;
    int result;
    while ((result = log_walk_next(walk, &header, error)) > 0) {
        index_check_block(check, header, walk->ledger);
        result = log_walk_apply(walk, header, error);
        if (result != 0)
            break;
    }
    return result;
}

int verify_data(const char *command, const char *data)
{
    struct log_walk walk;
    struct index_check check;
    struct error error;
    if (log_walk_open(&walk, data, DIRECTORY_SHARED, &error) != 0) {
        complain(command, "%s", error.text);
        return EXIT_FAILED;
    }
    index_check_begin(&check, &walk.directory);
    bool sound = log_prove(&walk, &check, &error) == 0;
    if (!sound)
        complain(command, "%s", error.text);
    summary_print(&walk);
    bool balanced = books_check(walk.ledger);
    digests_print(walk.ledger);
    if (sound) {
        sound = end_print(&walk);
        index_check_end(&check, &walk.config);
        printf("indexes    of %u sealed segments, %u snapshots; %u damaged\n", check.sidecars,
               check.snapshots, check.damaged);
    }
    if (walk.reader.unreadable_bytes > 0)
        printf("unreadable %" PRIu64 " bytes that the disk did not return\n",
               walk.reader.unreadable_bytes);
    int status = verdict_print(&walk, &check, sound && balanced);
    index_check_free(&check);
    log_walk_close(&walk);
    return status;
}

int verify_command(int argc, char **argv)
{
    enum { DATA, HELP };
    static const struct option names[] = {
        {"data", required_argument, NULL, DATA},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    const char *data = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == HELP) {
            fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (option != DATA) {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
        data = optarg;
    }
    if (data == NULL || optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return verify_data("verify", data);
}
