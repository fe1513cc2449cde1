/* What served when: the versions of one plugin in the order in which they were put into service. Callers ask it whether a
 * version may have answered; the thread that exchanges versions writes it. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_LENGTH = 1 << 16 };

typedef struct entry {
    const char *version;
    int crashes;
    int answered;   /* it answered a call */
    int overlapped; /* it answered while a call of the version before was under way */
} entry;

typedef struct history {
    entry *entries;
    int settled;  /* the newest entry before which none serves any more */
    int started;  /* the newest entry that may serve already */
    int changing; /* an exchange is under way, perhaps one that will fail */
} history;

/* A call's view: what may serve it, from its begin to its end. */
typedef struct window {
    int oldest, newest, changing;
} window;

static inline int read_int(const int *value) { return __atomic_load_n(value, __ATOMIC_SEQ_CST); }
static inline void write_int(int *value, int new_value) { __atomic_store_n(value, new_value, __ATOMIC_SEQ_CST); }

static inline void history_new(history *h, const char *version) {
    h->entries = (entry *)calloc(HISTORY_LENGTH, sizeof *h->entries);
    h->entries[0].version = version;
    h->settled = h->started = h->changing = 0;
}

/* From now on `version` may answer as well. */
static inline void history_start(history *h, const char *version, int crashes) {
    if (h->started + 1 == HISTORY_LENGTH) {
        fprintf(stderr, "the history is full\n");
        exit(2);
    }
    h->entries[h->started + 1].version = version;
    h->entries[h->started + 1].crashes = crashes;
    write_int(&h->started, h->started + 1);
}

/* From now on new calls meet the newest version only. */
static inline void history_settle(history *h) { write_int(&h->settled, h->started); }

static inline window window_open(const history *h) {
    window w;
    w.changing = read_int(&h->changing);
    w.oldest = read_int(&h->settled);
    w.newest = w.oldest;
    return w;
}
static inline void window_close(const history *h, window *w) {
    w->newest = read_int(&h->started);
    w->changing |= read_int(&h->changing) | (w->newest != w->oldest);
}

static inline int window_has_crashing(const history *h, const window *w) {
    for (int at = w->oldest; at <= w->newest; at++)
        if (h->entries[at].crashes) return 1;
    return 0;
}

/* Whether the version may have answered. Notes that it did, and that two versions served side by side: this call began
 * before the next version's, and ends after one of that version's has. */
static inline int window_admits(const history *h, const window *w, const char *version, size_t len) {
    for (int at = w->newest; at >= w->oldest; at--) {
        entry *found = &h->entries[at];
        if (strlen(found->version) != len || memcmp(found->version, version, len) != 0) continue;
        write_int(&found->answered, 1);
        if (at < w->newest && read_int(&found[1].answered)) write_int(&found[1].overlapped, 1);
        return 1;
    }
    return 0;
}

#endif
