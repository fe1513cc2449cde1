/* Durations, within 3 %: 32 steps for each power of two. One thread writes; `histogram_add` joins what threads have. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <time.h>

enum { STEPS = 32, BUCKETS = 64 * STEPS };

typedef struct histogram {
    uint64_t count;
    uint64_t buckets[BUCKETS];
} histogram;

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void histogram_note(histogram *h, uint64_t ns) {
    unsigned bits = ns < STEPS ? 5 : 63u - (unsigned)__builtin_clzll(ns);
    h->buckets[bits * STEPS + ((ns >> (bits - 5)) & (STEPS - 1))]++;
    h->count++;
}

static inline void histogram_add(histogram *to, const histogram *from) {
    to->count += from->count;
    for (int i = 0; i < BUCKETS; i++) to->buckets[i] += from->buckets[i];
}

/* Duration that `share` of all do not exceed, in microseconds. */
static inline double histogram_us(const histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted) return (double)((uint64_t)(STEPS + i % STEPS) << (i / STEPS - 5)) / 1000.0;
    }
    return 0;
}

#endif
