// The sections of a .dtm file, each read into the model: docs/format.md. model.c knows their order.
#ifndef DITMOS_SECTIONS_H
#define DITMOS_SECTIONS_H

#include "model.h"

#define LAYR_SIZE (28)

// A file while it is parsed: where its sections are, in the order in which they are parsed.
enum { NETW, NAME, INPT, LAYR, PADS, ROUT, WGHT, PLAN, FRNT, FRST, SECTION_COUNT };

typedef struct {
    ditmos_model_t *model;
    const uint8_t *data;
    uint32_t size;
    ditmos_section_t found[SECTION_COUNT];
    unsigned metadata; // sections of it, which nobody here reads
    ditmos_allocate_t allocate;
} ditmos_parsing_t;

// Each finds what those before it have left in the model.
ditmos_status_t ditmos_read_network(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_names(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_inputs(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_layers(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_padding(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_routing(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_weights(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_plan(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_front(ditmos_parsing_t *parsing, ditmos_section_t section);
ditmos_status_t ditmos_read_forest(ditmos_parsing_t *parsing, ditmos_section_t section);

#endif // DITMOS_SECTIONS_H
