// Runs the cases that the host loaded to PSRAM: one layer each, chunk by chunk, against the expected output. Prints a
// line per case, "index differing instructions", instructions of all kernel calls without this loop.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernels.h"
#include "bare.h"

#define GUARD (16)
#define GUARD_BYTE (0xa5)

typedef struct {
    uint32_t offset; // of row 0 of plane 0 in the data
    uint32_t stride;
    uint16_t channels;
    uint16_t rows;
} case_operand_t;

// Followed by data, weights and the expected output (planes without gaps), each padded to 4 bytes.
typedef struct {
    uint32_t size; // of the whole record; 0 ends the list
    ditmos_layer_t layer;
    case_operand_t in[2];
    uint32_t data_size;
    uint32_t scratch_size;
    uint32_t out_stride;
    uint16_t rows; // output rows
    uint16_t chunk;
    uint32_t carry;
} case_t;

static uint8_t arena[1 << 18] __attribute__((aligned(8)));
static uint32_t used;

// `size` bytes between two guards; `shift` bytes away from a multiple of 4.
static void *take(uint32_t size, uint32_t shift) {
    used = ((used + 3) & ~3u) + GUARD + shift;
    void *at = arena + used;
    used += size + GUARD;
    if (used > sizeof(arena)) {
        bare_print("arena too small\n");
        bare_exit(2);
    }
    return at;
}

// The input lies against 32 bytes that nobody may touch while a kernel runs: in front of it in every other case, behind
// it in the rest (where it ends on a boundary of 32, or a fully connected layer's aligned words would be cut).
static uint8_t inputs[1 << 17] __attribute__((aligned(32)));

static uint8_t *place_input(const case_t *c, bool in_front, uint32_t *forbidden) {
    uint8_t *first = inputs + 64;
    if (c->data_size + 128 > sizeof(inputs)) {
        bare_print("input too large\n");
        bare_exit(2);
    }
    memset(inputs, GUARD_BYTE, sizeof(inputs));
    if (in_front) {
        *forbidden = (uint32_t)first - 32;
        return first;
    }
    uint32_t end = ((uint32_t)first + c->data_size + 31) & ~31u;
    *forbidden = end;
    return c->layer.kind == DITMOS_FC ? first : (uint8_t *)end - c->data_size;
}

// Memory protection unit: no access to 32 bytes, the default map elsewhere.
#define MPU ((volatile uint32_t *)0xe000ed90)

static void forbid(uint32_t address) {
    #if __ARM_ARCH >= 8 // where two regions overlap there is no access
    for (uint32_t region = 0; region < 2; region++) {
        MPU[2] = region;
        MPU[3] = address;
        MPU[4] = address | 1; // its last 32 bytes, enabled
    }
    #else
    MPU[2] = 0; // region
    MPU[3] = address;
    MPU[4] = 4 << 1 | 1; // 2^5 bytes, no access, enabled
    #endif
    MPU[1] = 5; // enabled, with the default map as background
    __asm__ volatile ("dsb\nisb" : : : "memory");
}

static void allow(void) {
    MPU[1] = 0;
    __asm__ volatile ("dsb\nisb" : : : "memory");
}

// Whether a word at an address that is not a multiple of 4 is a fault. The core loads it, but slowly.
static void trap_unaligned_words(bool on) {
    volatile uint32_t *ccr = (volatile uint32_t *)0xe000ed14;
    *ccr = on ? *ccr | 1u << 3 : *ccr & ~(1u << 3);
    __asm__ volatile ("dsb\nisb" : : : "memory");
}

// Whether a fully connected layer's inputs are one aligned run of bytes; others are copied, by memcpy().
static bool reads_in_place(const ditmos_call_t *call) {
    return call->in[0].channels == 1 && call->in[1].channels == 0 && (uintptr_t)call->in[0].data % 4 == 0;
}

static int damaged(const uint8_t *at, uint32_t size) {
    int count = 0;
    for (uint32_t i = 0; i < GUARD; i++) {
        count += at[-1 - (int32_t)i] != GUARD_BYTE;
        count += at[size + i] != GUARD_BYTE;
    }
    return count;
}

static uint32_t padded(uint32_t size) {
    return (size + 3) & ~3u;
}

static uint32_t empty_count(void) {
    uint32_t before = bare_timer();
    return bare_instructions(before, bare_timer());
}

static void run_case(uint32_t index, const case_t *c) {
    const uint8_t *data = (const uint8_t *)(c + 1);
    const uint8_t *weights = data + padded(c->data_size);
    const uint8_t *expected = weights + padded(c->layer.weights_size);
    uint32_t wrong;
    char line[80];
    if (!ditmos_weights_valid(&c->layer, weights, &wrong)) {
        snprintf(line, sizeof(line), "%" PRIu32 " invalid %" PRIu32 "\n", index, wrong);
        bare_print(line);
        return;
    }
    used = 0;
    memset(arena, GUARD_BYTE, sizeof(arena));
    uint32_t forbidden;
    int8_t *in = (int8_t *)place_input(c, index % 2 == 0, &forbidden);
    memcpy(in, data, c->data_size);
    uint32_t out_size = c->out_stride * c->layer.channels_out;
    int8_t *out = take(out_size, 1);
    int32_t *carry = take(4u * c->layer.channels_out, 0);
    void *scratch = take(c->scratch_size, 0);
    uint32_t instructions = 0;
    uint32_t nothing = empty_count();
    for (uint32_t row = 0; row < c->rows; row += c->chunk) {
        ditmos_call_t call = { .weights = weights, .out = out + row, .out_stride = c->out_stride, .first = row == 0 };
        call.rows = (uint16_t)(c->rows - row < c->chunk ? c->rows - row : c->chunk);
        call.carry = c->carry ? carry : NULL;
        call.scratch = c->scratch_size > 0 ? scratch : NULL;
        call.scratch_size = c->scratch_size;
        for (unsigned i = 0; i < 2; i++) {
            const case_operand_t *from = &c->in[i];
            uint32_t first = c->layer.kind == DITMOS_FC ? 0 : row * c->layer.pool * c->layer.stride;
            call.in[i] = (ditmos_operand_t) { in + from->offset + first, from->stride, from->channels, from->rows };
        }
        forbid(forbidden);
        trap_unaligned_words(c->layer.packing >= DITMOS_PACKING_LANES
            || (c->layer.packing != DITMOS_PACKING_PLAIN && reads_in_place(&call)));
        uint32_t before = bare_timer();
        ditmos_kernel_of(&c->layer)(&c->layer, &call);
        uint32_t after = bare_timer();
        allow();
        trap_unaligned_words(false);
        instructions += bare_instructions(before, after) - nothing;
    }
    int differing = memcmp(in, data, c->data_size) != 0;
    differing += damaged((uint8_t *)in, c->data_size) + damaged((uint8_t *)out, out_size);
    differing += damaged((uint8_t *)scratch, c->scratch_size) + damaged((uint8_t *)carry, 4u * c->layer.channels_out);
    for (uint32_t o = 0; o < c->layer.channels_out; o++) {
        for (uint32_t r = 0; r < c->out_stride; r++) {
            uint8_t want = r < c->rows ? expected[o * c->rows + r] : GUARD_BYTE;
            differing += (uint8_t)out[o * c->out_stride + r] != want;
        }
    }
    snprintf(line, sizeof(line), "%" PRIu32 " %d %" PRIu32 "\n", index, differing, instructions);
    bare_print(line);
}

int main(void) {
    bare_timer_start();
    const case_t *c = (const case_t *)BARE_INPUT;
    for (uint32_t index = 0; c->size != 0; index++) {
        run_case(index, c);
        c = (const case_t *)((const uint8_t *)c + c->size);
    }
    return 0;
}
