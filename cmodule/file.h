// Reading a file that nobody vouches for: what a check says, numbers at any address.
#ifndef DITMOS_FILE_H
#define DITMOS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Result of everything that reads the file: field is NULL if all is well, else what is wrong and where in the file.
typedef struct {
    const char *field;
    const char *problem;
    uint32_t offset;
} ditmos_status_t;

// Gives memory for any type; does not return without it.
typedef void *(*ditmos_allocate_t)(size_t size);

// Little-endian reads at any address.
static inline uint16_t ditmos_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ditmos_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline ditmos_status_t ditmos_ok(void) {
    return (ditmos_status_t) { .field = NULL };
}

static inline ditmos_status_t ditmos_bad(const char *field, uint32_t offset, const char *problem) {
    return (ditmos_status_t) { .field = field, .problem = problem, .offset = offset };
}

// Well-formed UTF-8: MicroPython would otherwise make strings that its own checks refuse later.
bool ditmos_is_utf8(const uint8_t *p, const uint8_t *end);

#endif // DITMOS_FILE_H
