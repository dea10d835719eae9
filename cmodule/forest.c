#include "forest.h"

#include <string.h>

#include "kernels.h"

// As the rest of what runs for every window, whatever the firmware is built with.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2")
#endif

#define HEADER_SIZE (12)

// Narrow nodes, a word each. Inner: feature, words to the right child (the left one follows), threshold. Leaf: LEAF,
// three classes, votes of the first two.
#define LEAF (63)
#define FEATURE(word) ((word) & 63)
#define RIGHT(word) ((word) >> 6 & 1023)
#define THRESHOLD(word) ((int32_t)(word) >> 16)
#define CLASS(word, i) ((word) >> (6 + 6 * (i)) & 63)
#define SHARE(word, i) ((word) >> (24 + 4 * (i)) & 15)

// Wide ones, two words each: feature and threshold, then words to the right child; WIDE_LEAF and the first class, then the
// others, each class with votes above its 12 bits.
#define WIDE_LEAF (0xffff)
#define WIDE_CLASS(half) ((half) & 0xfff)
#define WIDE_SHARE(half) ((half) >> 12)

// A leaf, whatever its form.
typedef struct {
    unsigned classes[3];
    unsigned votes[2]; // of the first two; the third has the rest
} leaf_t;

static leaf_t narrow_leaf(uint32_t word) {
    return (leaf_t) { { CLASS(word, 0), CLASS(word, 1), CLASS(word, 2) }, { SHARE(word, 0), SHARE(word, 1) } };
}

static leaf_t wide_leaf(const uint32_t *node) {
    uint32_t first = node[0] >> 16;
    uint32_t second = node[1] & 0xffff;
    return (leaf_t) {
        { WIDE_CLASS(first), WIDE_CLASS(second), WIDE_CLASS(node[1] >> 16) }, { WIDE_SHARE(first), WIDE_SHARE(second) }
    };
}

// Node at word `i` of a tree that ends before word `end`.
static ditmos_status_t check_node(const ditmos_forest_t *forest, uint32_t i, uint32_t end, uint32_t at) {
    const uint32_t *node = &forest->nodes[i];
    uint32_t size = forest->wide ? 2 : 1;
    bool is_leaf = forest->wide ? (node[0] & 0xffff) == WIDE_LEAF : FEATURE(node[0]) == LEAF;
    if (is_leaf) {
        leaf_t leaf = forest->wide ? wide_leaf(node) : narrow_leaf(node[0]);
        for (unsigned j = 0; j < 3; j++) {
            NEED(leaf.classes[j] < forest->classes, "FRST.node", at, "votes for a class that is not there");
        }
        NEED(leaf.votes[0] + leaf.votes[1] <= DITMOS_VOTES, "FRST.node", at, "has more than 15 votes");
        NEED(!forest->wide || node[1] >> 28 == 0, "FRST.node", at, "has votes for the third class");
        return ditmos_ok();
    }
    uint32_t feature = forest->wide ? node[0] & 0xffff : FEATURE(node[0]);
    uint32_t right = forest->wide ? node[1] : RIGHT(node[0]);
    NEED(feature < forest->features, "FRST.node", at, "reads a feature that is not there");
    NEED(right >= 2 * size && right % size == 0 && right < end - i, "FRST.node", at, "right child outside the tree");
    return ditmos_ok();
}

// Biases and weights of the clusters, `at` in the file.
static ditmos_status_t check_clusters(const ditmos_forest_t *forest, uint32_t at) {
    unsigned width = (forest->classes + 1u) & ~1u;
    for (unsigned k = 0; k < forest->clusters; k++) {
        int32_t bias = forest->biases[k];
        NEED(-DITMOS_MOST_BIAS <= bias && bias <= DITMOS_MOST_BIAS, "FRST.clusters", at + 4 * k, "bias too large");
        for (unsigned c = 0; c < width; c++) {
            int16_t weight = forest->weights[width * k + c];
            NEED(weight >= DITMOS_LEAST_WEIGHT && (c < forest->classes || weight == 0), "FRST.clusters",
                at + 4 * forest->clusters + 2 * (width * k + c), "weight out of range");
        }
    }
    return ditmos_ok();
}

ditmos_status_t ditmos_forest_parse(ditmos_forest_t *forest, const uint8_t *data, uint32_t begin, uint32_t size,
    unsigned features, unsigned classes, bool network, unsigned clusters, void *copy) {
    NEED(size >= HEADER_SIZE, "FRST", begin, "cut short");
    const uint8_t *p = data + begin;
    if ((uintptr_t)p % 4 != 0) {
        p = memcpy(copy, p, size);
    }
    uint32_t trees = ditmos_u16(p);
    uint32_t words = ditmos_u32(p + 4);
    *forest = (ditmos_forest_t) {
        .trees = (uint16_t)trees,
        .features = (uint16_t)features,
        .classes = (uint16_t)classes,
        .wide = p[2],
        .clusters = (uint16_t)clusters,
    };
    NEED(1 <= trees && trees <= DITMOS_MAX_TREES, "FRST.trees", begin, "must be 1 to 1000");
    NEED(p[2] <= 1, "FRST.form", begin + 2, "must be 0 or 1");
    NEED(p[3] == 0, "FRST.reserved", begin + 3, "must be 0");
    NEED(ditmos_u16(p + 8) == features, "FRST.features", begin + 8, "must be those of the front end");
    NEED(ditmos_u16(p + 10) == clusters, "FRST.clusters", begin + 10, "must be those that the rule of ROUT needs");
    uint32_t named = HEADER_SIZE + (network ? 2 * DITMOS_OPINIONS : 0);
    uint32_t roots = named + clusters * (4 + 2 * ((classes + 1) & ~1u));
    uint32_t nodes = roots + 4 * trees;
    NEED(words <= size / 4 && size == nodes + 4 * words, "FRST.words", begin + 4, "does not fit the section");
    if (network) {
        forest->opinion = (const uint16_t *)(const void *)(p + HEADER_SIZE);
        NEED(forest->opinion[0] == UINT16_MAX, "FRST.opinion", begin + HEADER_SIZE, "must start with 65535");
        for (unsigned i = 1; i < DITMOS_OPINIONS; i++) {
            NEED(forest->opinion[i] <= forest->opinion[i - 1], "FRST.opinion", begin + HEADER_SIZE + 2 * i, "rises");
        }
    }
    forest->biases = (const int32_t *)(const void *)(p + named);
    forest->weights = (const int16_t *)(const void *)(p + named + 4 * clusters);
    ditmos_status_t found = check_clusters(forest, begin + named);
    if (found.field) {
        return found;
    }
    forest->roots = (const uint32_t *)(const void *)(p + roots);
    forest->nodes = (const uint32_t *)(const void *)(p + nodes);
    uint32_t step = forest->wide ? 2 : 1;
    NEED(forest->roots[0] == 0, "FRST.roots", begin + roots, "must start with 0");
    for (unsigned tree = 0; tree < trees; tree++) {
        uint32_t first = forest->roots[tree];
        uint32_t end = tree + 1 < trees ? forest->roots[tree + 1] : words;
        NEED(first < end && end <= words && (end - first) % step == 0, "FRST.roots", begin + roots + 4 * tree,
            "must rise within the nodes");
        for (uint32_t i = first; i < end; i += step) {
            ditmos_status_t status = check_node(forest, i, end, begin + nodes + 4 * i);
            if (status.field) {
                return status;
            }
        }
    }
    return ditmos_ok();
}

static inline void add_leaf(uint16_t *votes, leaf_t leaf) {
    votes[leaf.classes[0]] += (uint16_t)leaf.votes[0];
    votes[leaf.classes[1]] += (uint16_t)leaf.votes[1];
    votes[leaf.classes[2]] += (uint16_t)(DITMOS_VOTES - leaf.votes[0] - leaf.votes[1]);
}

static void wide_votes(const ditmos_forest_t *forest, const int16_t *features, uint16_t *votes) {
    for (unsigned tree = 0; tree < forest->trees; tree++) {
        const uint32_t *node = forest->nodes + forest->roots[tree];
        for (uint32_t k; (k = node[0] & 0xffff) != WIDE_LEAF;) {
            node += features[k] > (int32_t)node[0] >> 16 ? node[1] : 2;
        }
        add_leaf(votes, wide_leaf(node));
    }
}

// The leaf that features reach from a narrow node.
static inline uint32_t narrow_walk(const uint32_t *node, const int16_t *features) {
    uint32_t word = *node;
    uint32_t feature = FEATURE(word);
    if (feature == LEAF) {
        return word;
    }
    #if DITMOS_KERNELS_M7
    // 7 instructions to the left, 9 to the right; compilers make 11 of both.
    uint32_t t;
    __asm__ ("1: ldrsh %[t], [%[features], %[feature], lsl #1]\n\t"
        "cmp %[t], %[word], asr #16\n\t"
        "bgt 2f\n\t"
        "ldr %[word], [%[node], #4]!\n\t"
        "and %[feature], %[word], #63\n\t"
        "cmp %[feature], #63\n\t"
        "bne 1b\n\t"
        "b 3f\n"
        "2: ubfx %[t], %[word], #6, #10\n\t"
        "add %[node], %[node], %[t], lsl #2\n\t"
        "ldr %[word], [%[node]]\n\t"
        "and %[feature], %[word], #63\n\t"
        "cmp %[feature], #63\n\t"
        "bne 1b\n"
        "3:"
        : [node] "+r" (node), [word] "+r" (word), [feature] "+r" (feature), [t] "=&r" (t)
        : [features] "r" (features)
        : "cc", "memory");
    #else
    while (feature != LEAF) {
        node += features[feature] > THRESHOLD(word) ? RIGHT(word) : 1;
        word = *node;
        feature = FEATURE(word);
    }
    #endif
    return word;
}

void ditmos_forest_votes(const ditmos_forest_t *forest, const int16_t *features, uint16_t *votes) {
    memset(votes, 0, sizeof(*votes) * forest->classes);
    if (forest->wide) {
        wide_votes(forest, features, votes);
        return;
    }
    const uint32_t *root = forest->roots;
    const uint32_t *end = root + forest->trees;
    do {
        add_leaf(votes, narrow_leaf(narrow_walk(forest->nodes + *root++, features)));
    } while (root < end);
}

unsigned ditmos_forest_both(const ditmos_forest_t *forest, const uint16_t *votes, const int8_t *logits,
    unsigned eighths) {
    int32_t top = INT8_MIN;
    for (unsigned c = 0; c < forest->classes; c++) {
        top = logits[c] > top ? logits[c] : top;
    }
    uint32_t sum = 0; // of at least one 65535
    for (unsigned c = 0; c < forest->classes; c++) {
        sum += forest->opinion[top - logits[c]];
    }
    uint32_t part = ((uint32_t)1 << 31) / sum;
    uint32_t others = (DITMOS_MAX_EIGHTHS - eighths) * DITMOS_VOTES * forest->trees;
    uint32_t most = 0;
    unsigned best = 0;
    for (unsigned c = 0; c < forest->classes; c++) {
        uint32_t score = others * (forest->opinion[top - logits[c]] * part >> 16) + ((eighths * votes[c]) << 15);
        if (score > most) {
            most = score;
            best = c;
        }
    }
    return best;
}

static int32_t score(int32_t bias, const int16_t *weights, const uint16_t *votes, unsigned classes) {
    for (unsigned c = 0; c < classes; c++) {
        bias += votes[c] * weights[c];
    }
    return bias;
}

#if DITMOS_KERNELS_M7
// Two classes of four clusters: 9 instructions, compilers make 15.
#define FOUR_PRODUCTS \
    "ldr %[pair], [%[votes]], #4\n\t" \
    "ldr %[t], [%[one], %[row]]\n\t" \
    "smlad %[b], %[pair], %[t], %[b]\n\t" \
    "ldr %[t], [%[one]], #4\n\t" \
    "smlad %[a], %[pair], %[t], %[a]\n\t" \
    "ldr %[t], [%[two], %[row]]\n\t" \
    "smlad %[d], %[pair], %[t], %[d]\n\t" \
    "ldr %[t], [%[two]], #4\n\t" \
    "smlad %[c], %[pair], %[t], %[c]\n\t"

// Scores of four clusters, of an even number of classes.
static __attribute__((noinline)) void score_four(int32_t *scores, const int32_t *biases, const int16_t *weights,
    const uint16_t *votes, unsigned classes) {
    int32_t a = biases[0], b = biases[1], c = biases[2], d = biases[3];
    const int16_t *two = weights + 2 * classes;
    const uint16_t *end = votes + classes;
    uint32_t pair, t;
    __asm__ ("tst %[row], #4\n\t" // an odd number of pairs: the first time only the second half
        "bne 2f\n"
        "1:\n\t" FOUR_PRODUCTS
        "2:\n\t" FOUR_PRODUCTS
        "cmp %[votes], %[end]\n\t"
        "bne 1b"
        : [votes] "+r" (votes), [one] "+r" (weights), [two] "+r" (two), [pair] "=&r" (pair), [t] "=&r" (t), [a] "+r" (a),
        [b] "+r" (b), [c] "+r" (c), [d] "+r" (d)
        : [row] "r" (2 * classes), [end] "r" (end)
        : "cc", "memory");
    scores[0] = a;
    scores[1] = b;
    scores[2] = c;
    scores[3] = d;
}
#endif

unsigned ditmos_forest_specialist(const ditmos_forest_t *forest, const uint16_t *votes) {
    int32_t scores[DITMOS_MAX_CLUSTERS];
    unsigned classes = forest->classes;
    unsigned width = (classes + 1u) & ~1u;
    const int16_t *weights = forest->weights;
    unsigned k = 0;
    #if DITMOS_KERNELS_M7
    for (; k + 4u <= forest->clusters && width == classes; k += 4, weights += 4 * width) {
        score_four(scores + k, forest->biases + k, weights, votes, classes);
    }
    #endif
    for (; k < forest->clusters; k++, weights += width) {
        scores[k] = score(forest->biases[k], weights, votes, classes);
    }
    unsigned best = 0;
    int32_t most = scores[0];
    for (k = 1; k < forest->clusters; k++) {
        if (scores[k] > most) {
            most = scores[k];
            best = k;
        }
    }
    return best;
}
