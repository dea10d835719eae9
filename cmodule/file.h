// Reading a file that nobody vouches for: what a check says, numbers at any address.
#ifndef DITMOS_FILE_H
#define DITMOS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Result of everything that reads the file: field is NULL if all is well, else what is wrong and where in the file.
// tag: of the section that this is about, where the field does not say so; else empty.
typedef struct {
    const char *field;
    const char *problem;
    uint32_t offset;
    char tag[5];
} ditmos_status_t;

// Part of a file.
typedef struct {
    uint32_t begin;
    uint32_t size;
} ditmos_section_t;

#define NEED(ok, field, offset, problem) \
    do { \
        if (!(ok)) { \
            return ditmos_bad(field, offset, problem); \
        } \
    } while (0)

// Gives memory for any type; does not return without it.
typedef void *(*ditmos_allocate_t)(size_t size);

// Little-endian reads at any address.
static inline uint16_t ditmos_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ditmos_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float ditmos_f32(const uint8_t *p) {
    uint32_t bits = ditmos_u32(p);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// Positive and finite. By its bits: not every core compares floats.
static inline bool ditmos_is_scale(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits - 1 < 0x7f800000 - 1;
}

static inline ditmos_status_t ditmos_ok(void) {
    return (ditmos_status_t) { .field = NULL };
}

static inline ditmos_status_t ditmos_bad(const char *field, uint32_t offset, const char *problem) {
    return (ditmos_status_t) { .field = field, .problem = problem, .offset = offset };
}

// Well-formed UTF-8, which MicroPython's own checks would else refuse later, without control characters, which would do
// as they like with a terminal. Zero bytes end names.
bool ditmos_is_text(const uint8_t *p, const uint8_t *end);

#endif // DITMOS_FILE_H
