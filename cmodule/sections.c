// What the sections of a .dtm file hold: docs/format.md. LAYR is in section_layers.c, PLAN in plan.c.
#include "sections.h"

#include "feed.h"
#include "inputs.h"

#include <string.h>

#define NETW_SIZE (32)
#define INPUTS_SIZE (8) // before the records
#define ROUT_SIZE (4)
#define MAX_MARGINS (8)
#define MAX_POLICY (31)

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

ditmos_status_t ditmos_read_network(ditmos_parsing_t *parsing, ditmos_section_t s) {
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

ditmos_status_t ditmos_read_names(ditmos_parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    m->names = (const char *)parsing->data + s.begin;
    return check_names(parsing->data, s.begin, s.size, m->classes, "NAME");
}

ditmos_status_t ditmos_read_inputs(ditmos_parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    const uint8_t *p = parsing->data + s.begin;
    NEED(s.size >= INPUTS_SIZE, "INPT", s.begin, "cut short");
    m->rate = ditmos_f32(p);
    m->row_channels = ditmos_u16(p + 4);
    uint32_t fixed = INPUTS_SIZE + (uint32_t)DITMOS_INPUT_SIZE * m->row_channels;
    // An older ditmos had the first channel's scale there, which is never 0.
    NEED(ditmos_u16(p + 6) == 0, "INPT.reserved", s.begin + 6, "is of an older ditmos, export the model again");
    NEED(s.size >= fixed, "INPT", s.begin, "must have a record for each channel");
    NEED(ditmos_u32(p) << 1 == 0 || ditmos_is_scale(m->rate), "INPT.rate", s.begin, "must be rows per second, or 0");
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

// Whether a layer reads rows of padding beside the window.
static bool pads_window(const ditmos_model_t *m) {
    bool found = false;
    for (unsigned i = 0; i < (unsigned)m->selector_layers + m->classifier_layers; i++) {
        found |= m->layers[i].source[0] == 0 && m->layers[i].pad[0] + m->layers[i].pad[1] > 0;
    }
    return found;
}

ditmos_status_t ditmos_read_padding(ditmos_parsing_t *parsing, ditmos_section_t s) {
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
ditmos_status_t ditmos_read_routing(ditmos_parsing_t *parsing, ditmos_section_t s) {
    enum { RULE_ONLY, RULE_SELECTOR, RULE_ALL, RULE_VOTES };
    ditmos_model_t *m = parsing->model;
    const uint8_t *p = parsing->data + s.begin;
    NEED(s.size >= ROUT_SIZE, "ROUT", s.begin, "must be at least 4 bytes");
    unsigned rule = p[0];
    m->margin_count = p[1];
    NEED(rule <= RULE_VOTES, "ROUT.rule", s.begin, "must be 0 to 3");
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
    m->specialists = rule == RULE_VOTES ? m->classifiers : 0;
    NEED(rule != RULE_VOTES || m->classifiers >= 2, "ROUT.rule", s.begin, "is 3, but there is no second classifier");
    NEED(m->specialists == 0 || parsing->found[FRST].begin != 0, "ROUT.rule", s.begin, "is 3, but there is no forest");
    return ditmos_ok();
}

// The blocks of weights: layers follow each other, and the section is as long as selector and classifiers are.
ditmos_status_t ditmos_read_weights(ditmos_parsing_t *parsing, ditmos_section_t s) {
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

ditmos_status_t ditmos_read_plan(ditmos_parsing_t *parsing, ditmos_section_t s) {
    return ditmos_plan_parse(parsing->model, parsing->data, s.begin, s.size, parsing->allocate);
}

ditmos_status_t ditmos_read_front(ditmos_parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    bool aligned = (uintptr_t)(parsing->data + s.begin) % 4 == 0;
    m->front = parsing->allocate(sizeof(*m->front) + (aligned ? 0 : s.size));
    ditmos_status_t status = ditmos_frontend_parse(m->front, parsing->data, s.begin, s.size, m->window, m->row_channels,
        m->front + 1);
    return status.field ? status : ditmos_feed_check(m, s.begin);
}

ditmos_status_t ditmos_read_forest(ditmos_parsing_t *parsing, ditmos_section_t s) {
    ditmos_model_t *m = parsing->model;
    NEED(m->front && m->front->summary.bins, "FRST", s.begin, "the front end has no Summary for it to read");
    bool aligned = (uintptr_t)(parsing->data + s.begin) % 4 == 0;
    m->forest = parsing->allocate(sizeof(*m->forest) + (aligned ? 0 : s.size));
    return ditmos_forest_parse(m->forest, parsing->data, s.begin, s.size,
        ditmos_summary_size(m->front->row_channels, m->front->summary.bins), m->classes, m->classifiers > 0,
        m->specialists, m->forest + 1);
}
