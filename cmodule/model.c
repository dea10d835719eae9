// Header and table of a .dtm file, and which sections there are: docs/format.md.
#include "sections.h"

#include <string.h>

#define HEADER_SIZE (16)
#define TABLE_ENTRY_SIZE (16)
#define VERSION (2)

typedef struct {
    char tag[5];
    ditmos_status_t (*parse)(ditmos_parsing_t *parsing, ditmos_section_t section);
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
static ditmos_status_t take_section(ditmos_parsing_t *parsing, uint32_t at, ditmos_section_t section) {
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

static ditmos_status_t parse_header(ditmos_parsing_t *parsing) {
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

static ditmos_status_t parse_table(ditmos_parsing_t *parsing) {
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

// All that are known, in the order in which they are parsed.
// The one place where a section is added, as host/ditmos/model/sections.py.
static const section_kind_t sections[SECTION_COUNT] = {
    [NETW] = { "NETW", ditmos_read_network, false },
    [NAME] = { "NAME", ditmos_read_names, false },
    [INPT] = { "INPT", ditmos_read_inputs, false },
    [LAYR] = { "LAYR", ditmos_read_layers, false },
    [PADS] = { "PADS", ditmos_read_padding, true },
    [ROUT] = { "ROUT", ditmos_read_routing, false },
    [WGHT] = { "WGHT", ditmos_read_weights, false },
    [PLAN] = { "PLAN", ditmos_read_plan, false },
    [FRNT] = { "FRNT", ditmos_read_front, true },
    [FRST] = { "FRST", ditmos_read_forest, true },
};

ditmos_status_t ditmos_model_parse(ditmos_model_t *model, const uint8_t *data, uint32_t size,
    ditmos_allocate_t allocate) {
    ditmos_parsing_t parsing = { .model = model, .data = data, .size = size, .allocate = allocate };
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
