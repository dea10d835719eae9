#include "summary.h"

#include <stdbool.h>

#include "dsp.h"

// As the rest of what runs for every window, whatever the firmware is built with.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2")
#endif

// 0 for 0, else 256 times the number of bits, and the eight bits behind the leading one.
static int16_t log_code(uint64_t v) {
    uint32_t high = (uint32_t)(v >> 32);
    uint32_t low = (uint32_t)v;
    uint32_t bits = 32;
    if (high) {
        unsigned lead = (unsigned)__builtin_clz(high);
        low = lead ? high << lead | low >> (32 - lead) : high;
        bits = 64 - lead;
    } else if (low) {
        unsigned lead = (unsigned)__builtin_clz(low);
        low <<= lead;
        bits -= lead;
    } else {
        return 0;
    }
    return (int16_t)((bits << 8) + (low << 1 >> 24));
}

static int16_t power(int32_t re, int32_t im) {
    return log_code((uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im));
}

// Power of each bin of `pairs` times two block means. The accumulators hold it: DITMOS_SUMMARY_WEIGHT. Two bins at a time:
// what is loaded and counted for the one serves the other.
static int16_t *bins(const ditmos_summary_t *summary, const uint32_t *means, int16_t *out) {
    unsigned pairs = (summary->blocks + 1u) / 2;
    const uint32_t *weights = (const uint32_t *)(const void *)summary->table;
    const uint32_t *end = means + pairs;
    unsigned left = summary->bins;
    for (; left >= 2; left -= 2) {
        const uint32_t *others = weights + 2 * pairs;
        int32_t re[2] = { 0, 0 };
        int32_t im[2] = { 0, 0 };
        const uint32_t *p = means;
        do {
            uint32_t two = *p++;
            re[0] = ditmos_smlad(two, weights[0], re[0]);
            im[0] = ditmos_smlad(two, weights[1], im[0]);
            re[1] = ditmos_smlad(two, others[0], re[1]);
            im[1] = ditmos_smlad(two, others[1], im[1]);
            weights += 2;
            others += 2;
        } while (p < end);
        weights = others;
        *out++ = power(re[0], im[0]);
        *out++ = power(re[1], im[1]);
    }
    if (left) {
        int32_t re = 0;
        int32_t im = 0;
        for (const uint32_t *p = means; p < end; p++, weights += 2) {
            re = ditmos_smlad(*p, weights[0], re);
            im = ditmos_smlad(*p, weights[1], im);
        }
        *out++ = power(re, im);
    }
    return out;
}

// What is added up over a channel; two rows in a word, the older one in the lower half.
typedef struct {
    uint32_t before; // the two rows before
    uint32_t least; // of even rows, and of odd ones
    uint32_t most;
    int32_t peaks; // of each row and the one before it, the larger: |a - b| = 2 max(a, b) - a - b
    int32_t sum;
    int64_t squares;
} running_t;

static inline __attribute__((always_inline)) void take_two(running_t *r, uint32_t two) {
    #if DITMOS_KERNELS_M7
    // As one: taken apart, it would not fit into the registers.
    uint32_t t;
    __asm__ ("lsrs %[before], %[before], #16\n\t"
        "pkhbt %[before], %[before], %[two], lsl #16\n\t"
        "ssub16 %[t], %[two], %[before]\n\t"
        "sel %[t], %[two], %[before]\n\t"
        "smlad %[peaks], %[t], %[ones], %[peaks]\n\t"
        "ssub16 %[t], %[two], %[least]\n\t"
        "sel %[least], %[least], %[two]\n\t"
        "ssub16 %[t], %[two], %[most]\n\t"
        "sel %[most], %[two], %[most]\n\t"
        "smlad %[sum], %[two], %[ones], %[sum]\n\t"
        "smlald %Q[squares], %R[squares], %[two], %[two]"
        : [before] "+r" (r->before), [least] "+r" (r->least), [most] "+r" (r->most), [peaks] "+r" (r->peaks),
        [sum] "+r" (r->sum), [squares] "+r" (r->squares), [t] "=&r" (t)
        : [two] "r" (two), [ones] "r" (0x00010001)
        : "cc");
    #else
    uint32_t old = ditmos_pack16(r->before >> 16, two);
    r->peaks = ditmos_smlad(ditmos_most16(two, old), 0x00010001, r->peaks);
    r->least = ditmos_least16(two, r->least);
    r->most = ditmos_most16(two, r->most);
    r->sum = ditmos_smlad(two, 0x00010001, r->sum);
    r->squares = ditmos_smlald(two, two, r->squares);
    #endif
    r->before = two;
}

// A row behind the last block, or of a short one.
static inline __attribute__((always_inline)) void take_one(running_t *r, int32_t v) {
    int32_t before = (int32_t)r->before >> 16;
    uint32_t two = ditmos_pack16((uint32_t)v, (uint32_t)v);
    r->peaks += v > before ? v : before;
    r->least = ditmos_least16(two, r->least);
    r->most = ditmos_most16(two, r->most);
    r->sum += v;
    r->squares += v * v;
    r->before = two;
}

// One channel: its features but the bins, and the means of its blocks.
static inline __attribute__((always_inline)) void channel_features(const ditmos_summary_t *summary, const int16_t *p,
    unsigned channels, bool short_blocks, int16_t *means, int16_t *out) {
    running_t r = { .before = (uint32_t)p[0] << 16, .least = 0x7fff7fff, .most = 0x80008000 }; // row 0 changes by nothing
    int32_t first = p[0];
    int32_t total = 0;
    unsigned shift = (unsigned)__builtin_ctz(summary->block);
    unsigned block = summary->block;
    for (unsigned part = 0, b = 0; part < DITMOS_SUMMARY_PARTS; part++) {
        unsigned end = summary->blocks * (part + 1u) / DITMOS_SUMMARY_PARTS;
        unsigned rows = (end - b) * block;
        r.sum = 0;
        r.squares = 0;
        for (; b < end; b++) {
            int32_t before = r.sum;
            unsigned i = block;
            if (short_blocks) {
                for (; i; i--, p += channels) {
                    take_one(&r, p[0]);
                }
            } else {
                do {
                    #pragma GCC unroll 4
                    for (unsigned j = 0; j < DITMOS_SUMMARY_STEP / 2; j++, p += 2 * channels) {
                        take_two(&r, ditmos_pack16((uint32_t)p[0], (uint32_t)p[channels]));
                    }
                } while (i -= DITMOS_SUMMARY_STEP);
            }
            means[b] = (int16_t)((r.sum - before) >> shift);
        }
        if (part == DITMOS_SUMMARY_PARTS - 1) {
            for (unsigned i = summary->rows - summary->blocks * block; i; i--, p += channels, rows++) {
                take_one(&r, p[0]);
            }
        }
        total += r.sum;
        out[4 + part] = log_code((uint64_t)r.squares * rows - (uint64_t)((int64_t)r.sum * r.sum));
    }
    int16_t least[2] = { (int16_t)r.least, (int16_t)(r.least >> 16) };
    int16_t most[2] = { (int16_t)r.most, (int16_t)(r.most >> 16) };
    int32_t last = (int32_t)r.before >> 16;
    out[0] = least[0] < least[1] ? least[0] : least[1];
    out[1] = most[0] > most[1] ? most[0] : most[1];
    out[2] = (int16_t)(total / (int32_t)summary->rows);
    out[3] = log_code(2 * (uint32_t)r.peaks - 2 * (uint32_t)total + (uint32_t)last - (uint32_t)first);
}

// Norms of three axes' block means, in the place of the first ones.
static void norms(int16_t (*means)[DITMOS_SUMMARY_BLOCKS], unsigned blocks) {
    for (unsigned b = 0; b < blocks; b++) {
        uint32_t squares = (uint32_t)(means[0][b] * means[0][b]) + (uint32_t)(means[1][b] * means[1][b])
            + (uint32_t)(means[2][b] * means[2][b]);
        uint32_t root = ditmos_root(squares);
        means[0][b] = (int16_t)(root > INT16_MAX ? INT16_MAX : root);
    }
}

static inline __attribute__((always_inline)) void features(const ditmos_summary_t *summary, const int16_t *rows,
    unsigned channels, bool short_blocks, int16_t *out) {
    int16_t means[3][DITMOS_SUMMARY_BLOCKS] __attribute__((aligned(4)));
    bool threes = ditmos_summary_triples(channels);
    for (unsigned c = 0; c < channels; c++) {
        int16_t *own = means[threes ? c % 3 : 0];
        if (summary->blocks % 2) {
            own[summary->blocks] = 0; // made even
        }
        channel_features(summary, rows + c, channels, short_blocks, own, out);
        out = bins(summary, (const uint32_t *)(const void *)own, out + 4 + DITMOS_SUMMARY_PARTS);
        if (threes && c % 3 == 2) {
            norms(means, summary->blocks);
            out = bins(summary, (const uint32_t *)(const void *)means[0], out);
        }
    }
}

void ditmos_summary(const ditmos_summary_t *summary, const int16_t *rows, int16_t *out) {
    if (summary->block < DITMOS_SUMMARY_STEP) {
        features(summary, rows, summary->channels, true, out);
    } else if (summary->channels == 3) { // a step that the compiler knows
        features(summary, rows, 3, false, out);
    } else {
        features(summary, rows, summary->channels, false, out);
    }
}
