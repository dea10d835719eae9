// A forest of decision trees on the features of a window. Section FRST of a model file, docs/format.md.
#ifndef DITMOS_FOREST_H
#define DITMOS_FOREST_H

#include <stdbool.h>
#include <stdint.h>

#include "file.h"

#define DITMOS_MAX_TREES (1000) // votes and opinions stay below 2^32
#define DITMOS_VOTES (15) // of a tree
#define DITMOS_MAX_EIGHTHS (8) // weight of the forest in an average
#define DITMOS_OPINIONS (256) // distances between two logits
#define DITMOS_MAX_CLUSTERS (64) // one a classifier
#define DITMOS_LEAST_WEIGHT (-32767) // of a cluster's weights: sums of votes times weights stay in int32
#define DITMOS_MOST_BIAS (1 << 30)

// All arrays lie in the file, or in an aligned copy of the section.
typedef struct {
    uint16_t trees;
    uint16_t features;
    uint16_t classes;
    bool wide; // nodes of 8 bytes
    const uint16_t *opinion; // what logits this far below the largest count, of 65535; NULL without a network
    uint16_t clusters; // of votes, one a classifier; 0: votes name no classifier
    const int32_t *biases; // of each cluster
    const int16_t *weights; // of each cluster and class, a row made even by a 0
    const uint32_t *roots; // in words of 4 bytes
    const uint32_t *nodes;
} ditmos_forest_t;

// Parse the section [begin, begin + size) of the file at `data` and check all of it: no walk through a tree leaves it or
// lasts for ever. `copy` has room for `size` bytes and is used where the section is not aligned to 4. `clusters`: how
// many there must be.
ditmos_status_t ditmos_forest_parse(ditmos_forest_t *forest, const uint8_t *data, uint32_t begin, uint32_t size,
    unsigned features, unsigned classes, bool network, unsigned clusters, void *copy);

// Votes of all trees, 15 each: (classes).
void ditmos_forest_votes(const ditmos_forest_t *forest, const int16_t *features, uint16_t *votes);

// The class that votes and logits (classes) like best together, `eighths` of 8 being the weight of the votes; the first
// of equals. Of a forest with a network behind it.
unsigned ditmos_forest_both(const ditmos_forest_t *forest, const uint16_t *votes, const int8_t *logits, unsigned eighths);

// The classifier that votes name: that of the nearest cluster, the first of equals. Of a forest with clusters.
unsigned ditmos_forest_specialist(const ditmos_forest_t *forest, const uint16_t *votes);

#endif // DITMOS_FOREST_H
