// Vectors of LANES windows, and the two sums of products that training is made of.
#ifndef DITMOS_STEPS_PRODUCTS_H
#define DITMOS_STEPS_PRODUCTS_H

#include <stdint.h>
#include <string.h>

#ifndef LANES
#define LANES (8)
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

static float sum(vec v) {
    float total = 0;
    for (int i = 0; i < LANES; i++) {
        total += v[i];
    }
    return total;
}

static vec select_where(ivec mask, vec v) {
    return (vec)((ivec)v & mask);
}

static vec larger(vec a, vec b) {
    ivec mask = a > b;
    return (vec)(((ivec)a & mask) | ((ivec)b & ~mask));
}

// y[a][t] += sum over b, k of w[a * wa + b * wb + k * wk] * x[b][t * stride + k]
typedef struct {
    const float *w;
    int wa, wb, wk, b, k, stride, x_rows, y_rows;
} correlation_t;

static inline __attribute__((always_inline)) void correlate_block(
    const correlation_t *c, const vec *x, vec *y, int a, int t, const int as, const int ts) {
    vec acc[4][4];
    for (int i = 0; i < as; i++) {
        for (int j = 0; j < ts; j++) {
            acc[i][j] = y[(a + i) * c->y_rows + t + j];
        }
    }
    for (int b = 0; b < c->b; b++) {
        const vec *from = x + b * c->x_rows + t * c->stride;
        const float *w = c->w + a * c->wa + b * c->wb;
        for (int k = 0; k < c->k; k++) {
            for (int i = 0; i < as; i++) {
                float weight = w[i * c->wa + k * c->wk];
                for (int j = 0; j < ts; j++) {
                    acc[i][j] += weight * from[j * c->stride + k];
                }
            }
        }
    }
    for (int i = 0; i < as; i++) {
        for (int j = 0; j < ts; j++) {
            y[(a + i) * c->y_rows + t + j] = acc[i][j];
        }
    }
}

static void correlate(const correlation_t *c, const vec *x, vec *y, int outputs, int rows) {
    int a = 0;
    for (; a + 4 <= outputs; a += 4) {
        int t = 0;
        for (; t + 4 <= rows; t += 4) {
            correlate_block(c, x, y, a, t, 4, 4);
        }
        for (; t < rows; t++) {
            correlate_block(c, x, y, a, t, 4, 1);
        }
    }
    for (; a < outputs; a++) {
        for (int t = 0; t < rows; t++) {
            correlate_block(c, x, y, a, t, 1, 1);
        }
    }
}

// g[o * wo + k] = sum over t of dy[o][t] * x[t * stride + k], for one channel x
static inline __attribute__((always_inline)) void weigh_block(
    const vec *dy, const vec *x, float *g, int wo, int dy_rows, int rows, int stride, const int os, const int ks) {
    vec acc[4][4];
    memset(acc, 0, sizeof(acc));
    for (int t = 0; t < rows; t++) {
        for (int i = 0; i < os; i++) {
            for (int j = 0; j < ks; j++) {
                acc[i][j] += dy[i * dy_rows + t] * x[t * stride + j];
            }
        }
    }
    for (int i = 0; i < os; i++) {
        for (int j = 0; j < ks; j++) {
            g[i * wo + j] = sum(acc[i][j]);
        }
    }
}

static void weigh(
    const vec *dy, const vec *x, float *g, int wo, int dy_rows, int outputs, int rows, int kernel, int stride) {
    int o = 0;
    for (; o + 4 <= outputs; o += 4) {
        int k = 0;
        for (; k + 4 <= kernel; k += 4) {
            weigh_block(dy + o * dy_rows, x + k, g + o * wo + k, wo, dy_rows, rows, stride, 4, 4);
        }
        for (; k < kernel; k++) {
            weigh_block(dy + o * dy_rows, x + k, g + o * wo + k, wo, dy_rows, rows, stride, 4, 1);
        }
    }
    for (; o < outputs; o++) {
        for (int k = 0; k < kernel; k++) {
            weigh_block(dy + o * dy_rows, x + k, g + o * wo + k, wo, dy_rows, rows, stride, 1, 1);
        }
    }
}

#endif // DITMOS_STEPS_PRODUCTS_H
