// Header and sections of a .dtm file: docs/format.md. PLAN is in plan.c.
#include "model.h"

#include "feed.h"
#include "inputs.h"

#include <string.h>

#define HEADER_SIZE (16)
#define TABLE_ENTRY_SIZE (16)
#define NETW_SIZE (32)
#define LAYR_SIZE (28)
#define INPUTS_SIZE (8) // before the records
#define ROUT_SIZE (4)
#define MAX_MARGINS (8)
#define MAX_POLICY (31)
#define VERSION (2)

// A file while it is parsed: where its sections are, in the order of `sections` at the end.
enum { NETW, NAME, INPT, LAYR, PADS, ROUT, WGHT, PLAN, FRNT, FRST, SECTION_COUNT };

typedef struct {
    ditmos_model_t *model;
    const uint8_t *data;
    uint32_t size;
    ditmos_section_t found[SECTION_COUNT];
    unsigned metadata; // sections of it, which nobody here reads
    ditmos_allocate_t allocate;
} parsing_t;

typedef struct {
    char tag[5];
    ditmos_status_t (*parse)(parsing_t *parsing, ditmos_section_t section);
    bool optional;
} section_kind_t;

static const section_kind_t sections[SECTION_COUNT];

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

static bool is_int8(int16_t x) {
    return -128 <= x && x <= 127;
}

// Letters, digits and underscores, no digit first, not too many.
static bool is_identifier(const char *name) {
    unsigned length = 0;
    for (; name[length] != 0; length++) {
        char c = name[length];
        bool digit = '0' <= c && c <= '9';
        bool letter = ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_';
        if (length == MAX_POLICY || !(letter || (digit && length > 0))) {
            return false;
        }
    }
    return length > 0;
}

static bool is_tag(const uint8_t *p) {
    for (unsigned i = 0; i < 4; i++) {
        if (!(('A' <= p[i] && p[i] <= 'Z') || ('0' <= p[i] && p[i] <= '9'))) {
            return false;
        }
    }
    return true;
}

static ditmos_status_t bad_section(const char *tag, uint32_t offset, const char *problem) {
    ditmos_status_t status = ditmos_bad("section", offset, problem);
    memcpy(status.tag, tag, 4);
    return status;
}

// Entry `at` of the table: keeps where the section is if it is a known one, and refuses what must be known.
static ditmos_status_t take_section(parsing_t *parsing, uint32_t at, ditmos_section_t section) {
    const char *tag = (const char *)parsing->data + at;
    uint32_t flags = ditmos_u32(parsing->data + at + 12);
    NEED(is_tag(parsing->data + at), "section.tag", at, "must be capital letters and digits");
    NEED(flags <= 1, "section.flags", at + 12, "must be 0 or 1");
    for (unsigned j = 0; j < SECTION_COUNT; j++) {
        if (memcmp(tag, sections[j].tag, 4) == 0) {
            if (parsing->found[j].begin != 0) {
                return bad_section(tag, at, "is there twice");
            }
            if (flags != 1) {
                return bad_section(tag, at + 12, "must be marked as required");
            }
            parsing->found[j] = section;
            return ditmos_ok();
        }
    }
    if (flags == 1) {
        return bad_section(tag, at, "is needed for this model's answers and not known to this firmware: update it");
    }
    if (memcmp(tag, "META", 4) == 0) {
        NEED(parsing->metadata++ == 0, "section.tag", at, "is there twice");
    }
    return ditmos_ok();
}

static ditmos_status_t parse_header(parsing_t *parsing) {
    const uint8_t *data = parsing->data;
    uint32_t size = parsing->size;
    NEED(size >= 4 && memcmp(data, "DTMS", 4) == 0, "magic", 0, "not a .dtm file");
    NEED(size >= 6, "version", 4, "file is cut short");
    NEED(ditmos_u16(data + 4) >= VERSION, "version", 4, "is of an older ditmos, export the model again");
    NEED(ditmos_u16(data + 4) == VERSION, "version", 4, "is newer than this firmware, update it");
    NEED(size >= HEADER_SIZE, "length", 8, "file is cut short");
    uint32_t length = ditmos_u32(data + 8);
    NEED(length <= size, "length", 8, "file is cut short");
    NEED(length == size, "length", 8, "bytes after the end");
    NEED(crc32(data + HEADER_SIZE, size - HEADER_SIZE) == ditmos_u32(data + 12), "crc", 12, "file is damaged");
    return ditmos_ok();
}

static ditmos_status_t parse_table(parsing_t *parsing) {
    const uint8_t *data = parsing->data;
    uint32_t size = parsing->size;
    unsigned count = ditmos_u16(data + 6);
    NEED(count <= DITMOS_MAX_SECTIONS, "sections", 6, "must be at most 32");
    NEED(HEADER_SIZE + TABLE_ENTRY_SIZE * count <= size, "sections", 6, "table is cut short");
    ditmos_section_t all[DITMOS_MAX_SECTIONS];
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = HEADER_SIZE + TABLE_ENTRY_SIZE * i;
        ditmos_section_t section = { ditmos_u32(data + at + 4), ditmos_u32(data + at + 8) };
        NEED(section.begin % 4 == 0, "section.offset", at + 4, "must be a multiple of 4");
        NEED(HEADER_SIZE + TABLE_ENTRY_SIZE * count <= section.begin && section.begin <= size, "section.offset", at + 4,
            "outside the file");
        NEED(section.size <= size - section.begin, "section.length", at + 8, "outside the file");
        for (unsigned j = 0; j < i; j++) {
            NEED(section.begin + section.size <= all[j].begin || all[j].begin + all[j].size <= section.begin,
                "section.offset", at + 4, "sections overlap");
        }
        all[i] = section;
        ditmos_status_t status = take_section(parsing, at, section);
        if (status.field) {
            return status;
        }
    }
    return ditmos_ok();
}

static ditmos_status_t parse_network(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    NEED(s.size == NETW_SIZE, "NETW", s.begin, "must be 32 bytes");
    const uint8_t *p = parsing->data + s.begin;
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
    m->selector_scale = ditmos_f32(p + 16);
    m->logit_scale = ditmos_f32(p + 20);
    int16_t selector_zero_point = (int16_t)ditmos_u16(p + 24);
    int16_t logit_zero_point = (int16_t)ditmos_u16(p + 26);
    m->classifier_stride = ditmos_u32(p + 28);

    NEED(m->window >= 1, "NETW.window", at, "must be at least 1");
    NEED(m->channels >= 1, "NETW.channels", at + 2, "must be at least 1");
    NEED(m->classes >= 1, "NETW.classes", at + 4, "must be at least 1");
    NEED(m->classifiers <= DITMOS_MAX_CLASSIFIERS, "NETW.classifiers", at + 8, "must be at most 64");
    NEED(m->classifiers > 0 || parsing->found[FRST].begin != 0, "NETW.classifiers", at + 8,
        "is 0, and there is no forest to answer");
    NEED(m->selector_layers <= DITMOS_MAX_CONVS + DITMOS_MAX_FCS, "NETW.selector_layers", at + 9,
        "must be at most 14");
    NEED((m->selector_outputs > 0) == (m->selector_layers > 0), "NETW.selector_outputs", at + 6,
        "must be 0 without a selector and only then");
    NEED(m->classifier_layers <= DITMOS_MAX_CONVS + DITMOS_MAX_FCS, "NETW.classifier_layers", at + 10,
        "must be at most 14");
    NEED((m->classifier_layers > 0) == (m->classifiers > 0), "NETW.classifier_layers", at + 10,
        "must be at least 1, or 0 of no classifier");
    NEED(m->classifiers > 0 || m->selector_layers == 0, "NETW.selector_layers", at + 9,
        "must be 0 without a classifier");
    NEED(m->start <= DITMOS_MAX_CONVS, "NETW.start", at + 11, "must be at most 12");
    NEED(m->aggregate < 1u << (2 * DITMOS_MAX_CONVS + 1), "NETW.aggregate", at + 12, "has unknown levels");
    NEED(ditmos_is_scale(m->selector_scale), "NETW.selector_scale", at + 16, "must be positive and finite");
    NEED(ditmos_is_scale(m->logit_scale), "NETW.logit_scale", at + 20, "must be positive and finite");
    NEED(is_int8(selector_zero_point), "NETW.selector_zero_point", at + 24, "must be -128 to 127");
    NEED(is_int8(logit_zero_point), "NETW.logit_zero_point", at + 26, "must be -128 to 127");
    NEED(m->classifier_stride % 4 == 0, "NETW.classifier_stride", at + 28, "must be a multiple of 4");
    m->selector_zero_point = (int8_t)selector_zero_point;
    m->logit_zero_point = (int8_t)logit_zero_point;
    m->maps[0] = (ditmos_map_t) { m->channels, m->window };
    return ditmos_ok();
}

// `count` names that fill [begin, begin + size).
static ditmos_status_t check_names(const uint8_t *data, uint32_t begin, uint32_t size, unsigned count,
    const char *field) {
    const uint8_t *names = data + begin;
    unsigned ends = 0;
    for (uint32_t i = 0; i < size; i++) {
        ends += names[i] == 0;
    }
    NEED(size > 0 && names[size - 1] == 0, field, begin, "last name has no end");
    NEED(ends == count, field, begin, "wrong number of names");
    NEED(ditmos_is_text(names, names + size), field, begin, "not UTF-8, or a control character");
    return ditmos_ok();
}

static ditmos_status_t parse_names(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    m->names = (const char *)parsing->data + s.begin;
    return check_names(parsing->data, s.begin, s.size, m->classes, "NAME");
}

static ditmos_status_t parse_inputs(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    const uint8_t *p = parsing->data + s.begin;
    NEED(s.size >= INPUTS_SIZE, "INPT", s.begin, "cut short");
    m->rate = ditmos_f32(p);
    m->row_channels = ditmos_u16(p + 4);
    uint32_t fixed = INPUTS_SIZE + (uint32_t)DITMOS_INPUT_SIZE * m->row_channels;
    NEED(ditmos_u16(p + 6) == 0, "INPT.reserved", s.begin + 6, "must be 0");
    NEED(s.size >= fixed, "INPT", s.begin, "must have a record for each channel");
    NEED(m->rate >= 0.0f && m->rate <= FLT_MAX, "INPT.rate", s.begin, "must be rows per second, or 0");
    m->inputs = p + INPUTS_SIZE;
    for (unsigned i = 0; i < m->row_channels; i++) {
        ditmos_status_t status = ditmos_input_check(parsing->data, s.begin + INPUTS_SIZE + DITMOS_INPUT_SIZE * i);
        if (status.field) {
            return status;
        }
    }
    NEED(ditmos_used(m->inputs, m->row_channels) == m->channels, "INPT.channels", s.begin + 4,
        "uses other channels than the network has");
    m->input_names = (const char *)p + fixed;
    return check_names(parsing->data, s.begin + fixed, s.size - fixed, 2u * m->row_channels, "INPT.names");
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
    NEED(fewest <= *convs && *convs <= DITMOS_MAX_CONVS, "LAYR.kind", begin, "branch must have 1 to 12 layers in time");
    return ditmos_ok();
}

static ditmos_status_t parse_layers(parsing_t *parsing, ditmos_section_t s) {
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

// Whether a layer reads rows of padding beside the window.
static bool pads_window(const ditmos_model_t *m) {
    bool found = false;
    for (unsigned i = 0; i < (unsigned)m->selector_layers + m->classifier_layers; i++) {
        found |= m->layers[i].source[0] == 0 && m->layers[i].pad[0] + m->layers[i].pad[1] > 0;
    }
    return found;
}

static ditmos_status_t parse_padding(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    const uint8_t *p = parsing->data + s.begin;
    NEED(pads_window(m), "PADS", s.begin, "is there, but no layer pads the window");
    NEED(s.size == ((m->channels + 3u) & ~3u), "PADS", s.begin, "must have a byte for each channel");
    for (uint32_t i = m->channels; i < s.size; i++) {
        NEED(p[i] == 0, "PADS", s.begin + i, "what fills up the last word must be 0");
    }
    m->padding = (const int8_t *)p;
    return ditmos_ok();
}

// Who answers: docs/format.md, ROUT.
static ditmos_status_t parse_routing(parsing_t *parsing, ditmos_section_t s) {
    enum { RULE_ONLY, RULE_SELECTOR, RULE_ALL };
    ditmos_model_t *m = parsing->model;
    const uint8_t *p = parsing->data + s.begin;
    NEED(s.size >= ROUT_SIZE, "ROUT", s.begin, "must be at least 4 bytes");
    unsigned rule = p[0];
    m->margin_count = p[1];
    NEED(rule <= RULE_ALL, "ROUT.rule", s.begin, "must be 0, 1 or 2");
    NEED(m->margin_count <= MAX_MARGINS, "ROUT.margins", s.begin + 1, "must be at most 8");
    NEED(ditmos_u16(p + 2) == 0, "ROUT.reserved", s.begin + 2, "must be 0");
    uint32_t fixed = ROUT_SIZE + 4u * m->margin_count;
    NEED(fixed <= s.size, "ROUT.margins", s.begin + 1, "do not fit into the section");
    m->margins = p + ROUT_SIZE;
    m->policy = (const char *)p + fixed;
    ditmos_status_t status = check_names(parsing->data, s.begin + fixed, s.size - fixed, 1, "ROUT.policy");
    if (status.field) {
        return status;
    }
    NEED(is_identifier(m->policy), "ROUT.policy", s.begin + fixed, "must be a name of at most 31 letters");
    m->routes = rule == RULE_SELECTOR ? m->classifiers : 0;
    NEED(m->routes <= m->selector_outputs, "ROUT.rule", s.begin, "selector has too few outputs to choose");
    m->exits = m->selector_outputs - m->routes;
    NEED(m->exits == 0 || m->exits == m->classes, "ROUT.rule", s.begin,
        "selector outputs must be those of classifiers, then none or one for each class");
    NEED(rule != RULE_ONLY || m->classifiers <= 1, "ROUT.rule", s.begin, "is 0, but there are several classifiers");
    return ditmos_ok();
}

// The blocks of weights: layers follow each other, and the section is as long as selector and classifiers are.
static ditmos_status_t parse_weights(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    uint64_t end[2] = { 0, 0 };
    NEED(m->padding != NULL || !pads_window(m), "sections", 6, "no PADS, but a layer pads the window");
    for (unsigned i = 0; i < (unsigned)m->selector_layers + m->classifier_layers; i++) {
        unsigned branch = i >= m->selector_layers;
        NEED(m->layers[i].weights == end[branch], "LAYR.weights_offset", parsing->found[LAYR].begin + LAYR_SIZE * i + 20,
            "must be the end of the layer before");
        end[branch] += m->layers[i].layer.weights_size;
    }
    NEED(end[1] == m->classifier_stride, "NETW.classifier_stride", parsing->found[NETW].begin + 28,
        "must be the bytes of a classifier's layers");
    NEED(end[0] + m->classifiers * end[1] == s.size, "WGHT", s.begin, "must be as long as the layers are");
    m->weights = parsing->data + s.begin;
    m->selector_weights_size = (uint32_t)end[0];
    return ditmos_ok();
}

static ditmos_status_t parse_plan(parsing_t *parsing, ditmos_section_t s) {
    return ditmos_plan_parse(parsing->model, parsing->data, s.begin, s.size, parsing->allocate);
}

static ditmos_status_t parse_front(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    bool aligned = (uintptr_t)(parsing->data + s.begin) % 4 == 0;
    m->front = parsing->allocate(sizeof(*m->front) + (aligned ? 0 : s.size));
    ditmos_status_t status = ditmos_frontend_parse(m->front, parsing->data, s.begin, s.size, m->window, m->row_channels,
        m->front + 1);
    return status.field ? status : ditmos_feed_check(m, s.begin);
}

static ditmos_status_t parse_forest(parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    NEED(m->front && m->front->summary.bins, "FRST", s.begin, "the front end has no Summary for it to read");
    bool aligned = (uintptr_t)(parsing->data + s.begin) % 4 == 0;
    m->forest = parsing->allocate(sizeof(*m->forest) + (aligned ? 0 : s.size));
    return ditmos_forest_parse(m->forest, parsing->data, s.begin, s.size,
        ditmos_summary_size(m->front->row_channels, m->front->summary.bins), m->classes, m->classifiers > 0,
        m->forest + 1);
}

// All that are known, in the order in which it is parsed: each finds what those before it have left in the model.
// The one place where a section is added, as host/ditmos/model/sections.py.
static const section_kind_t sections[SECTION_COUNT] = {
    [NETW] = { "NETW", parse_network, false },
    [NAME] = { "NAME", parse_names, false },
    [INPT] = { "INPT", parse_inputs, false },
    [LAYR] = { "LAYR", parse_layers, false },
    [PADS] = { "PADS", parse_padding, true },
    [ROUT] = { "ROUT", parse_routing, false },
    [WGHT] = { "WGHT", parse_weights, false },
    [PLAN] = { "PLAN", parse_plan, false },
    [FRNT] = { "FRNT", parse_front, true },
    [FRST] = { "FRST", parse_forest, true },
};

ditmos_status_t ditmos_model_parse(ditmos_model_t *model, const uint8_t *data, uint32_t size,
    ditmos_allocate_t allocate) {
    parsing_t parsing = { .model = model, .data = data, .size = size, .allocate = allocate };
    model->plan.slices = NULL;
    model->front = NULL;
    model->padding = NULL;
    model->forest = NULL;
    ditmos_status_t status = parse_header(&parsing);
    if (status.field == NULL) {
        status = parse_table(&parsing);
    }
    for (unsigned i = 0; i < SECTION_COUNT && status.field == NULL; i++) {
        if (parsing.found[i].begin == 0) {
            if (sections[i].optional) {
                continue;
            }
            return bad_section(sections[i].tag, HEADER_SIZE, "is missing");
        }
        status = sections[i].parse(&parsing, parsing.found[i]);
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
