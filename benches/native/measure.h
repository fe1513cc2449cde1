/* What both C programs measure with. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Processor time of all threads of this process. */
static inline double cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* A JSON text of so many bytes. */
static inline char *json_text(size_t size) {
    char *text = (char *)malloc(size + 1);
    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    text[size] = 0;
    return text;
}

#endif
