/* The versions that build.sh made. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSIONS = 64 };
enum fate { GOOD, CRASHES, REFUSED };

typedef struct version {
    char plugin[64], name[64], path[512];
    enum fate fate;
} version;

static version versions[VERSIONS];
static int version_count;

static inline FILE *must_open(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    return file;
}

static inline char *file_text(const char *path) {
    enum { MOST = 1 << 16 };
    FILE *file = must_open(path);
    char *text = (char *)calloc(1, MOST);
    if (text == NULL || fread(text, 1, MOST - 1, file) == 0) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return text;
}

static inline void read_scenario(const char *path) {
    FILE *file = must_open(path);
    char fate[16];
    for (version *next = versions; version_count < VERSIONS; next++, version_count++) {
        if (fscanf(file, "%63s %63s %15s %511s", next->plugin, next->name, fate, next->path) != 4) break;
        next->fate = strcmp(fate, "good") == 0 ? GOOD : strcmp(fate, "crashes") == 0 ? CRASHES : REFUSED;
    }
    fclose(file);
}

#endif
