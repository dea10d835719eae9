// Layers of a network: forwards, backwards, and down the gradient.
#ifndef DITMOS_STEPS_LAYERS_H
#define DITMOS_STEPS_LAYERS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "steps_products.h"

enum { OWN = 0, SELECTOR = 1, CLASSIFIERS = 2 };

// margin: rows of zeros on either side of what the layer gives; ``rows`` of its reader counts them.
typedef struct {
    int32_t conv, relu, kernel, stride, pool, rows, positions, rows_out, margin, out, operands;
    int32_t channels[2]; // of each operand; of a fully connected layer: its inputs
    int32_t level[2]; // of the map it reads, or -1: the preceding fully connected layer
    int32_t selector[2]; // whether that is a map of the selector (the window is level 0 of the selector)
} shape_t;

// One layer's of all branches, and their momentum (_m). A fully connected layer has its bias in shift, and no gain.
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

#endif // DITMOS_STEPS_LAYERS_H
