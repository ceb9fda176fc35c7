#include "tools/repl_help.h"

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
    {"stats", "stats;\n\nShows the server's counters.\n"},
    {"set",
     "set scale 2;          show amounts with two decimals, in every ledger\n"
     "set scale 978 2;      in ledger 978 only\n"
     "set thousands on;     show 1,234,567; off: 1234567\n"
     "set;                  show the settings\n"
     "\n"
     "Settings change what is shown, never what is read: amounts are always given in whole minor\n"
     "units, so that amount=1000 means the same whatever the setting.\n"},
    {"help",
     "help;  help TOPIC;\n\nTOPIC: a command, fields, flags, numbers, or a result's name.\n"},
    {"exit", "exit;\n\nEnds the session. The end of the input does, too.\n"},
    {"fields",
     "Accounts:   id ledger code flags user_data_128 user_data_64 user_data_32 timestamp\n"
     "Transfers:  id debit_account_id credit_account_id amount pending_id ledger code flags\n"
     "            timeout user_data_128 user_data_64 user_data_32 timestamp\n"
     "\n"
     "What is left out is 0. ledger and code are numbers of your own: the ledger is often the\n"
     "currency, the code the kind. user_data links to your own records. timestamp is only for\n"
     "imported events: nanoseconds since 1970, or 2024-01-31T10:30:00Z.\n"},
    {"flags",
     "Accounts:   linked debits_must_not_exceed_credits credits_must_not_exceed_debits history\n"
     "            imported closed\n"
     "Transfers:  linked pending post_pending_transfer void_pending_transfer balancing_debit\n"
     "            balancing_credit closing_debit closing_credit imported\n"
     "\n"
     "Several are written with a bar between them: flags=pending|linked.\n"},
    {"numbers",
     "Decimal, or 0x and hexadecimal digits, up to 128 bits; max is the largest that fits.\n"
     "id=new makes an id from the time and shows it. NAMESPACE:NUMBER is the id that an import\n"
     "makes of the source's own number, such as 2:576.\n"},
    {0},
};

static const char overview[] =
    "create_accounts   create accounts          create_accounts id=1 ledger=1 code=10;\n"
    "create_transfers  create transfers         create_transfers id=new debit_account_id=1 ...;\n"
    "lookup_accounts   show accounts            lookup_accounts id=1, id=2;\n"
    "lookup_transfers  show transfers           lookup_transfers id=1;\n"
    "stats             show the server's counters\n"
    "set               decimals and thousands   set scale 2;\n"
    "help TOPIC        more: a command, fields, flags, numbers, or a result such as exists\n"
    "exit              end the session\n"
    "\n"
    "A statement ends with ; and may span lines. # begins a comment. Tab completes.\n";

static bool word_is(const struct repl_word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

static bool results_help(const struct repl_word *word, FILE *out)
{
    bool found = false;
    for (uint32_t code = 0; code <= GIRO_ACCOUNT_RESULT_MAX; code++) {
        const char *name = giro_account_result_name(code);
        if (!word_is(word, name))
            continue;
        fprintf(out, "Account result %u, %s: %s\n", code, name, repl_account_result_text(code));
        found = true;
    }
    for (uint32_t code = 0; code <= GIRO_TRANSFER_RESULT_MAX; code++) {
        const char *name = giro_transfer_result_name(code);
        if (!word_is(word, name) || word_is(word, "unknown"))
            continue;
        fprintf(out, "Transfer result %u, %s: %s\n", code, name, repl_transfer_result_text(code));
        found = true;
    }
    return found;
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
    if (results_help(topic, out))
        return true;
    const char *nearest = repl_nearest(topic->text, topic->size, names);
    (void)snprintf(error, REPL_ERROR_BYTES, "there is no help on \"%.*s\"%s%s%s",
                   topic->size > 40 ? 40 : (int)topic->size, topic->text,
                   nearest == NULL ? ": help lists the topics" : ": did you mean ",
                   nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
    return false;
}
