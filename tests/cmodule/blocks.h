// What the drivers of this folder share: requests in blocks from stdin, memory whose ends the sanitizers guard.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void *take(size_t size) {
    void *p = malloc(size ? size : 1);
    if (p == NULL) {
        exit(3);
    }
    return p;
}

// A copy of its own, so that reading past its end is seen.
static inline uint8_t *copy(const void *data, size_t size) {
    uint8_t *p = take(size);
    memcpy(p, data, size);
    return p;
}

// The beginning of a request, false where there is none.
static inline bool next_u32(uint32_t *value) {
    return fread(value, 4, 1, stdin) == 1;
}

static inline void read_all(void *p, size_t size) {
    if (fread(p, 1, size, stdin) != size) {
        exit(4);
    }
}

static inline uint32_t read_u32(void) {
    uint32_t value;
    read_all(&value, 4);
    return value;
}

// Bytes after their number, put `offset` bytes into the block that is returned.
static inline uint8_t *read_block(uint32_t *size, uint32_t offset) {
    *size = read_u32();
    uint8_t *block = take((size_t)offset + *size);
    read_all(block + offset, *size);
    return block;
}
