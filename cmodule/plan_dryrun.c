// Whether a plan works: its schedule with row counters only (docs/plans.md).
#include "plan_tables.h"

#include "model.h"
#include "schedule.h"

// The other buffers that share bytes with buffer `index`, as a mask.
static uint64_t overlapping(const ditmos_plan_t *plan, unsigned index) {
    const ditmos_buffer_t *a = &plan->buffers[index];
    uint64_t found = 0;
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        const ditmos_buffer_t *b = &plan->buffers[i];
        if (i != index && a->offset < b->offset + b->size && b->offset < a->offset + a->size) {
            found |= bit(i);
        }
    }
    return found;
}

// Whether `size` bytes of the arena hold nothing that a stage still needs of the maps `hosts`, which were there before
// the slice.
static bool are_free(const ditmos_plan_t *plan, const ditmos_schedule_t *s, uint64_t hosts, uint32_t begin,
    uint32_t size) {
    for (; hosts; hosts &= hosts - 1) {
        unsigned host = (unsigned)__builtin_ctzll(hosts);
        const ditmos_buffer_t *map = &plan->buffers[host];
        uint32_t needed = UINT32_MAX; // first row that a stage still needs, the one that is about to run included
        for (unsigned i = 0; i < s->count; i++) {
            const ditmos_stage_t *stage = &s->stages[i];
            if ((stage->in[0] == host || stage->in[1] == host) && s->rows[i].rows > 0) {
                needed = s->rows[i].first < needed ? s->rows[i].first : needed;
            }
        }
        for (uint32_t i = 0; i < size; i++) {
            uint32_t byte = begin + i - map->offset;
            if (byte < map->size && byte % map->stride < map->rows && byte % map->stride >= needed) {
                return false;
            }
        }
    }
    return true;
}

// Whether what a step writes into its output falls on free bytes: the new rows, and all of a line buffer that moves.
static bool output_is_free(const ditmos_plan_t *plan, const ditmos_schedule_t *s, const ditmos_step_t *step,
    uint64_t needs) {
    unsigned index = s->stages[step->stage].out;
    const ditmos_buffer_t *out = &plan->buffers[index];
    const ditmos_rows_t *rows = &s->rows[step->stage];
    uint64_t hosts = overlapping(plan, index) & needs;
    if (hosts && step->dropped && !are_free(plan, s, hosts, out->offset, out->size)) {
        return false;
    }
    for (unsigned c = 0; hosts && c < out->channels; c++) {
        if (!are_free(plan, s, hosts, out->offset + c * out->stride + rows->done - rows->begin, rows->rows)) {
            return false;
        }
    }
    return true;
}

// What a slice needs, makes and destroys, then its schedule with row counters only. `*valid` has the buffers whose
// contents are there.
static ditmos_status_t dry_run(const ditmos_model_t *model, ditmos_slice_t *slice, uint32_t at, uint64_t *valid) {
    const ditmos_plan_t *plan = &model->plan;
    ditmos_stage_t *stages = &plan->stages[slice->first];
    uint64_t used = slice->needs;
    uint64_t direct = 0; // buffers that the slice writes
    uint64_t guests = 0; // those that may take the place of rows that were there before
    slice->makes = 0;
    slice->destroys = 0;
    for (unsigned i = 0; i < slice->count; i++) {
        const uint8_t written[] = { stages[i].out, stages[i].carry, stages[i].scratch };
        for (unsigned j = 0; j < sizeof(written); j++) {
            if (written[j] != DITMOS_NONE) {
                used |= bit(written[j]);
                direct |= bit(written[j]);
                slice->destroys |= bit(written[j]) | overlapping(plan, written[j]);
            }
        }
        slice->makes |= stages[i].line ? 0 : bit(stages[i].out);
        guests |= bit(stages[i].out) | bit(stages[i].carry);
        if (stages[i].carry != DITMOS_NONE) {
            stages[i].carry_from = overlapping(plan, stages[i].carry) & slice->needs ? UINT16_MAX : 0;
        }
    }
    slice->grows = (slice->destroys & slice->needs) != 0;
    for (unsigned i = 0; i < slice->count; i++) {
        uint32_t stage_at = at + STAGE_SIZE * i;
        const uint8_t worked_on[] = { stages[i].in[0], stages[i].in[1], stages[i].out, stages[i].carry, stages[i].scratch };
        for (unsigned j = 0; j < sizeof(worked_on); j++) {
            if (worked_on[j] != DITMOS_NONE) {
                // are_free() has the condition under which a guest may be where it is.
                uint64_t allowed = bit(worked_on[j]) & guests ? slice->needs
                    : bit(worked_on[j]) & slice->needs ? guests : 0;
                NEED((overlapping(plan, worked_on[j]) & used & ~allowed) == 0, "PLAN.stage",
                    stage_at + 1 + j, "buffer shares bytes with another one of the slice");
            }
        }
        for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
            NEED(stages[i].producer[j] != DITMOS_EXTERNAL || (bit(stages[i].in[j]) & ~(*valid & ~direct)) == 0,
                "PLAN.stage.in", stage_at + 1 + j, "map is not there");
        }
    }

    ditmos_schedule_t schedule;
    ditmos_step_t step;
    ditmos_schedule_start(&schedule, model, slice);
    while (ditmos_schedule_next(&schedule, &step)) {
        NEED(step.fits, "PLAN.stage.out", at + STAGE_SIZE * step.stage + 3, "line buffer overruns");
        NEED(output_is_free(plan, &schedule, &step, slice->needs), "PLAN.stage.out", at + STAGE_SIZE * step.stage + 3,
            "overwrites rows that are still needed");
        ditmos_stage_t *stage = &stages[step.stage];
        if (stage->carry != DITMOS_NONE && stage->carry_from == UINT16_MAX) {
            const ditmos_buffer_t *carry = &plan->buffers[stage->carry];
            uint64_t hosts = overlapping(plan, stage->carry) & slice->needs;
            if (are_free(plan, &schedule, hosts, carry->offset, carry->size)) {
                stage->carry_from = schedule.rows[step.stage].done;
            }
        }
        ditmos_schedule_done(&schedule, &step);
    }
    *valid = (*valid & ~slice->destroys) | slice->makes;
    return ditmos_ok();
}

ditmos_status_t ditmos_plan_dry_run(ditmos_model_t *model, const ditmos_plan_places_t *places) {
    ditmos_plan_t *plan = &model->plan;
    plan->classifier_maps = 0;
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        const ditmos_buffer_t *b = &plan->buffers[i];
        plan->classifier_maps |= b->map != DITMOS_NONE && b->map > model->selector_layers ? bit(i) : 0;
    }
    // Select, classify, and classify again: what the first one has written over, select makes once more. With a plan
    // for one classify a window, that is all.
    plan->features = 0;
    uint64_t valid = bit(plan->window);
    uint64_t made = 0;
    for (unsigned pass = 0; pass < (plan->once ? 2 : 3); pass++) {
        bool select = pass == 0 || (pass == 2 && (plan->features & ~valid) != 0);
        valid &= ~plan->classifier_maps;
        for (unsigned i = select ? 0 : plan->select_slices; i < (pass == 0 ? plan->select_slices : plan->slice_count);
             i++) {
            ditmos_slice_t *slice = &plan->slices[i];
            uint32_t at = places->stages + STAGE_SIZE * slice->first;
            ditmos_status_t status = dry_run(model, slice, at, &valid);
            if (status.field) {
                return status;
            }
            if (pass == 1) {
                plan->features |= slice->needs & ~made;
                made |= slice->makes;
            }
        }
        unsigned logits = pass == 0 ? plan->selector_logits : plan->logits; // bit(DITMOS_NONE) is 0
        NEED((bit(logits) & ~valid) == 0, pass == 0 ? "PLAN.selector_logits" : "PLAN.logits",
            places->header + (pass == 0 ? 8 : 9), "nothing computes them");
        for (unsigned j = 0; j < plan->buffer_count; j++) {
            NEED(pass > 0 || !plan->buffers[j].kept || (valid & bit(j)), "PLAN.buffer.flags",
                places->buffers + BUFFER_SIZE * j + 11, "kept, but no whole map after select");
        }
    }
    return ditmos_ok();
}
