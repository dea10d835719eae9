// Steps of stochastic gradient descent for small routed networks at small batches, one thread (see steps.py).
//
// A map is [channel][row][LANES]: the windows of a batch lie side by side in one vector. Branches run one after the
// other; what makes it fast is that nothing else happens between two layers.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef LANES
#define LANES (8)
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

enum { OWN = 0, SELECTOR = 1, CLASSIFIERS = 2 };

// margin: rows of zeros on either side of what the layer gives; ``rows`` of its reader counts them.
typedef struct {
    int32_t conv, relu, kernel, stride, pool, rows, positions, rows_out, margin, out, operands;
    int32_t channels[2]; // of each operand; of a fully connected layer: its inputs
    int32_t level[2]; // of the map it reads, or -1: the preceding fully connected layer
    int32_t selector[2]; // whether that is a map of the selector (the window is level 0 of the selector)
} shape_t;

// Of all branches, and the momentum of each; scale and shift are gain and shift of the normalisation, or bias and NULL.
typedef struct {
    float *weight, *shift, *gain, *mean, *var;
    float *weight_m, *shift_m, *gain_m;
} parameters_t;

typedef struct {
    int32_t count, layers; // branches; layers of each
    const shape_t *shapes;
    parameters_t *parameters;
} side_t;

typedef struct {
    side_t selector, classifiers;
    int32_t window, channels, classes;
    float dropout, decay, momentum, norm_momentum, epsilon, smoothing;
    float weights[4]; // union, overlap, single, selection
} network_t;

// What one layer of one branch leaves for the way back.
typedef struct {
    vec *pre, *out, *mask, *in; // raw sums; the layer's output; dropout's factors and what they leave (fc)
    vec *grad; // of out
    float *mean, *scale; // of the batch
} record_t;

typedef struct {
    record_t *records; // [branch][layer]
    float *gradients; // of one layer of one branch: weight, shift, gain
} run_t;

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

// ----- sums of products ---------------------------------------------------------------------------------------------

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

// ----- layers -------------------------------------------------------------------------------------------------------

static int inputs_of(const shape_t *s) {
    return s->channels[0] + (s->operands > 1 ? s->channels[1] : 0);
}

static int weights_of(const shape_t *s) {
    return s->out * inputs_of(s) * s->kernel;
}

static void sums(const shape_t *s, const float *weight, const vec *const in[2], vec *y) {
    int channel = 0, fan = inputs_of(s) * s->kernel;
    for (int i = 0; i < s->operands; i++) {
        correlation_t c = { weight + channel * s->kernel, fan, s->kernel, 1, s->channels[i], s->kernel, s->stride,
            s->conv ? s->rows : 1, s->positions };
        correlate(&c, in[i], y, s->out, s->positions);
        channel += s->channels[i];
    }
}

static void conv_forward(const network_t *n, const side_t *side, int k, int layer, const vec *const in[2],
    record_t *r, int learning) {
    const shape_t *s = &side->shapes[layer];
    const parameters_t *p = &side->parameters[layer];
    int count = s->positions;
    memset(r->pre, 0, sizeof(vec) * (size_t)(s->out * count));
    sums(s, p->weight + (size_t)k * weights_of(s), in, r->pre);
    for (int o = 0; o < s->out; o++) {
        const vec *y = r->pre + o * count;
        int channel = k * s->out + o;
        float mean = p->mean[channel], var = p->var[channel];
        if (learning) {
            vec total = { 0 }, square = { 0 };
            float size = (float)(count * LANES);
            for (int t = 0; t < count; t++) {
                total += y[t];
            }
            mean = sum(total) / size;
            for (int t = 0; t < count; t++) {
                square += (y[t] - mean) * (y[t] - mean);
            }
            float squares = sum(square);
            var = squares / size;
            p->mean[channel] += n->norm_momentum * (mean - p->mean[channel]);
            p->var[channel] += n->norm_momentum * (squares / (size - 1) - p->var[channel]);
        }
        float scale = 1 / sqrtf(var + n->epsilon);
        r->mean[o] = mean;
        r->scale[o] = scale;
        float factor = p->gain[channel] * scale, shift = p->shift[channel] - mean * factor;
        vec *out = r->out + o * (s->rows_out + 2 * s->margin) + s->margin, zero = { 0 };
        for (int t = 0; t < s->rows_out; t++) {
            vec z = y[t * s->pool] * factor + shift;
            if (s->pool == 2) {
                z = larger(z, y[2 * t + 1] * factor + shift);
            }
            out[t] = larger(z, zero);
        }
    }
}

static void fc_forward(const network_t *n, const side_t *side, int k, int layer, const vec *const in[2],
    record_t *r, int learning, uvec *random) {
    const shape_t *s = &side->shapes[layer];
    const parameters_t *p = &side->parameters[layer];
    const vec *dropped[2] = { in[0], in[1] };
    if (learning) {
        int at = 0;
        int32_t limit = (int32_t)(n->dropout * 2147483648.0f);
        vec keep = (vec) { 0 } + 1 / (1 - n->dropout);
        for (int i = 0; i < s->operands; i++) {
            dropped[i] = r->in + at;
            for (int j = 0; j < s->channels[i]; j++, at++) {
                r->mask[at] = keep;
                if (n->dropout > 0) { // xorshift (Marsaglia 2003), one generator a lane
                    *random ^= *random << 13;
                    *random ^= *random >> 17;
                    *random ^= *random << 5;
                    r->mask[at] = select_where((ivec)(*random >> 1) >= limit, keep);
                }
                r->in[at] = in[i][j] * r->mask[at];
            }
        }
    }
    for (int o = 0; o < s->out; o++) {
        r->out[o] = (vec) { 0 } + p->shift[k * s->out + o];
    }
    sums(s, p->weight + (size_t)k * weights_of(s), dropped, r->out);
    for (int o = 0; s->relu && o < s->out; o++) {
        vec zero = { 0 };
        r->out[o] = larger(r->out[o], zero);
    }
}

// Operand i of a layer of branch k.
static const vec *read_map(const run_t *own, const run_t *selector, const vec *window, const shape_t *s, int i,
    int layers, int k, int layer) {
    if (s->level[i] < 0) {
        return own->records[k * layers + layer - 1].out;
    }
    if (s->level[i] == 0) {
        return window;
    }
    return s->selector[i] ? selector->records[s->level[i] - 1].out : own->records[k * layers + s->level[i] - 1].out;
}

// One branch of a side on one batch; ``selector``: whose maps are there (the same as ``own`` for the selector itself).
static void forward(const network_t *n, const side_t *side, run_t *own, const run_t *selector, const vec *window, int k,
    int learning, uvec *random) {
    for (int layer = 0; layer < side->layers; layer++) {
        const shape_t *s = &side->shapes[layer];
        const vec *in[2] = { NULL, NULL };
        for (int i = 0; i < s->operands; i++) {
            in[i] = read_map(own, selector, window, s, i, side->layers, k, layer);
        }
        record_t *r = &own->records[k * side->layers + layer];
        if (s->conv) {
            conv_forward(n, side, k, layer, in, r, learning);
        } else {
            fc_forward(n, side, k, layer, in, r, learning, random);
        }
    }
}

// SGD with Nesterov momentum and weight decay, as torch.optim.SGD.
static void descend(const network_t *n, float *p, float *m, const float *g, int count, float rate) {
    for (int i = 0; i < count; i++) {
        float step = g[i] + n->decay * p[i];
        m[i] = n->momentum * m[i] + step;
        p[i] -= rate * (step + n->momentum * m[i]);
    }
}

// The gradient of the sums, spread so that dy of position t lies at kernel - 1 + t * stride.
static void conv_backward(const network_t *n, const side_t *side, int k, int layer, const vec *const in[2],
    record_t *r, vec *to, vec *spread, float *g, float rate) {
    const shape_t *s = &side->shapes[layer];
    parameters_t *p = &side->parameters[layer];
    int count = s->positions, fan = inputs_of(s) * s->kernel, reach = s->kernel - 1;
    int length = reach + (count - 1) * s->stride + 1 + s->rows;
    float *weight = p->weight + (size_t)k * weights_of(s);
    float *shift_g = g + weights_of(s), *gain_g = shift_g + s->out;
    for (int o = 0; o < s->out; o++) {
        vec *y = r->pre + o * count;
        int at = o * (s->rows_out + 2 * s->margin) + s->margin;
        const vec *out = r->out + at, *grad = r->grad + at;
        float gain = p->gain[k * s->out + o], shift = p->shift[k * s->out + o];
        float mean = r->mean[o], scale = r->scale[o], size = (float)(count * LANES);
        vec zero = { 0 }, total = zero, along = zero;
        vec *dz = spread;
        memset(dz, 0, sizeof(vec) * (size_t)count);
        for (int t = 0; t < s->rows_out; t++) {
            vec d = select_where(out[t] > zero, grad[t]);
            if (s->pool == 2) {
                vec a = (y[2 * t] - mean) * scale * gain + shift, b = (y[2 * t + 1] - mean) * scale * gain + shift;
                ivec first = a >= b;
                dz[2 * t] = select_where(first, d);
                dz[2 * t + 1] = select_where(~first, d);
            } else {
                dz[t] = d;
            }
        }
        for (int t = 0; t < count; t++) {
            total += dz[t];
            along += dz[t] * ((y[t] - mean) * scale);
        }
        shift_g[o] = sum(total);
        gain_g[o] = sum(along);
        float a = shift_g[o] / size, b = gain_g[o] / size;
        for (int t = 0; t < count; t++) { // the sums are not needed any more
            y[t] = (gain * scale) * (dz[t] - a - (y[t] - mean) * scale * b);
        }
    }
    int channel = 0;
    for (int i = 0; i < s->operands; i++) {
        for (int c = 0; c < s->channels[i]; c++, channel++) {
            weigh(r->pre, in[i] + c * s->rows, g + channel * s->kernel, fan, count, s->out, count, s->kernel, s->stride);
        }
    }
    if (to) { // y[i][t] = sum over o, k of w[o][i][reach - k] * spread[o][t + k]
        memset(spread, 0, sizeof(vec) * (size_t)(s->out * length));
        for (int o = 0; o < s->out; o++) {
            for (int t = 0; t < count; t++) {
                spread[o * length + reach + t * s->stride] = r->pre[o * count + t];
            }
        }
        correlation_t c = { weight + reach, s->kernel, fan, -1, s->out, s->kernel, 1, length, s->rows };
        memset(to, 0, sizeof(vec) * (size_t)(s->channels[0] * s->rows));
        correlate(&c, spread, to, s->channels[0], s->rows);
    }
    descend(n, weight, p->weight_m + (size_t)k * weights_of(s), g, weights_of(s), rate);
    descend(n, p->shift + k * s->out, p->shift_m + k * s->out, shift_g, s->out, rate);
    descend(n, p->gain + k * s->out, p->gain_m + k * s->out, gain_g, s->out, rate);
}

static void fc_backward(const network_t *n, const side_t *side, int k, int layer, record_t *r, vec *to, float *g,
    float rate) {
    const shape_t *s = &side->shapes[layer];
    parameters_t *p = &side->parameters[layer];
    int inputs = inputs_of(s);
    float *weight = p->weight + (size_t)k * weights_of(s), *shift_g = g + weights_of(s);
    for (int o = 0; o < s->out; o++) {
        vec zero = { 0 };
        if (s->relu) {
            r->grad[o] = select_where(r->out[o] > zero, r->grad[o]);
        }
        shift_g[o] = sum(r->grad[o]);
    }
    // the inputs are the rows of one channel, as far as this sum goes
    weigh(r->grad, r->in, g, inputs, 1, s->out, 1, inputs, 1);
    if (to) {
        correlation_t c = { weight, 1, inputs, 1, s->out, 1, 1, 1, 1 };
        memset(to, 0, sizeof(vec) * (size_t)s->channels[0]);
        correlate(&c, r->grad, to, s->channels[0], 1);
        for (int i = 0; i < s->channels[0]; i++) {
            to[i] *= r->mask[i];
        }
    }
    descend(n, weight, p->weight_m + (size_t)k * weights_of(s), g, weights_of(s), rate);
    descend(n, p->shift + k * s->out, p->shift_m + k * s->out, shift_g, s->out, rate);
}

// From the gradient of the logits to new weights. What others gave (the selector's maps) has no gradient.
static void backward(const network_t *n, const side_t *side, run_t *own, const run_t *selector, const vec *window, int k,
    vec *spread, float rate) {
    for (int layer = side->layers - 1; layer >= 0; layer--) {
        const shape_t *s = &side->shapes[layer];
        record_t *r = &own->records[k * side->layers + layer];
        const vec *in[2] = { NULL, NULL };
        for (int i = 0; i < s->operands; i++) {
            in[i] = read_map(own, selector, window, s, i, side->layers, k, layer);
        }
        vec *to = layer ? own->records[k * side->layers + layer - 1].grad : NULL;
        if (s->conv) {
            conv_backward(n, side, k, layer, in, r, to, spread, own->gradients, rate);
        } else {
            fc_backward(n, side, k, layer, r, to, own->gradients, rate);
        }
    }
}

// ----- losses: (N, classes) of one branch, a lane at a time --------------------------------------------------------

// Softmax of a lane into p; returns the largest class.
static int softmax(const vec *logits, int count, int lane, float *p, float *log_sum) {
    int top = 0;
    for (int c = 1; c < count; c++) {
        top = logits[c][lane] > logits[top][lane] ? c : top;
    }
    float total = 0;
    for (int c = 0; c < count; c++) {
        p[c] = expf(logits[c][lane] - logits[top][lane]);
        total += p[c];
    }
    for (int c = 0; c < count; c++) {
        p[c] /= total;
    }
    *log_sum = logits[top][lane] + logf(total);
    return top;
}

// Cross-entropy times ``factor``, and its gradient.
static float cross_entropy(const vec *logits, vec *grad, int count, int lane, int y, float factor, float smoothing) {
    float p[count], log_sum, mean = 0;
    softmax(logits, count, lane, p, &log_sum);
    for (int c = 0; c < count; c++) {
        mean += logits[c][lane] / (float)count;
        grad[c][lane] = factor * (p[c] - (c == y ? 1 - smoothing : 0) - smoothing / (float)count);
    }
    return factor * (log_sum - (1 - smoothing) * logits[y][lane] - smoothing * mean);
}

static record_t *logits_of(const side_t *side, const run_t *run, int k) {
    return &run->records[k * side->layers + side->layers - 1];
}

// METHOD's target for every lane: the classifier with the highest score.
static void targets(const network_t *n, const run_t *run, const int32_t *y, int32_t *target) {
    for (int lane = 0; lane < LANES; lane++) {
        float best = -2, p[n->classes], log_sum;
        for (int k = 0; k < n->classifiers.count; k++) {
            int top = softmax(logits_of(&n->classifiers, run, k)->out, n->classes, lane, p, &log_sum);
            float score = top == y[lane] ? p[top] : -p[top];
            if (score > best) {
                best = score;
                target[lane] = k;
            }
        }
    }
}

// METHOD's loss, summed over the classifiers; `ditmos.training.losses.classifier_losses`.
static float classifier_losses(const network_t *n, run_t *run, const int32_t *y, const int32_t *routed) {
    int count = n->classifiers.count, kind[count][LANES], sizes[count][3], chosen[count];
    memset(sizes, 0, sizeof(sizes));
    memset(chosen, 0, sizeof(chosen));
    for (int lane = 0; lane < LANES; lane++) {
        int right = 0;
        for (int k = 0; k < count; k++) {
            const vec *z = logits_of(&n->classifiers, run, k)->out;
            int top = 0;
            for (int c = 1; c < n->classes; c++) {
                top = z[c][lane] > z[top][lane] ? c : top;
            }
            kind[k][lane] = top == y[lane];
            right += kind[k][lane];
        }
        for (int k = 0; k < count; k++) { // 0 union, 1 overlap, 2 single, -1 none of these
            kind[k][lane] = right == 0 ? 0 : !kind[k][lane] ? -1 : right > 1 ? 1 : 2;
            if (kind[k][lane] >= 0) {
                sizes[k][kind[k][lane]]++;
            }
        }
        chosen[routed[lane]]++;
    }
    float total = 0;
    for (int k = 0; k < count; k++) {
        record_t *r = logits_of(&n->classifiers, run, k);
        for (int lane = 0; lane < LANES; lane++) {
            int what = kind[k][lane];
            float factor = what < 0 ? 0 : (what == 1 ? -1 : 1) * n->weights[what] / (float)sizes[k][what];
            if (routed[lane] == k) {
                factor += n->weights[3] / (float)chosen[k];
            }
            total += cross_entropy(r->out, r->grad, n->classes, lane, y[lane], factor, 0);
        }
    }
    return total;
}

static void choices(const network_t *n, const run_t *selector, int32_t *routed) {
    const vec *z = logits_of(&n->selector, selector, 0)->out;
    for (int lane = 0; lane < LANES; lane++) {
        routed[lane] = 0;
        for (int k = 1; k < n->classifiers.count; k++) {
            routed[lane] = z[k][lane] > z[routed[lane]][lane] ? k : routed[lane];
        }
    }
}

// ----- memory -------------------------------------------------------------------------------------------------------

static void *take(char *memory, size_t *used, size_t size) {
    void *at = memory + *used;
    *used += (size + 63) & ~(size_t)63;
    return memory == NULL ? NULL : at;
}

// Lay a side's records out in ``memory`` (NULL: only count); returns the largest number of weights of a layer.
static int lay_out(const side_t *side, run_t *run, char *memory, size_t *used) {
    int largest = 0;
    run->records = take(memory, used, sizeof(record_t) * (size_t)(side->count * side->layers));
    for (int i = 0; i < side->count * side->layers; i++) {
        const shape_t *s = &side->shapes[i % side->layers];
        size_t out = sizeof(vec) * (size_t)(s->out * (s->rows_out + 2 * s->margin)), inputs = sizeof(vec) * (size_t)inputs_of(s);
        record_t r = { 0 };
        r.out = take(memory, used, out);
        r.grad = take(memory, used, out);
        if (s->conv) {
            r.pre = take(memory, used, sizeof(vec) * (size_t)(s->out * s->positions));
            r.mean = take(memory, used, 4 * (size_t)s->out);
            r.scale = take(memory, used, 4 * (size_t)s->out);
        } else {
            r.in = take(memory, used, inputs);
            r.mask = take(memory, used, inputs);
        }
        if (memory) {
            run->records[i] = r;
        }
        int weights = weights_of(s) + 2 * s->out;
        largest = weights > largest ? weights : largest;
    }
    run->gradients = take(memory, used, 4 * (size_t)largest);
    return largest;
}

static size_t spread_size(const side_t *side) {
    size_t largest = 0;
    for (int i = 0; i < side->layers; i++) {
        const shape_t *s = &side->shapes[i];
        size_t length = (size_t)(s->kernel + s->positions * s->stride + s->rows);
        size_t size = sizeof(vec) * length * (size_t)s->out;
        largest = size > largest ? size : largest;
    }
    return largest;
}

// [LANES][channel][row], one window every ``stride`` floats, -> [channel][row][LANES]
static void interleave(const float *x, size_t stride, int size, vec *to) {
    for (int i = 0; i < size; i++) {
        for (int lane = 0; lane < LANES; lane++) {
            to[i][lane] = x[(size_t)lane * stride + (size_t)i];
        }
    }
}

// ----- what steps.py calls ------------------------------------------------------------------------------------------

// Takes ``steps`` steps; adds the loss of each to ``*loss``. x: standardised windows (steps, LANES, channels, rows), y:
// (steps, LANES); of OWN: (steps, LANES, K, ...), a window and a label for each classifier. rates: of each step.
// Returns 0, or 1 where memory is short.
int32_t ditmos_steps(network_t *n, int32_t mode, const float *x, const int32_t *y, int32_t steps, const float *rates,
    uint32_t seed, double *loss) {
    size_t used = 0, size = (size_t)(n->window * n->channels);
    size_t spread_bytes = spread_size(&n->classifiers), other = spread_size(&n->selector);
    spread_bytes = other > spread_bytes ? other : spread_bytes;
    run_t selector, classifiers;
    vec *window = NULL, *spread = NULL;
    char *memory = NULL;
    for (int pass = 0; pass < 2; pass++) {
        used = 0;
        window = take(memory, &used, sizeof(vec) * size);
        spread = take(memory, &used, spread_bytes);
        lay_out(&n->selector, &selector, memory, &used);
        lay_out(&n->classifiers, &classifiers, memory, &used);
        if (pass == 0) {
            if ((memory = aligned_alloc(64, used)) == NULL) {
                return 1;
            }
            memset(memory, 0, used); // margins stay so
        }
    }
    int count = n->classifiers.count;
    uvec random = { 0 };
    for (int lane = 0; lane < LANES; lane++) { // never 0, and far apart
        random[lane] = (seed + (uint32_t)lane + 1) * 2654435761u | 1;
    }
    for (int step = 0; step < steps; step++) {
        float rate = rates[step];
        if (mode == OWN) {
            for (int k = 0; k < count; k++) {
                const float *from = x + ((size_t)step * LANES * (size_t)count + (size_t)k) * size;
                interleave(from, size * (size_t)count, (int)size, window);
                forward(n, &n->selector, &selector, &selector, window, 0, 0, &random);
                forward(n, &n->classifiers, &classifiers, &selector, window, k, 1, &random);
                record_t *r = logits_of(&n->classifiers, &classifiers, k);
                for (int lane = 0; lane < LANES; lane++) {
                    int32_t label = y[(step * LANES + lane) * count + k];
                    *loss += cross_entropy(r->out, r->grad, n->classes, lane, label, 1.0f / LANES, n->smoothing);
                }
                backward(n, &n->classifiers, &classifiers, &selector, window, k, spread, rate);
            }
            continue;
        }
        const int32_t *labels = y + step * LANES;
        int32_t which[LANES];
        interleave(x + (size_t)step * LANES * size, size, (int)size, window);
        forward(n, &n->selector, &selector, &selector, window, 0, mode == SELECTOR, &random);
        for (int k = 0; k < count; k++) {
            forward(n, &n->classifiers, &classifiers, &selector, window, k, mode == CLASSIFIERS, &random);
        }
        if (mode == SELECTOR) {
            targets(n, &classifiers, labels, which);
            record_t *r = logits_of(&n->selector, &selector, 0);
            for (int lane = 0; lane < LANES; lane++) {
                *loss += cross_entropy(r->out, r->grad, count, lane, which[lane], 1.0f / LANES, n->smoothing);
            }
            backward(n, &n->selector, &selector, &selector, window, 0, spread, rate);
        } else {
            choices(n, &selector, which);
            *loss += classifier_losses(n, &classifiers, labels, which);
            for (int k = 0; k < count; k++) {
                backward(n, &n->classifiers, &classifiers, &selector, window, k, spread, rate);
            }
        }
    }
    free(memory);
    return 0;
}
