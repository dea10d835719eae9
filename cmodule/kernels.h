// Kernels: one layer, or a chunk of its rows, on int8 planes. Arithmetic: docs/arithmetic.md.
//
// Every implementation of a packing gives the same bytes. kernels_ref.c runs everywhere; on a core with the DSP
// extension the DSP kernels take its place, unless DITMOS_PORTABLE is defined.
#ifndef DITMOS_KERNELS_H
#define DITMOS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && !defined(DITMOS_PORTABLE)
#define DITMOS_KERNELS_M7 (1)
#else
#define DITMOS_KERNELS_M7 (0)
#endif

#define DITMOS_MAX_OPERANDS (2)

// Packing of a layer's weights: docs/format.md, WGHT.
enum {
    DITMOS_PACKING_PLAIN = 0,
    DITMOS_PACKING_DOT = 2, // fully connected layers
    DITMOS_PACKING_WIDE = 3, // the same with int16 weights: twice the bytes, two thirds of the instructions
    DITMOS_PACKING_LANES = 4, // convolutions: three lanes where they hold the sums, else as the next one
    DITMOS_PACKING_QUADS = 5, // convolutions: four channels at a time with SMLAD, no bound on the sums
};

// Kind of a layer: docs/format.md, LAYR. In the last two a channel of the output comes from the one of the input.
enum {
    DITMOS_CONV = 0,
    DITMOS_FC = 1,
    DITMOS_DEPTHWISE = 2,
    DITMOS_AVERAGE = 3, // one weight a channel, which serves all rows of the kernel
};

// What does not change from chunk to chunk or from classifier to classifier.
typedef struct {
    uint8_t kind;
    uint8_t kernel; // 1 to 31, of an average to 255; 1 for a fully connected layer
    uint8_t stride; // 1 or 2, of an average to 255
    uint8_t pool; // 1 or 2
    uint8_t packing;
    int8_t zero_point; // of the output; -128 is the ReLU
    uint16_t channels_in; // of both operands together; fully connected: number of inputs
    uint16_t channels_out;
    uint32_t weights_size; // bytes of the packed weights
} ditmos_layer_t;

// `channels` planes of int8, `stride` bytes from one to the next. `data` is row 0 of plane 0.
// Layers in time: row 0 is the first row that the first output row depends on; ditmos_conv_rows_in() says how many are
// there, `rows` is not set. Fully connected: the inputs are the `rows` rows of plane 0, then of plane 1, and so on
// (planes without a gap are handed over as one plane with many rows).
typedef struct {
    const int8_t *data;
    uint32_t stride;
    uint16_t channels;
    uint16_t rows;
} ditmos_operand_t;

// One call. All pointers lie in the arena, except `weights`.
//
// A kernel reads nothing outside the rows of its operands, but for the other bytes of an aligned word that holds one
// of those rows. It writes `rows` bytes in each plane of `out`, none of which is one of those rows.
typedef struct {
    const void *weights; // aligned to 4 bytes, checked by ditmos_weights_valid()
    ditmos_operand_t in[DITMOS_MAX_OPERANDS]; // weights of in[0] come first; in[1].channels may be 0
    int8_t *out; // row 0 of channel 0 of the output of this call
    uint32_t out_stride; // bytes from one output channel to the next; fully connected: 1
    uint16_t rows; // output (pooled) rows to compute, at least 1
    bool first; // this call computes the first rows of the layer: no carry from before
    // Kept from one chunk of a layer to the next, `channels_out` words, or NULL. What is in it is the kernel's affair;
    // chunks of one layer follow each other without gaps while it lives.
    int32_t *carry;
    // Bytes that the kernel may use during this call, aligned to 4, or NULL. Too few of them: the kernel does without.
    void *scratch;
    uint32_t scratch_size;
} ditmos_call_t;

static inline bool ditmos_is_channelwise(const ditmos_layer_t *layer) {
    return layer->kind >= DITMOS_DEPTHWISE;
}

// Input rows that `rows` output rows of a layer in time depend on.
static inline uint32_t ditmos_conv_rows_in(const ditmos_layer_t *layer, uint32_t rows) {
    return (rows * layer->pool - 1) * layer->stride + layer->kernel;
}

// Whether the packed weights are well formed for this layer and this build has a kernel for them: sizes, channel
// lists, lane bounds, multipliers. Nothing else is known about the bytes, which come from a file; `weights` is aligned
// to 4 bytes and `layer->weights_size` long. With a false result *offset is the first wrong byte.
bool ditmos_weights_valid(const ditmos_layer_t *layer, const void *weights, uint32_t *offset);

// A layer in time: sums, max-pooling, requantisation of call->rows rows for all output channels. A fully connected one:
// channels_out bytes at call->out.
typedef void ditmos_kernel_t(const ditmos_layer_t *layer, const ditmos_call_t *call);

// What runs a layer on this core.
ditmos_kernel_t *ditmos_kernel_of(const ditmos_layer_t *layer);

#endif // DITMOS_KERNELS_H
