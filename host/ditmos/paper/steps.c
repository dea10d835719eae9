// Steps of stochastic gradient descent for small routed networks at small batches, one thread (see steps.py).
//
// A map is [channel][row][LANES]: the windows of a batch lie side by side in one vector. Branches run one after the
// other; what makes it fast is that nothing else happens between two layers.
#include <stdlib.h>

#include "steps_layers.h"

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

// METHOD's loss, summed over the classifiers; `ditmos.paper.losses.classifier_losses`.
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
