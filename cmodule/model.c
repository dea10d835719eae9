// Header, NETW, NAME, LAYR and WGHT of a .dtm file: docs/format.md. PLAN is in plan.c.
#include "model.h"

#include <float.h>
#include <string.h>

#define HEADER_SIZE (16)
#define TABLE_ENTRY_SIZE (12)
#define NETW_SIZE (44)
#define LAYR_SIZE (28)

#define NEED(ok, field, offset, problem) \
    do { \
        if (!(ok)) { \
            return ditmos_bad(field, offset, problem); \
        } \
    } while (0)

typedef struct {
    uint32_t begin;
    uint32_t size;
} section_t;

enum { NETW, NAME, LAYR, PLAN, WGHT, SECTION_COUNT };

// CRC-32 (IEEE 802.3, reflected) by half bytes.
static uint32_t crc32(const uint8_t *data, uint32_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static float read_f32(const uint8_t *p) {
    uint32_t bits = ditmos_u32(p);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static bool is_scale(float x) {
    return x > 0.0f && x <= FLT_MAX; // false for a NaN
}

static bool is_int8(int16_t x) {
    return -128 <= x && x <= 127;
}

static ditmos_status_t parse_sections(const uint8_t *data, uint32_t size, section_t found[SECTION_COUNT]) {
    static const char tags[SECTION_COUNT][5] = { "NETW", "NAME", "LAYR", "PLAN", "WGHT" };
    NEED(size >= 4 && memcmp(data, "DTMS", 4) == 0, "magic", 0, "not a .dtm file");
    NEED(size >= 6 && ditmos_u16(data + 4) == 1, "version", 4, "must be 1");
    NEED(size >= HEADER_SIZE, "length", 8, "file is cut short");
    uint32_t length = ditmos_u32(data + 8);
    NEED(length <= size, "length", 8, "file is cut short");
    NEED(length == size, "length", 8, "bytes after the end");
    NEED(crc32(data + HEADER_SIZE, size - HEADER_SIZE) == ditmos_u32(data + 12), "crc", 12, "file is damaged");

    unsigned count = ditmos_u16(data + 6);
    NEED(count <= DITMOS_MAX_SECTIONS, "sections", 6, "must be at most 32");
    NEED(HEADER_SIZE + TABLE_ENTRY_SIZE * count <= size, "sections", 6, "table is cut short");
    section_t all[DITMOS_MAX_SECTIONS];
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = HEADER_SIZE + TABLE_ENTRY_SIZE * i;
        section_t section = { ditmos_u32(data + at + 4), ditmos_u32(data + at + 8) };
        NEED(section.begin % 4 == 0, "section.offset", at + 4, "must be a multiple of 4");
        NEED(HEADER_SIZE + TABLE_ENTRY_SIZE * count <= section.begin && section.begin <= size, "section.offset", at + 4,
            "outside the file");
        NEED(section.size <= size - section.begin, "section.length", at + 8, "outside the file");
        for (unsigned j = 0; j < i; j++) {
            NEED(section.begin + section.size <= all[j].begin || all[j].begin + all[j].size <= section.begin,
                "section.offset", at + 4, "sections overlap");
        }
        all[i] = section;
        for (unsigned j = 0; j < SECTION_COUNT; j++) {
            if (memcmp(data + at, tags[j], 4) == 0) {
                NEED(found[j].begin == 0, "section.tag", at, "is there twice");
                found[j] = section;
            }
        }
    }
    for (unsigned j = 0; j < SECTION_COUNT; j++) {
        NEED(found[j].begin != 0, tags[j], HEADER_SIZE, "section is missing");
    }
    return ditmos_ok();
}

static ditmos_status_t parse_network(ditmos_model_t *m, const uint8_t *data, section_t s) {
    NEED(s.size == NETW_SIZE, "NETW", s.begin, "must be 44 bytes");
    const uint8_t *p = data + s.begin;
    uint32_t at = s.begin;
    m->window = ditmos_u16(p);
    m->channels = ditmos_u16(p + 2);
    m->classes = ditmos_u16(p + 4);
    m->selector_outputs = ditmos_u16(p + 6);
    m->classifiers = p[8];
    m->selector_layers = p[9];
    m->classifier_layers = p[10];
    m->start = p[11];
    m->aggregate = ditmos_u32(p + 12);
    m->input_scale = read_f32(p + 16);
    m->sample_scale = read_f32(p + 20);
    m->selector_scale = read_f32(p + 24);
    m->logit_scale = read_f32(p + 28);
    int16_t input_zero_point = (int16_t)ditmos_u16(p + 32);
    int16_t selector_zero_point = (int16_t)ditmos_u16(p + 34);
    int16_t logit_zero_point = (int16_t)ditmos_u16(p + 36);
    m->classifier_stride = ditmos_u32(p + 40);

    NEED(m->window >= 1, "NETW.window", at, "must be at least 1");
    NEED(m->channels >= 1, "NETW.channels", at + 2, "must be at least 1");
    NEED(m->classes >= 1, "NETW.classes", at + 4, "must be at least 1");
    NEED(1 <= m->classifiers && m->classifiers <= DITMOS_MAX_CLASSIFIERS, "NETW.classifiers", at + 8,
        "must be 1 to 64");
    NEED(m->selector_layers <= DITMOS_MAX_CONVS + DITMOS_MAX_FCS, "NETW.selector_layers", at + 9, "must be at most 8");
    NEED((m->selector_outputs > 0) == (m->selector_layers > 0), "NETW.selector_outputs", at + 6,
        "must be 0 without a selector and only then");
    NEED(1 <= m->classifier_layers && m->classifier_layers <= DITMOS_MAX_CONVS + DITMOS_MAX_FCS,
        "NETW.classifier_layers", at + 10, "must be 1 to 8");
    NEED(m->start <= DITMOS_MAX_CONVS, "NETW.start", at + 11, "must be at most 6");
    NEED(m->aggregate < 1u << (2 * DITMOS_MAX_CONVS + 1), "NETW.aggregate", at + 12, "has unknown levels");
    NEED(is_scale(m->input_scale), "NETW.input_scale", at + 16, "must be positive and finite");
    NEED(is_scale(m->sample_scale), "NETW.sample_scale", at + 20, "must be positive and finite");
    NEED(is_scale(m->selector_scale), "NETW.selector_scale", at + 24, "must be positive and finite");
    NEED(is_scale(m->logit_scale), "NETW.logit_scale", at + 28, "must be positive and finite");
    NEED(is_int8(input_zero_point), "NETW.input_zero_point", at + 32, "must be -128 to 127");
    NEED(is_int8(selector_zero_point), "NETW.selector_zero_point", at + 34, "must be -128 to 127");
    NEED(is_int8(logit_zero_point), "NETW.logit_zero_point", at + 36, "must be -128 to 127");
    NEED(ditmos_u16(p + 38) == 0, "NETW.reserved", at + 38, "must be 0");
    NEED(m->classifier_stride % 4 == 0, "NETW.classifier_stride", at + 40, "must be a multiple of 4");
    m->input_zero_point = (int8_t)input_zero_point;
    m->selector_zero_point = (int8_t)selector_zero_point;
    m->logit_zero_point = (int8_t)logit_zero_point;
    m->maps[0] = (ditmos_map_t) { m->channels, m->window };
    return ditmos_ok();
}

static ditmos_status_t parse_names(ditmos_model_t *m, const uint8_t *data, section_t s) {
    const uint8_t *begin = data + s.begin;
    unsigned ends = 0;
    for (uint32_t i = 0; i < s.size; i++) {
        ends += begin[i] == 0;
    }
    NEED(s.size > 0 && begin[s.size - 1] == 0, "NAME", s.begin, "last name has no end");
    NEED(ends == m->classes, "NAME", s.begin, "must have one name for each class");
    NEED(ditmos_is_utf8(begin, begin + s.size), "NAME", s.begin, "not UTF-8");
    m->names = (const char *)begin;
    return ditmos_ok();
}

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
    find_sources(m, classifier, index, convs, out->source);

    ditmos_layer_t *layer = &out->layer;
    layer->fully_connected = fc;
    layer->kernel = p[2];
    layer->stride = p[3];
    layer->pool = p[4];
    layer->packing = p[5];
    layer->zero_point = (int8_t)p[6];
    layer->channels_in = ditmos_u16(p + 8);
    uint16_t rows_in = ditmos_u16(p + 10);
    layer->channels_out = ditmos_u16(p + 12);
    uint16_t rows_out = ditmos_u16(p + 14);
    out->weights = ditmos_u32(p + 20);
    layer->weights_size = ditmos_u32(p + 24);

    NEED(p[1] == !last, "LAYR.relu", at + 1, "must be 0 in the last layer of a branch, else 1");
    unsigned largest = fc ? 1 : DITMOS_MAX_KERNEL;
    NEED(1 <= layer->kernel && layer->kernel <= largest, "LAYR.kernel", at + 2, "must be 1 to 31, fully connected 1");
    largest = fc ? 1 : 2;
    NEED(1 <= layer->stride && layer->stride <= largest, "LAYR.stride", at + 3, "must be 1 or 2, fully connected 1");
    NEED(1 <= layer->pool && layer->pool <= largest, "LAYR.pool", at + 4, "must be 1 or 2, fully connected 1");
    int8_t zero_point = last ? (classifier ? m->logit_zero_point : m->selector_zero_point) : -128;
    NEED(layer->zero_point == zero_point, "LAYR.zero_point", at + 6, "must be -128, or that of the logits");
    NEED(p[7] == 0, "LAYR.reserved", at + 7, "must be 0");
    NEED(ditmos_u16(p + 18) == 0, "LAYR.reserved", at + 18, "must be 0");
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
    NEED(ditmos_u16(p + 16) == channels[0], "LAYR.first_channels", at + 16, "does not fit the first operand");
    NEED(rows_in == (fc ? 1 : source->rows), "LAYR.rows_in", at + 10, "does not fit the operands");
    NEED(rows_in >= layer->kernel, "LAYR.kernel", at + 2, "longer than the input");
    NEED(rows_out >= 1 && rows_out == ((rows_in - layer->kernel) / layer->stride + 1) / layer->pool, "LAYR.rows_out",
        at + 14, "does not follow from rows_in, kernel, stride and pool");
    NEED(layer->packing <= DITMOS_PACKING_QUADS && layer->packing != 1, "LAYR.packing", at + 5,
        "must be 0 or 2 to 5; 1 is of an older file: export again");
    NEED(layer->weights_size % 4 == 0, "LAYR.weights_size", at + 24, "must be a multiple of 4");
    m->maps[1 + number] = (ditmos_map_t) { layer->channels_out, rows_out };
    return ditmos_ok();
}

// Convolutions of a branch, which come before its one or two fully connected layers.
static ditmos_status_t count_convs(const uint8_t *data, uint32_t begin, unsigned layers, unsigned fewest,
    uint8_t *convs) {
    *convs = 0;
    for (unsigned i = 0; i < layers; i++) {
        uint32_t at = begin + LAYR_SIZE * i;
        NEED(data[at] <= 1, "LAYR.kind", at, "must be 0 or 1");
        NEED(data[at] == 1 || *convs == i, "LAYR.kind", at, "convolution after a fully connected layer");
        *convs += data[at] == 0;
    }
    unsigned fcs = layers - *convs;
    NEED(1 <= fcs && fcs <= DITMOS_MAX_FCS, "LAYR.kind", begin, "branch must end in 1 or 2 fully connected layers");
    NEED(fewest <= *convs && *convs <= DITMOS_MAX_CONVS, "LAYR.kind", begin, "branch must have 1 to 6 convolutions");
    return ditmos_ok();
}

static ditmos_status_t parse_layers(ditmos_model_t *m, const uint8_t *data, section_t s, section_t network) {
    NEED(s.size == LAYR_SIZE * (m->selector_layers + m->classifier_layers), "LAYR", s.begin,
        "must be 28 bytes for each layer");
    ditmos_status_t status;
    m->selector_convs = 0;
    uint32_t classifier = s.begin + LAYR_SIZE * m->selector_layers;
    if (m->selector_layers) {
        status = count_convs(data, s.begin, m->selector_layers, 1, &m->selector_convs);
        if (status.field) {
            return status;
        }
    }
    status = count_convs(data, classifier, m->classifier_layers, m->start == 0, &m->classifier_convs);
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

// The blocks of weights: layers follow each other, and the section is as long as selector and classifiers are.
static ditmos_status_t parse_weights(ditmos_model_t *m, const uint8_t *data, section_t s, section_t layers,
    section_t network) {
    uint64_t end[2] = { 0, 0 };
    for (unsigned i = 0; i < (unsigned)m->selector_layers + m->classifier_layers; i++) {
        unsigned branch = i >= m->selector_layers;
        NEED(m->layers[i].weights == end[branch], "LAYR.weights_offset", layers.begin + LAYR_SIZE * i + 20,
            "must be the end of the layer before");
        end[branch] += m->layers[i].layer.weights_size;
    }
    NEED(end[1] == m->classifier_stride, "NETW.classifier_stride", network.begin + 40,
        "must be the bytes of a classifier's layers");
    NEED(end[0] + m->classifiers * end[1] == s.size, "WGHT", s.begin, "must be as long as the layers are");
    m->weights = data + s.begin;
    m->selector_weights_size = (uint32_t)end[0];
    return ditmos_ok();
}

ditmos_status_t ditmos_model_parse(ditmos_model_t *model, const uint8_t *data, uint32_t size,
    ditmos_allocate_t allocate) {
    section_t found[SECTION_COUNT] = { { 0, 0 } };
    model->plan.slices = NULL;
    ditmos_status_t status = parse_sections(data, size, found);
    if (status.field == NULL) {
        status = parse_network(model, data, found[NETW]);
    }
    if (status.field == NULL) {
        status = parse_names(model, data, found[NAME]);
    }
    if (status.field == NULL) {
        status = parse_layers(model, data, found[LAYR], found[NETW]);
    }
    if (status.field == NULL) {
        status = parse_weights(model, data, found[WGHT], found[LAYR], found[NETW]);
    }
    if (status.field == NULL) {
        status = ditmos_plan_parse(model, data, found[PLAN].begin, found[PLAN].size, allocate);
    }
    return status;
}

ditmos_status_t ditmos_model_check_weights(const ditmos_model_t *m, const uint8_t *data, int classifier,
    const void *block) {
    unsigned first = classifier < 0 ? 0 : m->selector_layers;
    unsigned end = classifier < 0 ? m->selector_layers : first + m->classifier_layers;
    uint32_t begin = (uint32_t)(ditmos_model_weights(m, classifier) - data);
    for (unsigned i = first; i < end; i++) {
        uint32_t wrong = 0;
        const ditmos_model_layer_t *layer = &m->layers[i];
        NEED(ditmos_weights_valid(&layer->layer, (const uint8_t *)block + layer->weights, &wrong), "WGHT",
            begin + layer->weights + wrong, "does not fit the layer's packing");
    }
    return ditmos_ok();
}
