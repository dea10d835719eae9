// LAYR, the layers of a .dtm file: docs/format.md.
#include "sections.h"

// The maps that layer `index` of a branch reads: what NETW says about start and aggregate.
static void find_sources(const ditmos_model_t *m, bool classifier, unsigned index, unsigned convs, uint8_t source[2]) {
    unsigned first = classifier ? m->selector_layers : 0; // layer; map of layer i is 1 + i
    source[1] = DITMOS_NONE;
    if (index > 0) {
        source[0] = (uint8_t)(first + index);
    } else {
        source[0] = classifier ? m->start : 0; // selector map of level i is map i, the window map 0
    }
    unsigned level = m->start + index;
    if (classifier && 0 < index && index <= convs && (m->aggregate >> level & 1)) {
        source[1] = (uint8_t)level;
    }
}

// One record of LAYR at file offset `at`: layer `index` of its branch.
static ditmos_status_t parse_layer(ditmos_model_t *m, const uint8_t *data, uint32_t at, bool classifier,
    unsigned index) {
    const uint8_t *p = data + at;
    unsigned convs = classifier ? m->classifier_convs : m->selector_convs;
    unsigned count = classifier ? m->classifier_layers : m->selector_layers;
    unsigned number = (classifier ? m->selector_layers : 0) + index;
    ditmos_model_layer_t *out = &m->layers[number];
    bool last = index == count - 1;
    bool fc = index >= convs;
    bool average = p[0] == DITMOS_AVERAGE;
    find_sources(m, classifier, index, convs, out->source);

    ditmos_layer_t *layer = &out->layer;
    layer->kind = p[0];
    layer->kernel = p[2];
    layer->stride = p[3];
    layer->pool = p[4];
    layer->packing = p[5];
    layer->zero_point = (int8_t)p[6];
    out->pad[0] = p[7];
    out->pad[1] = p[18];
    layer->channels_in = ditmos_u16(p + 8);
    uint16_t rows_in = ditmos_u16(p + 10);
    layer->channels_out = ditmos_u16(p + 12);
    uint16_t rows_out = ditmos_u16(p + 14);
    out->weights = ditmos_u32(p + 20);
    layer->weights_size = ditmos_u32(p + 24);

    NEED(p[1] == !last, "LAYR.relu", at + 1, "must be 0 in the last layer of a branch, else 1");
    unsigned largest = fc ? 1 : average ? DITMOS_MAX_AVERAGE : DITMOS_MAX_KERNEL;
    NEED(1 <= layer->kernel && layer->kernel <= largest, "LAYR.kernel", at + 2,
        "must be 1 to 31, of an average to 255, fully connected 1");
    largest = fc ? 1 : average ? DITMOS_MAX_AVERAGE : 2;
    NEED(1 <= layer->stride && layer->stride <= largest, "LAYR.stride", at + 3,
        "must be 1 or 2, of an average to 255, fully connected 1");
    largest = fc || average ? 1 : 2;
    NEED(1 <= layer->pool && layer->pool <= largest, "LAYR.pool", at + 4, "must be 1 or 2, after a convolution alone");
    largest = fc || average ? 0 : layer->kernel - 1u;
    NEED(out->pad[0] <= largest, "LAYR.padding", at + 7, "must be less than the kernel of a convolution, else 0");
    NEED(out->pad[1] <= largest, "LAYR.padding", at + 18, "must be less than the kernel of a convolution, else 0");
    int8_t zero_point = last ? (classifier ? m->logit_zero_point : m->selector_zero_point) : -128;
    NEED(layer->zero_point == zero_point, "LAYR.zero_point", at + 6, "must be -128, or that of the logits");
    NEED(p[19] == 0, "LAYR.reserved", at + 19, "must be 0");
    uint16_t logits = classifier ? m->classes : m->selector_outputs;
    NEED(layer->channels_out >= 1 && (!last || layer->channels_out == logits), "LAYR.channels_out", at + 12,
        "must be at least 1, in the last layer the number of logits");

    uint32_t channels[2] = { 0, 0 };
    const ditmos_map_t *source = &m->maps[out->source[0]];
    for (unsigned j = 0; j < 2 && out->source[j] != DITMOS_NONE; j++) {
        const ditmos_map_t *map = &m->maps[out->source[j]];
        NEED(map->rows == source->rows, "LAYR.rows_in", at + 10, "operands differ in rows");
        channels[j] = fc ? (uint32_t)map->channels * map->rows : map->channels;
    }
    NEED(layer->channels_in == channels[0] + channels[1], "LAYR.channels_in", at + 8, "does not fit the operands");
    NEED(!ditmos_is_channelwise(layer) || layer->channels_out == layer->channels_in, "LAYR.channels_out", at + 12,
        "must be as many as go in, depthwise or averaged");
    NEED(ditmos_u16(p + 16) == channels[0], "LAYR.first_channels", at + 16, "does not fit the first operand");
    NEED(rows_in == (fc ? 1 : source->rows), "LAYR.rows_in", at + 10, "does not fit the operands");
    uint32_t padded = (uint32_t)rows_in + out->pad[0] + out->pad[1];
    NEED(padded <= UINT16_MAX, "LAYR.padding", at + 7, "with it the input has more than 65535 rows");
    NEED(padded >= layer->kernel, "LAYR.kernel", at + 2, "longer than the input");
    NEED(rows_out >= 1 && rows_out == ((padded - layer->kernel) / layer->stride + 1) / layer->pool, "LAYR.rows_out",
        at + 14, "does not follow from rows_in, padding, kernel, stride and pool");
    NEED(layer->packing <= DITMOS_PACKING_QUADS && layer->packing != 1, "LAYR.packing", at + 5,
        "must be 0 or 2 to 5; 1 is of an older file: export again");
    NEED(layer->weights_size % 4 == 0, "LAYR.weights_size", at + 24, "must be a multiple of 4");
    m->maps[1 + number] = (ditmos_map_t) { layer->channels_out, rows_out };
    return ditmos_ok();
}

// Layers in time of a branch, which come before its one or two fully connected layers.
static ditmos_status_t count_convs(const uint8_t *data, uint32_t begin, unsigned layers, unsigned fewest,
    uint8_t *convs) {
    *convs = 0;
    for (unsigned i = 0; i < layers; i++) {
        uint32_t at = begin + LAYR_SIZE * i;
        NEED(data[at] <= DITMOS_AVERAGE, "LAYR.kind", at, "must be 0 to 3, else update this firmware");
        NEED(data[at] == DITMOS_FC || *convs == i, "LAYR.kind", at, "layer in time after a fully connected one");
        *convs += data[at] != DITMOS_FC;
    }
    unsigned fcs = layers - *convs;
    NEED(1 <= fcs && fcs <= DITMOS_MAX_FCS, "LAYR.kind", begin, "branch must end in 1 or 2 fully connected layers");
    NEED(fewest <= *convs && *convs <= DITMOS_MAX_CONVS, "LAYR.kind", begin, "branch must have up to 12 layers in time, a selector one or more");
    return ditmos_ok();
}

ditmos_status_t ditmos_read_layers(ditmos_parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    const uint8_t *data = parsing->data;
    ditmos_section_t network = parsing->found[NETW];
    NEED(s.size == LAYR_SIZE * (m->selector_layers + m->classifier_layers), "LAYR", s.begin,
        "must be 28 bytes for each layer");
    ditmos_status_t status;
    m->selector_convs = 0;
    m->classifier_convs = 0;
    if (m->classifiers == 0) {
        NEED(m->start == 0 && m->aggregate == 0, "NETW.start", network.begin + 11, "must be 0 without a network");
        return ditmos_ok();
    }
    uint32_t classifier = s.begin + LAYR_SIZE * m->selector_layers;
    if (m->selector_layers) {
        status = count_convs(data, s.begin, m->selector_layers, 1, &m->selector_convs);
        if (status.field) {
            return status;
        }
    }
    status = count_convs(data, classifier, m->classifier_layers, 0, &m->classifier_convs);
    if (status.field) {
        return status;
    }

    // What find_sources() relies on: start and the aggregated levels exist.
    NEED(m->start <= m->selector_convs, "NETW.start", network.begin + 11, "selector has no such level");
    unsigned top = m->start + m->classifier_convs;
    top = top < m->selector_convs ? top : m->selector_convs;
    NEED(m->aggregate >> (top + 1) == 0 && (m->aggregate & ((2u << m->start) - 1)) == 0, "NETW.aggregate",
        network.begin + 12, "levels must lie above start and exist in both branches");

    for (unsigned branch = 0; branch < 2; branch++) {
        unsigned count = branch ? m->classifier_layers : m->selector_layers;
        uint32_t begin = branch ? classifier : s.begin;
        for (unsigned i = 0; i < count; i++) {
            status = parse_layer(m, data, begin + LAYR_SIZE * i, branch, i);
            if (status.field) {
                return status;
            }
        }
    }
    return ditmos_ok();
}
