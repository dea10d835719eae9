// Spectrum: docs/arithmetic.md. Two stages of the transform at a time, in registers, which changes no bit.
#include "spectrum.h"

#include "dsp.h"

#if DITMOS_KERNELS_M7
// The size that firmware is built for costs a third more here.
#pragma GCC optimize("O2")
#endif

#define QUARTER (DITMOS_SPECTRUM_LONGEST / 4)

// In the place of which power comes to lie, and what the words of the tables are taken as.
typedef struct {
    int32_t re;
    int32_t im;
} __attribute__((may_alias)) point_t;

typedef struct {
    uint32_t low;
    uint32_t high;
} __attribute__((may_alias)) power_t;

typedef uint32_t __attribute__((may_alias)) word_t;

static inline point_t add(point_t u, point_t v) {
    return (point_t) { u.re + v.re, u.im + v.im };
}

static inline point_t sub(point_t u, point_t v) {
    return (point_t) { u.re - v.re, u.im - v.im };
}

// v times -i
static inline point_t back(point_t v) {
    return (point_t) { v.im, -v.re };
}

// u / 2 + t and u / 2 - t
static inline point_t half_add(point_t u, point_t t) {
    return (point_t) { (u.re >> 1) + t.re, (u.im >> 1) + t.im };
}

static inline point_t half_sub(point_t u, point_t t) {
    return (point_t) { (u.re >> 1) - t.re, (u.im >> 1) - t.im };
}

// v / 2 times w
static inline point_t turn(point_t v, point_t w) {
    return (point_t) {
        ditmos_mlsr(v.im, w.im, ditmos_mulr(v.re, w.re)),
        ditmos_mlar(v.re, w.im, ditmos_mulr(v.im, w.re)),
    };
}

// v / 2 times w times -i, as if the latter two were one
static inline point_t turn_back(point_t v, point_t w) {
    return (point_t) {
        ditmos_mlar(v.im, w.re, ditmos_mulr(v.re, w.im)),
        ditmos_mlsr(v.re, w.re, ditmos_mulr(v.im, w.im)),
    };
}

// Samples 2 n and 2 n + 1 in the window, as one point.
static inline point_t windowed(const int16_t *x, unsigned step, const int32_t *window, unsigned n) {
    const int32_t *w = window + 2 * n;
    if (step == 1) {
        uint32_t pair = ((const word_t *)(const void *)x)[n];
        return (point_t) { ditmos_mulwb(w[0], pair), ditmos_mulwt(w[1], pair) };
    }
    x += 2 * n * step;
    return (point_t) { ditmos_mulwb(w[0], (uint32_t)x[0]), ditmos_mulwb(w[1], (uint32_t)x[step]) };
}

// Points a, b, c, d -> the first two stages, which are exact sums.
static inline void first_stages(point_t *p, point_t a, point_t b, point_t c, point_t d) {
    point_t e = add(a, b), f = sub(a, b), g = add(c, d), h = back(sub(c, d));
    p[0] = add(e, g);
    p[1] = add(f, h);
    p[2] = sub(e, g);
    p[3] = sub(f, h);
}

// The frame in its window, through the first stages. Points j, j + 2 q, j + q and j + 3 q come to lie together, at the
// place of j with its bits reversed.
static inline __attribute__((always_inline)) void begin(const ditmos_spectrum_t *op, const int16_t *x, unsigned step,
    point_t *z) {
    const int32_t *window = op->window;
    unsigned given = op->frame / 2u; // points; the others are zero
    unsigned q = op->points / 8u;
    unsigned unused = (unsigned)__builtin_clz(q);
    static const point_t zero = { 0, 0 };
    unsigned j = 0;
    for (; j + 3 * q < given; j++) {
        first_stages(z + 4 * (ditmos_reversed(2 * j) >> unused), windowed(x, step, window, j),
            windowed(x, step, window, j + 2 * q), windowed(x, step, window, j + q),
            windowed(x, step, window, j + 3 * q));
    }
    for (; j < q && j + 2 * q < given; j++) {
        first_stages(z + 4 * (ditmos_reversed(2 * j) >> unused), windowed(x, step, window, j),
            windowed(x, step, window, j + 2 * q), windowed(x, step, window, j + q), zero);
    }
    for (; j < q; j++) {
        first_stages(z + 4 * (ditmos_reversed(2 * j) >> unused), j < given ? windowed(x, step, window, j) : zero, zero,
            j + q < given ? windowed(x, step, window, j + q) : zero, zero);
    }
}

#if DITMOS_KERNELS_M7
void ditmos_m7_column(point_t *p, uint32_t stride, const point_t *end, const point_t turns[2]);

static inline void column(point_t *p, unsigned h, const point_t *end, const point_t turns[2]) {
    ditmos_m7_column(p, sizeof(*p) * h, end, turns);
}
#else
// One column of the stages of length 2 h and 4 h: point p and those h, 2 h and 3 h behind it, in every block of 4 h.
static void column(point_t *p, unsigned h, const point_t *end, const point_t turns[2]) {
    for (; p < end; p += 4 * h) {
        point_t b = turn(p[h], turns[0]);
        point_t d = turn(p[3 * h], turns[0]);
        point_t e = half_add(p[0], b), f = half_sub(p[0], b);
        point_t u = half_add(p[2 * h], d), v = half_sub(p[2 * h], d);
        u = turn(u, turns[1]);
        v = turn_back(v, turns[1]);
        p[0] = half_add(e, u);
        p[2 * h] = half_sub(e, u);
        p[h] = half_add(f, v);
        p[3 * h] = half_sub(f, v);
    }
}
#endif

static void two_stages(point_t *z, unsigned count, unsigned h) {
    const point_t *second = (const point_t *)(const void *)ditmos_turns;
    const point_t *first = second;
    unsigned step = QUARTER / h;
    point_t turns[2];
    for (unsigned j = 0; j < h / 2; j++, first += 2 * step, second += step) {
        turns[0] = *first;
        turns[1] = *second;
        column(z + j, h, z + count, turns);
        turns[0] = back(*first); // half a circle of the first stage is a quarter of the second
        turns[1] = second[QUARTER / 2];
        column(z + j + h / 2, h, z + count, turns);
    }
}

// The last stage by itself, where their number is odd.
static void last_stage(point_t *z, unsigned h) {
    const point_t *turns = (const point_t *)(const void *)ditmos_turns;
    for (unsigned j = 0; j < h; j++) {
        unsigned at = j * (2 * QUARTER / h);
        point_t t = at < QUARTER ? turn(z[j + h], turns[at]) : turn_back(z[j + h], turns[at - QUARTER]);
        point_t u = z[j];
        z[j] = half_add(u, t);
        z[j + h] = half_sub(u, t);
    }
}

static inline power_t power_of(point_t v) {
    uint64_t power = (uint64_t)((int64_t)v.re * v.re) + (uint64_t)((int64_t)v.im * v.im);
    return (power_t) { (uint32_t)power, (uint32_t)(power >> 32) };
}

// Bins k (low) and half - k of the real sequence from points k and half - k of the transform.
static inline void put_bins(power_t *low, power_t *high, point_t z, point_t y, point_t w) {
    int32_t re = y.re >> 1, im = y.im >> 1;
    point_t even = { re + (z.re >> 1), (z.im >> 1) - im };
    point_t t = turn((point_t) { im + (z.im >> 1), re - (z.re >> 1) }, w);
    *high = power_of(half_sub(even, t));
    *low = power_of(half_add(even, t));
}

// The transform z -> the power of half + 1 bins in the same place.
static void split(point_t *z, unsigned half) {
    power_t *power = (power_t *)(void *)z;
    const point_t *w = (const point_t *)(const void *)ditmos_turns;
    unsigned step = 2 * QUARTER / half;
    put_bins(power, power + half, z[0], z[0], w[0]);
    point_t *low = z + 1;
    for (point_t *high = z + half - 1; low <= high; low++, high--) {
        w += step;
        put_bins((power_t *)(void *)low, (power_t *)(void *)high, *low, *high, *w);
    }
}

// log2(high * 2^32 + low), 16 fraction bits; high < 2^63, not both 0.
static inline int32_t log2_of(uint64_t high, uint32_t low) {
    uint32_t top = (uint32_t)(high >> 32);
    uint32_t next = (uint32_t)high;
    int32_t lead = 95;
    while (top == 0) {
        top = next;
        next = low;
        low = 0;
        lead -= 32;
    }
    unsigned shift = (unsigned)__builtin_clz(top);
    uint32_t mantissa = top << shift | next >> 1 >> (31 - shift);
    const uint32_t *log = ditmos_logs + (mantissa >> 25 & 63);
    uint32_t rest = mantissa & ((1u << 25) - 1);
    uint32_t between = (uint32_t)(((uint64_t)(log[1] - log[0]) * rest + (1u << 24)) >> 25);
    return (int32_t)(((uint32_t)(lead - (int32_t)shift) << 16) + log[0] + between);
}

static void put_bands(const ditmos_spectrum_t *op, const power_t *power, const ditmos_affine_t *affine, int16_t *out) {
    const uint16_t *weight = op->bank;
    uint32_t floor_low = (uint32_t)op->floor;
    uint32_t floor_high = (uint32_t)(op->floor >> 32);
    int32_t offset = op->offset;
    for (const int16_t *last = out + op->bands; out < last; out++) {
        const power_t *p = power + weight[0];
        unsigned bins = weight[1];
        uint64_t low = floor_low;
        uint64_t high = floor_high;
        weight += 2;
        if (bins & 1) {
            low = ditmos_umlal(low, p->low, *weight);
            high = ditmos_umlal(high, p->high, *weight);
            p++;
            weight++;
        }
        for (const uint16_t *end = weight + (bins & ~1u); weight < end; weight += 2, p += 2) {
            low = ditmos_umlal(low, p[0].low, weight[0]);
            high = ditmos_umlal(high, p[0].high, weight[0]);
            low = ditmos_umlal(low, p[1].low, weight[1]);
            high = ditmos_umlal(high, p[1].high, weight[1]);
        }
        high += low >> 32;
        int32_t log = log2_of(high, (uint32_t)low) - offset;
        *out = affine ? ditmos_affine_wide(affine++, log) : (int16_t)ditmos_sat16((log + 128) >> 8);
    }
}

void ditmos_spectrum(const ditmos_spectrum_t *op, const int16_t *x, unsigned step, uint32_t *work,
    const ditmos_affine_t *affine, int16_t *out) {
    point_t *z = (point_t *)(void *)work;
    unsigned half = op->points / 2u;
    if (step == 1) {
        begin(op, x, 1, z);
    } else {
        begin(op, x, step, z);
    }
    unsigned h = 4;
    for (; 4 * h <= half; h *= 4) {
        two_stages(z, half, h);
    }
    if (h < half) {
        last_stage(z, h);
    }
    split(z, half);
    put_bands(op, (const power_t *)(const void *)work, affine, out);
}
