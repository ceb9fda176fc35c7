#include "tools/repl_help.h"

#include "clients/c/giro.h"
#include "engine/result.h"
#include "tools/repl_result.h"

#include <string.h>

struct topic {
    const char *name;
    const char *text;
};

static const struct topic topics[] = {
    {"create_accounts",
     "create_accounts id=1 ledger=1 code=10 flags=history, id=2 ledger=1 code=10;\n"
     "\n"
     "Creates accounts, a comma between them, in one request. Each needs an id, a ledger and a\n"
     "code; help fields lists the rest. Accounts with the flag linked are created together with\n"
     "the next one or not at all.\n"},
    {"create_transfers",
     "create_transfers id=new debit_account_id=1 credit_account_id=2 amount=1000 ledger=1 code=1;\n"
     "create_transfers id=7 debit_account_id=1 credit_account_id=2 amount=1000 ledger=1 code=1\n"
     "    flags=pending timeout=60;\n"
     "create_transfers id=8 pending_id=7 amount=max flags=post_pending_transfer;\n"
     "create_transfers id=9 pending_id=7 flags=void_pending_transfer;\n"
     "\n"
     "Creates transfers, a comma between them, in one request. A pending transfer reserves its\n"
     "amount until it is posted, voided, or its timeout (seconds) ends. Transfers with the flag\n"
     "linked are created together with the next one or not at all.\n"},
    {"lookup_accounts", "lookup_accounts id=1, id=2;\n\nShows accounts and their balances.\n"},
    {"lookup_transfers", "lookup_transfers id=1, id=2;\n\nShows transfers.\n"},
    {"cut_off",
     "cut_off ledger=978 epoch=0;\n"
     "\n"
     "Ends the settlement epoch of a ledger, and begins the next one. Epochs are counted from 0,\n"
     "and each ends once: said again, it answers epoch_is_over, and nothing has failed. What is\n"
     "posted from now on to accounts with the flag settles is added up in the next epoch.\n"},
    {"get_settlements",
     "get_settlements id=1, id=2;\n"
     "\n"
     "Shows what was posted to accounts with the flag settles: debits, credits and how many,\n"
     "within the epoch of their ledger, which began at begin, and within the one before\n"
     "(..._before). The flag is given when an account is created.\n"},
    {"set_limits",
     "set_limits account_id=1 floor=50000 balance_max=1000000 transfer_max=20000;\n"
     "set_limits account_id=2 over_capture=2000, account_id=3 flags=frozen;\n"
     "\n"
     "Gives accounts limits, in place of those that they had. floor is a credit line: how far\n"
     "beyond zero the account's limit flag lets it go. over_capture is for whom a hold pays, in\n"
     "basis points of what was authorised. What is left out is 0 and limits nothing.\n"
     "Flags: block_debits block_credits frozen. For velocity=... see help velocity.\n"},
    {"get_limits", "get_limits id=1, id=2;\n\nShows the limits of accounts that have any.\n"},
    {"get_velocity", "get_velocity id=1, id=2;\n"
                     "\n"
                     "Shows how much of its velocity limits an account has used, slot by slot, and "
                     "when the window\n"
                     "ends; of a rate, when all is free again.\n"},
    {"velocity",
     "set_limits account_id=1 velocity=100000:1d:calendar:debits:amount:reject\n"
     "    velocity=5:1h:sliding:debits:count:hold;\n"
     "\n"
     "How much, or how often, within a window of time: "
     "MAXIMUM:PERIOD:WINDOW:SIDE:MEASURE:VERDICT.\n"
     "Up to four, in the account's slots 0 to 3; none leaves a slot unused.\n"
     "\n"
     "PERIOD   a number and s, m, h, d or mo (minutes are m, months mo)\n"
     "WINDOW   calendar: begins anew with each period, in UTC; sliding: the last period, whenever\n"
     "         that is; rate: refills evenly, MAXIMUM over a PERIOD\n"
     "SIDE     debits or credits of the account\n"
     "MEASURE  amount: amounts are added up, in minor units; count: transfers are counted\n"
     "VERDICT  of a transfer that goes over it: off: nothing; mark: it is marked over_velocity;\n"
     "         hold: it is pending until you post or void it; reject: it is refused. Facts are\n"
     "         only marked, and transfers with no_limit are not counted.\n"
     "\n"
     "A slot that is set again with another MAXIMUM or VERDICT keeps what it has counted; with\n"
     "anything else changed it begins at zero.\n"},
    {"lease",
     "lease action=acquire key=500 owner=7 timeout=30s;\n"
     "lease action=renew key=500 owner=7 timeout=30s, action=release key=501 owner=7;\n"
     "\n"
     "Acquires, renews and releases leases: key is what only one may work on, a number of your\n"
     "own, owner who does. Acquired it has a new token, which makes every token before it void,\n"
     "the same owner's as well. To renew and to release take the token; left out it is the one\n"
     "that this session got. timeout: from now on, up to 1d. See help fence.\n"},
    {"get_leases", "get_leases key=500, key=501;\n"
                   "\n"
                   "Shows who has leases, and until when. One that is over may be shown or not.\n"},
    {"fence",
     "set fence 500;        create_transfers carries the lease of key 500 that this session got\n"
     "set fence 500 1184;   the same with another token\n"
     "set fence off;\n"
     "\n"
     "With a fence, transfers are created only while that lease is current under that token; else\n"
     "they are refused as lease_not_held, and their ids are not spent.\n"},
    {"create_schedules",
     "create_schedules id=1 first=2027-01-31 every=1mo debit_account_id=1 credit_account_id=2\n"
     "    amount=999 ledger=1 code=1 occurrences=12 retry=1d,3d;\n"
     "create_schedules id=2 first=2027-01-04T06:00:00Z every=7d end=2027-12-31\n"
     "    debit_account_id=1 credit_account_id=2 amount=max ledger=1 code=2 "
     "flags=balancing_debit;\n"
     "\n"
     "Creates schedules: transfers that the server makes by itself. first is when the first is\n"
     "due; what was due in the past is made up for, one by one. every: a number and s, m, h, d,\n"
     "mo or y; with months and years the day is that of first, or day=31, and the last one of a\n"
     "shorter month. occurrences: at most so many; end: none is due later. retry: how long after\n"
     "each refused attempt, up to four of them. The other fields are those of the transfer;\n"
     "flags: pending balancing_debit balancing_credit no_limit.\n"},
    {"cancel_schedules", "cancel_schedules id=1, id=2;\n"
                         "\n"
                         "Ends schedules. What they have made stays, and their ids are never free "
                         "again.\n"},
    {"get_schedules",
     "get_schedules id=1, id=2;\n"
     "\n"
     "Shows schedules: next is when the next attempt is due, for which occurrence, counted from\n"
     "0; last_id and last_result are those of the last attempt, made how many were created.\n"},
    {"wait_schedules", "wait_schedules id=1, id=2;\n"
                       "\n"
                       "Waits until no attempt of these schedules is due, up to 30 seconds, and "
                       "shows them.\n"},
    {"lookup_payments",
     "lookup_payments id=1, id=2;\n"
     "\n"
     "Shows what became of transfers: how much of a hold was captured and is left, how much of a\n"
     "posted transfer was returned, and the marks that say what it went over.\n"},
    {"get_account_transfers",
     "get_account_transfers account_id=1;\n"
     "get_account_transfers account_id=1 flags=debits|reversed limit=10 code=7\n"
     "    timestamp_min=2024-01-01;\n"
     "\n"
     "Shows the transfers of an account in the order of time, up to limit (100) of them. flags:\n"
     "debits and credits choose a side, reversed begins with the newest. code and user_data must\n"
     "be equal where they are given; timestamp_min and timestamp_max are the first and the "
     "last.\n"},
    {"get_account_balances",
     "get_account_balances account_id=1;\n"
     "get_account_balances account_id=1 timestamp_max=2024-01-31T23:59:59.999999999Z\n"
     "    flags=reversed limit=1;\n"
     "\n"
     "Shows the balances of an account after each of its transfers; the second shows those at\n"
     "the end of January. The account must have the flag history. Fields as for\n"
     "get_account_transfers.\n"},
    {"query_accounts",
     "query_accounts ledger=978 code=10;\n"
     "query_accounts flags=reversed limit=10;\n"
     "\n"
     "Shows accounts in the order in which they were created, up to limit (100) of them, with\n"
     "their balances as of now. Fields: ledger code user_data_128 user_data_64 user_data_32\n"
     "timestamp_min timestamp_max limit flags.\n"},
    {"query_transfers",
     "query_transfers user_data_128=2:576;\n"
     "query_transfers ledger=978 timestamp_min=2024-01-31 code=7 limit=1000;\n"
     "\n"
     "Shows transfers in the order of time, up to limit (100) of them. Fields as for\n"
     "query_accounts.\n"},
    {"changes",
     "changes;\n"
     "changes ordinal=5001 limit=1000 wait_ms=10000;\n"
     "\n"
     "Shows what was accepted, in order, from an ordinal on or from the beginning, with the\n"
     "balances of both accounts after it, and the ordinal that goes on. wait_ms: how long to wait\n"
     "when there is nothing yet.\n"},
    {"snapshot",
     "snapshot;\n\nWrites a snapshot, so that the next start need not read the whole log.\n"},
    {"stats", "stats;\n\nShows the server's counters.\n"},
    {"wait", "wait 500ms;\n\nWaits: a number and ms, s, m, h or d.\n"},
    {"set",
     "set scale 2;          show amounts with two decimals, in every ledger\n"
     "set scale 978 2;      in ledger 978 only\n"
     "set thousands on;     show 1,234,567; off: 1234567\n"
     "set fence 500;        create transfers under a lease only: see help fence\n"
     "set;                  show the settings\n"
     "\n"
     "Scale and thousands change what is shown, never what is read: amounts are always given in\n"
     "whole minor units, so that amount=1000 means the same whatever the setting.\n"},
    {"help",
     "help;  help TOPIC;\n\nTOPIC: a command, fields, flags, numbers, or the name of a result or\n"
     "of a server's status.\n"},
    {"exit", "exit;\n\nEnds the session. The end of the input does, too.\n"},
    {"fields",
     "Accounts:   id ledger code flags user_data_128 user_data_64 user_data_32 timestamp\n"
     "Transfers:  id debit_account_id credit_account_id amount pending_id ledger code flags\n"
     "            timeout user_data_128 user_data_64 user_data_32 timestamp\n"
     "Filters:    account_id (get_account_...) ledger (query_...) code user_data_128 user_data_64\n"
     "            user_data_32 timestamp_min timestamp_max limit flags\n"
     "\n"
     "What is left out is 0. ledger and code are numbers of your own: the ledger is often the\n"
     "currency, the code the kind. user_data links to your own records. timestamp is only for\n"
     "imported events: nanoseconds since 1970, or 2024-01-31T10:30:00Z.\n"},
    {"flags",
     "Accounts:   linked debits_must_not_exceed_credits credits_must_not_exceed_debits history\n"
     "            imported closed settles\n"
     "Transfers:  linked pending post_pending_transfer void_pending_transfer balancing_debit\n"
     "            balancing_credit closing_debit closing_credit imported return keep_open adjust\n"
     "            fact no_limit\n"
     "Filters:    debits credits (get_account_...) reversed\n"
     "\n"
     "Several are written with a bar between them: flags=pending|linked.\n"},
    {"numbers",
     "Decimal, or 0x and hexadecimal digits, up to 128 bits; max is the largest that fits.\n"
     "id=new makes an id from the time and shows it. NAMESPACE:NUMBER is the id that an import\n"
     "makes of the source's own number, such as 2:576.\n"},
    {0},
};

static const char overview[] =
    "create_accounts        create accounts          create_accounts id=1 ledger=1 code=10;\n"
    "create_transfers       create transfers         create_transfers id=new ...;\n"
    "cut_off                end a settlement epoch   cut_off ledger=978 epoch=0;\n"
    "get_settlements        what was posted in it    get_settlements id=1;\n"
    "set_limits             limits of accounts       set_limits account_id=1 floor=50000;\n"
    "get_limits             show them                get_limits id=1;\n"
    "get_velocity           how much of them is used get_velocity id=1;\n"
    "lease                  who may work on it       lease action=acquire key=1 owner=7 "
    "timeout=30s;\n"
    "get_leases             show who has them        get_leases key=1;\n"
    "create_schedules       transfers to come        create_schedules id=1 first=2027-01-31 ...;\n"
    "cancel_schedules       end them                 cancel_schedules id=1;\n"
    "get_schedules          show them                get_schedules id=1;\n"
    "wait_schedules         until none is due        wait_schedules id=1;\n"
    "lookup_accounts        show accounts            lookup_accounts id=1, id=2;\n"
    "lookup_transfers       show transfers           lookup_transfers id=1;\n"
    "lookup_payments        what became of them      lookup_payments id=1;\n"
    "get_account_transfers  transfers of an account  get_account_transfers account_id=1;\n"
    "get_account_balances   balances after each      get_account_balances account_id=1;\n"
    "query_accounts         find accounts            query_accounts ledger=1 code=10;\n"
    "query_transfers        find transfers           query_transfers user_data_64=7 limit=10;\n"
    "changes                all that was accepted    changes ordinal=0 limit=10;\n"
    "snapshot               have the server write one\n"
    "stats                  show the server's counters\n"
    "wait                   for a while              wait 500ms;\n"
    "set                    decimals, thousands, a fence   set scale 2;\n"
    "help TOPIC             more: a command, fields, flags, numbers, a result such as exists, or\n"
    "                       a status such as filter_limit\n"
    "exit                   end the session\n"
    "\n"
    "A statement ends with ; and may span lines. # begins a comment. Tab completes.\n";

static bool word_is(const struct repl_word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

/* Explains the result of this name among those of one kind of event. */
static bool kind_help(const struct repl_word *word, const char *kind, uint32_t code_max,
                      const char *(*name_of)(uint32_t), const char *(*text_of)(uint32_t), FILE *out)
{
    bool found = false;
    for (uint32_t code = 0; code <= code_max && !word_is(word, "unknown"); code++) {
        const char *name = name_of(code);
        if (!word_is(word, name))
            continue;
        fprintf(out, "%s result %u, %s: %s\n", kind, code, name, text_of(code));
        found = true;
    }
    return found;
}

static bool results_help(const struct repl_word *word, FILE *out)
{
    bool accounts = kind_help(word, "Account", GIRO_ACCOUNT_RESULT_MAX, giro_account_result_name,
                              repl_account_result_text, out);
    bool transfers = kind_help(word, "Transfer", GIRO_TRANSFER_RESULT_MAX,
                               giro_transfer_result_name, repl_transfer_result_text, out);
    bool limits = kind_help(word, "Limits", GIRO_LIMITS_RESULT_MAX, giro_limits_result_name,
                            repl_limits_result_text, out);
    bool leases = kind_help(word, "Lease", GIRO_LEASE_RESULT_MAX, giro_lease_result_name,
                            repl_lease_result_text, out);
    bool schedules = kind_help(word, "Schedule", GIRO_SCHEDULE_RESULT_MAX,
                               giro_schedule_result_name, repl_schedule_result_text, out);
    bool cut_offs = kind_help(word, "Cut-off", GIRO_CUT_OFF_RESULT_MAX, giro_cut_off_result_name,
                              repl_cut_off_result_text, out);
    return accounts || transfers || limits || leases || schedules || cut_offs;
}

/* Statuses 1 .. 15 are between the client and the server, and end their connection. */
static bool statuses_help(const struct repl_word *word, FILE *out)
{
    enum { FIRST = 16, LAST = 255 };
    for (uint32_t status = FIRST; status <= LAST; status++) {
        const char *name = giro_status_name(status);
        if (!word_is(word, name) || word_is(word, "unknown"))
            continue;
        fprintf(out, "Status %u, %s: %s\n", status, name, giro_status_text(status));
        return true;
    }
    return false;
}

bool repl_help(const struct repl_word *topic, FILE *out, char error[REPL_ERROR_BYTES])
{
    const char *names[REPL_WORDS_MAX] = {0};
    if (topic == NULL) {
        fputs(overview, out);
        return true;
    }
    for (uint32_t i = 0; topics[i].name != NULL; i++) {
        names[i] = topics[i].name;
        if (word_is(topic, topics[i].name)) {
            fputs(topics[i].text, out);
            return true;
        }
    }
    if (results_help(topic, out) || statuses_help(topic, out))
        return true;
    const char *nearest = repl_nearest(topic->text, topic->size, names);
    (void)snprintf(error, REPL_ERROR_BYTES, "there is no help on \"%.*s\"%s%s%s",
                   topic->size > 40 ? 40 : (int)topic->size, topic->text,
                   nearest == NULL ? ": help lists the topics" : ": did you mean ",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
    return false;
}
