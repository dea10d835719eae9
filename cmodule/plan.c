// PLAN of a .dtm file (docs/format.md): its tables, and what follows from them.
#include "plan_tables.h"

#include "model.h"
#include "padding.h"

static ditmos_status_t parse_buffers(ditmos_plan_t *plan, const uint8_t *data, uint32_t begin) {
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        uint32_t at = begin + BUFFER_SIZE * i;
        const uint8_t *p = data + at;
        ditmos_buffer_t *b = &plan->buffers[i];
        b->offset = ditmos_u32(p);
        b->stride = ditmos_u16(p + 4);
        b->rows = ditmos_u16(p + 6);
        b->channels = ditmos_u16(p + 8);
        b->kind = p[10];
        b->kept = p[11] & 1;
        b->map = DITMOS_NONE;
        NEED(b->kind <= DITMOS_BUFFER_SCRATCH, "PLAN.buffer.kind", at + 10, "must be 0, 1 or 2");
        NEED(p[11] <= 1, "PLAN.buffer.flags", at + 11, "has unknown flags");
        if (b->kind == DITMOS_BUFFER_MAP) {
            NEED(b->rows >= 1, "PLAN.buffer.rows", at + 6, "must be at least 1");
            NEED(b->channels >= 1, "PLAN.buffer.channels", at + 8, "must be at least 1");
            NEED(b->stride >= b->rows, "PLAN.buffer.stride", at + 4, "planes overlap");
            b->size = (uint32_t)b->stride * b->channels;
        } else {
            bool carry = b->kind == DITMOS_BUFFER_CARRY;
            NEED(b->offset % 4 == 0, "PLAN.buffer.offset", at, "must be a multiple of 4");
            NEED((carry ? b->stride : b->channels) == 0, "PLAN.buffer", at + 4, "carry has channels, scratch a stride");
            NEED(b->rows == 0, "PLAN.buffer.rows", at + 6, "must be 0, not a map");
            NEED(!b->kept, "PLAN.buffer.flags", at + 11, "only a map can be kept");
            b->size = carry ? 4u * b->channels : b->stride;
            NEED(b->size > 0, "PLAN.buffer", at + 4, "has no bytes");
        }
        NEED(b->offset <= plan->arena_size && b->size <= plan->arena_size - b->offset, "PLAN.buffer.offset", at,
            "outside the arena");
    }
    return ditmos_ok();
}

// A buffer of the wanted kind, or DITMOS_NONE.
static bool is_buffer(const ditmos_plan_t *plan, unsigned index, unsigned kind) {
    return index < plan->buffer_count && plan->buffers[index].kind == kind;
}

// Buffer `index` is to hold map `map`: so far it holds none, or the same.
static bool assign_map(ditmos_plan_t *plan, unsigned index, unsigned map) {
    ditmos_buffer_t *b = &plan->buffers[index];
    if (b->map != DITMOS_NONE && b->map != map) {
        return false;
    }
    b->map = (uint8_t)map;
    return true;
}

static bool is_whole(const ditmos_model_t *model, unsigned buffer) {
    const ditmos_buffer_t *b = &model->plan.buffers[buffer];
    return b->map != DITMOS_NONE && b->rows == model->maps[b->map].rows;
}

static ditmos_status_t parse_stage(ditmos_model_t *model, ditmos_stage_t *stage, const uint8_t *data, uint32_t at) {
    ditmos_plan_t *plan = &model->plan;
    const uint8_t *p = data + at;
    stage->layer = p[0];
    stage->in[0] = p[1];
    stage->in[1] = p[2];
    stage->out = p[3];
    stage->carry = p[4];
    stage->scratch = p[5];
    stage->chunk = ditmos_u16(p + 6);
    NEED(stage->layer < model->selector_layers + model->classifier_layers, "PLAN.stage.layer", at, "no such layer");
    const ditmos_layer_t *layer = &model->layers[stage->layer].layer;
    const ditmos_map_t *map = &model->maps[1 + stage->layer];
    NEED(1 <= stage->chunk && stage->chunk <= map->rows, "PLAN.stage.chunk", at + 6, "must be 1 to the map's rows");
    stage->map_rows = map->rows;
    const ditmos_map_t *read = &model->maps[model->layers[stage->layer].source[0]];
    bool fc = layer->kind == DITMOS_FC;
    if (fc) {
        stage->rows_per_row = 0;
        stage->reach = read->rows;
    } else {
        stage->rows_per_row = layer->stride * layer->pool;
        stage->reach = layer->kernel - layer->stride - model->layers[stage->layer].pad[0];
        stage->padding = ditmos_padding_of(layer, model->layers[stage->layer].pad, read->rows, map->rows, stage->chunk);
    }

    NEED(is_buffer(plan, stage->out, DITMOS_BUFFER_MAP), "PLAN.stage.out", at + 3, "no such map buffer");
    const ditmos_buffer_t *out = &plan->buffers[stage->out];
    NEED(stage->out != plan->window && assign_map(plan, stage->out, 1 + stage->layer), "PLAN.stage.out", at + 3,
        "buffer holds another map");
    NEED(out->channels == map->channels && out->rows <= map->rows, "PLAN.stage.out", at + 3,
        "channels or rows do not fit the layer");
    NEED(!fc || out->stride == 1, "PLAN.stage.out", at + 3,
        "stride must be 1 behind a fully connected layer");
    stage->capacity = out->rows;
    stage->line = out->rows < map->rows;
    stage->carry_from = stage->carry == DITMOS_NONE ? UINT16_MAX : 0;
    NEED(stage->carry == DITMOS_NONE || (is_buffer(plan, stage->carry, DITMOS_BUFFER_CARRY)
            && plan->buffers[stage->carry].channels == map->channels), "PLAN.stage.carry", at + 4,
        "no carry buffer of that many channels");
    NEED(stage->scratch == DITMOS_NONE || is_buffer(plan, stage->scratch, DITMOS_BUFFER_SCRATCH),
        "PLAN.stage.scratch", at + 5, "no such scratch buffer");
    NEED(stage->padding.size == 0 || (stage->scratch != DITMOS_NONE
            && plan->buffers[stage->scratch].size >= stage->padding.size), "PLAN.stage.scratch", at + 5,
        "too few bytes for rows at the edge of a padded map");
    return ditmos_ok();
}

// Operands of a stage, when it is known which buffer holds which map; writers inside the slice come first.
static ditmos_status_t link_operands(ditmos_model_t *model, ditmos_slice_t *slice, unsigned index, uint32_t at) {
    ditmos_stage_t *stages = &model->plan.stages[slice->first];
    ditmos_stage_t *stage = &stages[index];
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        unsigned in = stage->in[j];
        unsigned source = model->layers[stage->layer].source[j];
        stage->producer[j] = DITMOS_EXTERNAL;
        if (source == DITMOS_NONE) {
            NEED(in == DITMOS_NONE, "PLAN.stage.in1", at + 2, "layer has one operand");
            continue;
        }
        const char *field = j == 0 ? "PLAN.stage.in0" : "PLAN.stage.in1";
        NEED(is_buffer(&model->plan, in, DITMOS_BUFFER_MAP) && model->plan.buffers[in].map == source, field,
            at + 1 + j, "buffer does not hold the map that the layer reads");
        for (unsigned i = 0; i < index; i++) {
            if (stages[i].out == in) {
                stage->producer[j] = (uint8_t)i;
                stages[i].consumers |= (uint32_t)1 << index;
            }
        }
        if (stage->producer[j] == DITMOS_EXTERNAL) {
            NEED(is_whole(model, in), field, at + 1 + j, "nothing in the slice fills the line buffer");
            slice->needs |= bit(in);
        }
        NEED(model->layers[stage->layer].layer.kind != DITMOS_FC || is_whole(model, in), field, at + 1 + j,
            "fully connected layer reads a line buffer");
    }
    return ditmos_ok();
}

static ditmos_status_t parse_slices(ditmos_model_t *model, const uint8_t *data, const ditmos_plan_places_t *places) {
    ditmos_plan_t *plan = &model->plan;
    unsigned next = 0;
    for (unsigned i = 0; i < plan->slice_count; i++) {
        uint32_t at = places->slices + SLICE_SIZE * i;
        const uint8_t *p = data + at;
        ditmos_slice_t *slice = &plan->slices[i];
        *slice = (ditmos_slice_t) { .first = p[0], .count = p[1], .classify = p[2] };
        NEED(slice->first == next, "PLAN.slice.first", at, "slices must follow each other");
        NEED(1 <= slice->count && slice->count <= plan->stage_count - next, "PLAN.slice.stages", at + 1,
            "must be at least 1 and not beyond the stages");
        NEED(p[2] <= 1, "PLAN.slice.phase", at + 2, "must be 0 or 1");
        NEED(slice->classify || plan->select_slices == i, "PLAN.slice.phase", at + 2, "select after classify");
        NEED(p[3] == 0, "PLAN.slice.reserved", at + 3, "must be 0");
        plan->select_slices += !slice->classify;
        next += slice->count;
        for (unsigned j = 0; j < slice->count; j++) {
            const ditmos_stage_t *stages = &plan->stages[slice->first];
            uint32_t stage_at = places->stages + STAGE_SIZE * (slice->first + j);
            NEED(slice->classify || stages[j].layer < model->selector_layers, "PLAN.stage.layer", stage_at,
                "classifier layer in a select slice");
            for (unsigned k = 0; k < j; k++) {
                NEED(stages[k].out != stages[j].out, "PLAN.stage.out", stage_at + 3, "two stages of a slice write it");
                NEED(stages[k].carry != stages[j].carry || stages[j].carry == DITMOS_NONE, "PLAN.stage.carry",
                    stage_at + 4, "two stages of a slice carry in it");
            }
            ditmos_status_t status = link_operands(model, slice, j, stage_at);
            if (status.field) {
                return status;
            }
        }
        const ditmos_stage_t *last = &plan->stages[slice->first + slice->count - 1];
        NEED(!last->line, "PLAN.slice.stages", at + 1, "last stage writes a line buffer");
    }
    NEED(next == plan->stage_count, "PLAN.slices", places->header + 6, "stages without a slice");
    return ditmos_ok();
}

ditmos_status_t ditmos_plan_parse(ditmos_model_t *model, const uint8_t *data, uint32_t begin, uint32_t size,
    ditmos_allocate_t allocate) {
    ditmos_plan_t *plan = &model->plan;
    NEED(size >= HEADER_SIZE, "PLAN", begin, "cut short");
    const uint8_t *p = data + begin;
    plan->arena_size = ditmos_u32(p);
    plan->buffer_count = p[4];
    plan->stage_count = p[5];
    plan->slice_count = p[6];
    plan->window = p[7];
    plan->selector_logits = p[8];
    plan->logits = p[9];
    plan->select_slices = 0;
    NEED(plan->arena_size % 4 == 0 && plan->arena_size < DITMOS_MAX_ARENA, "PLAN.arena_size", begin,
        "must be a multiple of 4 below 16 MiB");
    NEED(plan->buffer_count <= DITMOS_MAX_BUFFERS, "PLAN.buffers", begin + 4, "must be at most 64");
    NEED(plan->stage_count <= DITMOS_MAX_STAGES, "PLAN.stages", begin + 5, "must be at most 32");
    NEED(plan->slice_count <= DITMOS_MAX_SLICES, "PLAN.slices", begin + 6, "must be at most 32");
    NEED(p[10] <= 1, "PLAN.flags", begin + 10, "has unknown flags");
    plan->once = p[10] & 1;
    NEED(p[11] == 0 && ditmos_u32(p + 12) == 0, "PLAN.reserved", begin + 11, "must be 0");

    ditmos_plan_places_t places = { .header = begin, .buffers = begin + HEADER_SIZE };
    places.stages = places.buffers + BUFFER_SIZE * plan->buffer_count;
    places.slices = places.stages + STAGE_SIZE * plan->stage_count;
    NEED(size == places.slices + SLICE_SIZE * plan->slice_count - begin, "PLAN", begin, "length does not fit the tables");
    // By falling alignment.
    plan->slices = allocate(sizeof(ditmos_slice_t) * plan->slice_count + sizeof(ditmos_buffer_t) * plan->buffer_count
        + sizeof(ditmos_stage_t) * plan->stage_count);
    plan->buffers = (ditmos_buffer_t *)(void *)(plan->slices + plan->slice_count);
    plan->stages = (ditmos_stage_t *)(void *)(plan->buffers + plan->buffer_count);
    ditmos_status_t status = parse_buffers(plan, data, places.buffers);
    if (status.field) {
        return status;
    }

    NEED(is_buffer(plan, plan->window, DITMOS_BUFFER_MAP), "PLAN.window", begin + 7, "no such map buffer");
    plan->buffers[plan->window].map = 0;
    NEED(plan->buffers[plan->window].channels == model->channels && is_whole(model, plan->window), "PLAN.window",
        begin + 7, "buffer does not fit the window");
    for (unsigned i = 0; i < plan->stage_count; i++) {
        ditmos_stage_t *stage = &plan->stages[i];
        *stage = (ditmos_stage_t) { .consumers = 0 };
        status = parse_stage(model, stage, data, places.stages + STAGE_SIZE * i);
        if (status.field) {
            return status;
        }
    }
    unsigned selector = model->selector_layers;
    NEED(selector == 0 ? plan->selector_logits == DITMOS_NONE
        : is_buffer(plan, plan->selector_logits, DITMOS_BUFFER_MAP)
            && plan->buffers[plan->selector_logits].map == selector, "PLAN.selector_logits", begin + 8,
        "must hold what the selector's last layer makes");
    NEED(model->classifiers == 0 ? plan->logits == DITMOS_NONE
        : is_buffer(plan, plan->logits, DITMOS_BUFFER_MAP)
            && plan->buffers[plan->logits].map == selector + model->classifier_layers, "PLAN.logits", begin + 9,
        "must hold what the classifier's last layer makes");
    status = parse_slices(model, data, &places);
    if (status.field) {
        return status;
    }
    return ditmos_plan_dry_run(model, &places);
}
