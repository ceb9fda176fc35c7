/* Bugs that the build option planted_bugs plants, one at a time, to see that the tests find them.
 *
 * Without the option PLANTED() is false and nothing of them is left. With it, the simulator chooses
 * one (giro-sim --bug NAME); tests/sim/planted.sh lets it find each. Such a build serves nobody. */
#ifndef ENGINE_PLANTED_H
#define ENGINE_PLANTED_H

/* X(NAME, "name", "what it does") */
#define PLANTED_BUGS(X)                                                                            \
    X(ACK_EARLY, "ack-early", "replies are sent before their block is durable")                    \
    X(READ_EARLY, "read-early", "reads are answered before what they show is durable")             \
    X(ACCEPT_SHORT_WRITE, "accept-short-write", "a log write that was cut short counts as done")   \
    X(IGNORE_WRITE_ERROR, "ignore-write-error", "a log write that failed counts as done")          \
    X(REUSE_BUFFER, "reuse-buffer", "the next block begins inside the one being written")          \
    X(FORGET_WINDOW, "forget-window", "what the window overwrote is read from it")                 \
    X(SKIP_SEGMENT_SYNC, "skip-segment-sync", "a segment gets its name before it is on the disk")  \
    X(SKIP_FOLDER_SYNC, "skip-folder-sync", "a segment is used before its name is on the disk")    \
    X(CUT_DAMAGE, "cut-damage", "a log is cut at its first bad block, whatever follows")           \
    X(IGNORE_PROOF, "ignore-proof", "blocks behind a bad one prove nothing")                       \
    X(SKIP_CHAIN, "skip-chain", "a block need not continue the one before it")                     \
    X(SKIP_BODY_CHECK, "skip-body-check", "bodies of blocks are not checked at start")             \
    X(LEAVE_TORN, "leave-torn", "what is left of a torn block is not zeroed")                      \
    X(SKIP_LIMIT, "skip-limit", "debits may exceed credits")                                       \
    X(FORGET_BURNT, "forget-burnt", "ids of failed transfers are forgotten by a replay")           \
    X(FORGET_IDS, "forget-ids", "a start from a snapshot forgets the ids of sealed segments")      \
    X(FORGET_OUTCOMES, "forget-outcomes", "a snapshot forgets which holds were posted")            \
    X(SKIP_FENCE, "skip-fence", "queries do not wait for what was acknowledged")                   \
    X(LOSE_POSTING, "lose-posting", "the index loses the credit side of pending transfers")        \
    X(PRUNE_EARLY, "prune-early", "an old snapshot is deleted before the manifest goes without")   \
    X(SKIP_SNAPSHOT_SYNC, "skip-snapshot-sync", "a snapshot is named before it is on the disk")    \
    X(CLOCK_BACKWARDS, "clock-backwards", "timestamps follow a clock that was set back")           \
    X(SKIP_CAP, "skip-cap", "more may be returned than was posted")                                \
    X(KEEP_CAP, "keep-cap", "a return that expired still counts")                                  \
    X(SKIP_ASIDE, "skip-aside", "payments that change meanwhile are not set aside")                \
    X(FORGET_DEADLINE, "forget-deadline", "a snapshot forgets deadlines that were adjusted")       \
    X(FORGET_LIMITS, "forget-limits", "a snapshot forgets limits")                                 \
    X(SKIP_BLOCK, "skip-block", "accounts that are blocked are not")                               \
    X(SKIP_VELOCITY, "skip-velocity", "what goes over a velocity limit is not refused")            \
    X(KEEP_COUNTS, "keep-counts", "a chain that breaks leaves what it counted")                    \
    X(STALE_FENCE, "stale-fence", "a lease that is over still lets transfers pass")                \
    X(FIRE_AGAIN, "fire-again", "a replay forgets which attempts schedules have made")             \
    X(FORGET_SCHEDULES, "forget-schedules", "a snapshot forgets when schedules are due")           \
    X(KEEP_EPOCH, "keep-epoch", "an account does not notice that its epoch is over")               \
    X(EXECUTE_AGAIN, "execute-again", "a request that a session sends again is executed again")    \
    X(FORGET_RESULTS, "forget-results", "a session is answered again with another one's results")  \
    X(FORGET_SESSIONS, "forget-sessions", "a snapshot forgets sessions")

#ifdef GIRO_PLANTED_BUGS

#define PLANTED_ENUMERATOR(name, text, meaning) PLANTED_##name,
enum planted_bug { PLANTED_NONE, PLANTED_BUGS(PLANTED_ENUMERATOR) };
#undef PLANTED_ENUMERATOR

extern enum planted_bug planted_bug;

#define PLANTED(name) (planted_bug == PLANTED_##name)

#else

#define PLANTED(name) 0

#endif

#endif
