// FRNT of a .dtm file: docs/format.md.
#include "frontend.h"

#include <string.h>

#define HEADER_SIZE (24)
#define RECORD_SIZE (8)
#define SPECTRUM_SIZE (20)
#define MAX_OFFSET (1 << 24) // of a spectrum
#define MAX_ARENA (1 << 24)

// The section: at an aligned address, and where it lies in the file.
typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t begin;
} section_t;

static uint32_t padded(uint32_t size) {
    return (size + 3) & ~3u;
}

// Where the bank of a spectrum ends, in values, or what is wrong with it.
static ditmos_status_t check_bank(const ditmos_spectrum_t *spectrum, uint32_t values, uint32_t at) {
    uint32_t bins = spectrum->points / 2u + 1;
    uint32_t i = 0;
    for (unsigned band = 0; band < spectrum->bands; band++) {
        NEED(values - i >= 2, "FRNT.bank", at + 2 * i, "ends before its bands do");
        uint32_t start = spectrum->bank[i];
        uint32_t count = spectrum->bank[i + 1];
        NEED(count <= values - i - 2, "FRNT.bank", at + 2 * i, "ends before its bands do");
        NEED(1 <= count && start + count <= bins, "FRNT.bank", at + 2 * i, "bins beyond the spectrum");
        i += 2 + count;
    }
    NEED(i == values, "FRNT.bank", at + 2 * i, "goes on after its bands");
    return ditmos_ok();
}

// The record at `at`, behind its head.
static ditmos_status_t parse_spectrum(ditmos_frontend_t *front, const section_t *s, uint32_t at, uint32_t size) {
    ditmos_spectrum_t *spectrum = &front->spectrum;
    const uint8_t *p = s->data + at;
    uint32_t begin = s->begin + at;
    NEED(front->spectrum_at == DITMOS_MAX_OPERATIONS, "FRNT.kind", begin, "a second Spectrum");
    NEED(size >= RECORD_SIZE + SPECTRUM_SIZE, "FRNT.bytes", begin + 4, "cut short");
    unsigned wide = p[1] >> 4;
    spectrum->shift = p[1] & 15;
    spectrum->wide = wide == 1;
    spectrum->bands = ditmos_u16(p + 2);
    p += RECORD_SIZE;
    begin += RECORD_SIZE;
    spectrum->frame = ditmos_u16(p);
    spectrum->hop = ditmos_u16(p + 2);
    spectrum->points = ditmos_u16(p + 4);
    uint32_t values = ditmos_u16(p + 6);
    spectrum->offset = (int32_t)ditmos_u32(p + 8);
    spectrum->floor = ditmos_u32(p + 12) | (uint64_t)ditmos_u32(p + 16) << 32;
    unsigned points = spectrum->points;
    NEED(wide <= 1, "FRNT.wide", begin - 7, "must be 0 or 1");
    NEED(1 <= spectrum->bands && spectrum->bands <= DITMOS_SPECTRUM_BANDS, "FRNT.bands", begin - 6, "must be 1 to 256");
    NEED(DITMOS_SPECTRUM_SHORTEST <= points && points <= DITMOS_SPECTRUM_LONGEST && (points & (points - 1)) == 0,
        "FRNT.points", begin + 4, "must be a power of 2 from 8 to 2048");
    NEED(2 <= spectrum->frame && spectrum->frame <= points && spectrum->frame % 2 == 0, "FRNT.frame", begin,
        "must be an even number up to the points");
    NEED(1 <= spectrum->hop && spectrum->hop <= spectrum->frame, "FRNT.hop", begin + 2, "must be 1 to the frame");
    NEED(-MAX_OFFSET <= spectrum->offset && spectrum->offset <= MAX_OFFSET, "FRNT.offset", begin + 8,
        "must be within +-2^24");
    NEED(1 <= spectrum->floor && spectrum->floor >> 63 == 0, "FRNT.floor", begin + 12, "must be 1 to 2^63 - 1");
    uint32_t bank = SPECTRUM_SIZE + 4u * spectrum->frame;
    NEED(size == RECORD_SIZE + padded(bank + 2 * values), "FRNT.bytes", begin - 4, "does not fit frame and bank");
    spectrum->window = (const int32_t *)(const void *)(p + SPECTRUM_SIZE);
    spectrum->bank = (const uint16_t *)(const void *)(p + bank);
    for (unsigned i = 0; i < spectrum->frame; i++) {
        NEED(-DITMOS_SPECTRUM_ONE <= spectrum->window[i] && spectrum->window[i] <= DITMOS_SPECTRUM_ONE, "FRNT.window",
            begin + SPECTRUM_SIZE + 4 * i, "must be within +-2^29");
    }
    return check_bank(spectrum, values, begin + bank);
}

static ditmos_status_t parse_affine(ditmos_frontend_t *front, ditmos_operation_t *operation, const section_t *s,
    unsigned index, uint32_t at) {
    uint32_t begin = s->begin + at;
    if (operation->first == 1) {
        NEED(front->own_at == DITMOS_MAX_OPERATIONS, "FRNT.kind", begin, "a second Affine of the device's own");
        front->own_at = (uint8_t)index;
    }
    operation->affine = (const ditmos_affine_t *)(const void *)(s->data + at + RECORD_SIZE);
    for (unsigned c = 0; c < operation->channels; c++) {
        uint32_t channel = begin + RECORD_SIZE + 8 * c;
        const ditmos_affine_t *affine = &operation->affine[c];
        NEED(1 <= affine->shift && affine->shift <= 31, "FRNT.shift", channel + 2, "must be 1 to 31");
        NEED(affine->reserved == 0, "FRNT.reserved", channel + 3, "must be 0");
        NEED(affine->multiplier >= 0, "FRNT.multiplier", channel + 4, "must be at least 0");
    }
    return ditmos_ok();
}

static ditmos_status_t parse_summary(ditmos_frontend_t *front, const section_t *s, unsigned index, uint32_t at,
    uint32_t size, uint32_t width) {
    const uint8_t *p = s->data + at;
    uint32_t begin = s->begin + at;
    uint32_t head = RECORD_SIZE;
    if (p[0] == DITMOS_READ_SUMMARY) {
        head += 4;
        NEED(size >= head, "FRNT.bytes", begin + 4, "cut short");
        uint32_t rows = ditmos_u32(p + RECORD_SIZE);
        NEED(1 <= rows && rows <= UINT16_MAX, "FRNT.rows", begin + RECORD_SIZE, "must be 1 to 65535");
        NEED(front->window == 1, "FRNT.kind", begin, "features are a window of one row");
        front->window = (uint16_t)rows;
        front->reads_features = true;
    }
    uint32_t bins = p[1];
    uint32_t block = ditmos_u16(p + 2);
    NEED(1 <= bins && bins <= DITMOS_SUMMARY_BINS, "FRNT.bins", begin + 1, "must be 1 to 15");
    NEED(1 <= block && block <= DITMOS_SUMMARY_BLOCK && (block & (block - 1)) == 0, "FRNT.block", begin + 2,
        "must be a power of 2 up to 4096");
    NEED(index + 1 == front->count, "FRNT.kind", begin, "Summary must come last");
    uint32_t blocks = front->window / block;
    NEED(DITMOS_SUMMARY_PARTS <= blocks && blocks <= DITMOS_SUMMARY_BLOCKS, "FRNT.block", begin + 2,
        "must cut a window into 4 to 64 blocks");
    uint32_t weights = blocks + blocks % 2; // of a bin, cosines and sines each
    NEED(size == head + 4 * bins * weights, "FRNT.bytes", begin + 4, "does not fit bins and blocks");
    front->summary = (ditmos_summary_t) {
        .rows = front->window,
        .channels = (uint16_t)width,
        .block = (uint16_t)block,
        .blocks = (uint8_t)blocks,
        .bins = (uint8_t)bins,
        .table = (const int16_t *)(const void *)(p + head),
    };
    const int16_t *weight = front->summary.table;
    for (unsigned bin = 0; bin < bins; bin++) {
        uint32_t sums[2] = { 0, 0 };
        for (uint32_t i = 0; i < 2 * weights; i++, weight++) {
            sums[i >> 1 & 1] += (uint32_t)(*weight < 0 ? -*weight : *weight);
        }
        NEED(sums[0] <= DITMOS_SUMMARY_WEIGHT && sums[1] <= DITMOS_SUMMARY_WEIGHT, "FRNT.table",
            begin + head + 4 * weights * bin, "weighs more than 65535");
    }
    return ditmos_ok();
}

// Operation `index`, whose record starts at `at`. *width: channels of the rows before it, then after it.
static ditmos_status_t parse_operation(ditmos_frontend_t *front, const section_t *s, unsigned index, uint32_t at,
    uint32_t *width) {
    uint32_t begin = s->begin + at;
    NEED(s->size - at >= RECORD_SIZE, "FRNT.operation", begin, "cut short");
    const uint8_t *p = s->data + at;
    uint32_t size = ditmos_u32(p + 4);
    ditmos_operation_t *operation = &front->operations[index];
    *operation = (ditmos_operation_t) {
        .kind = p[0],
        .first = p[1],
        .second = ditmos_u16(p + 2),
        .channels = (uint16_t)*width,
    };
    NEED(DITMOS_SPECTRUM <= operation->kind && operation->kind <= DITMOS_READ_SUMMARY, "FRNT.kind", begin,
        "unknown: needs a newer firmware");
    NEED(RECORD_SIZE <= size && size <= s->size - at && size % 4 == 0, "FRNT.bytes", begin + 4,
        "must be a multiple of 4 within the section");
    if (operation->kind == DITMOS_SPECTRUM) {
        ditmos_status_t status = parse_spectrum(front, s, at, size);
        front->spectrum_at = (uint8_t)index;
        *width *= front->spectrum.bands;
        return status;
    }
    if (operation->kind >= DITMOS_SUMMARY) {
        return parse_summary(front, s, index, at, size, *width);
    }
    bool affine = operation->kind == DITMOS_AFFINE;
    NEED(size == RECORD_SIZE + (affine ? 8 * *width : 0), "FRNT.bytes", begin + 4, "does not fit the operation");
    NEED(operation->kind == DITMOS_NORM || operation->second == 0, "FRNT.parameter", begin + 2, "must be 0");
    switch (operation->kind) {
        case DITMOS_SPLIT:
            NEED(1 <= operation->first && operation->first <= 15, "FRNT.k", begin + 1, "must be 1 to 15");
            *width *= 2;
            break;
        case DITMOS_NORM:
            NEED(2 <= operation->first && operation->first <= 8, "FRNT.count", begin + 1, "must be 2 to 8");
            NEED(operation->second + (uint32_t)operation->first <= *width, "FRNT.first", begin + 2, "beyond the row");
            *width += 1;
            break;
        default:
            NEED(operation->first <= 1, "FRNT.parameter", begin + 1, "must be 0 or 1");
            if (affine) {
                return parse_affine(front, operation, s, index, at);
            }
            NEED(index + 1 == front->count, "FRNT.kind", begin, "Centre must come last");
            front->centre = true;
            front->centre_scale = operation->first == 1;
            break;
    }
    return ditmos_ok();
}

static ditmos_status_t parse_names(ditmos_frontend_t *front, const section_t *s, uint32_t size) {
    const uint8_t *p = s->data + HEADER_SIZE;
    NEED(size <= s->size - HEADER_SIZE, "FRNT.names", s->begin + 20, "cut short");
    uint32_t ends = 0;
    for (uint32_t i = 0; i < size; i++) {
        ends += p[i] == 0;
    }
    NEED(ends == front->channels + 1u && p[size - 1] == 0, "FRNT.names", s->begin + HEADER_SIZE,
        "must be units and a name for each channel");
    NEED(ditmos_is_text(p, p + size), "FRNT.names", s->begin + HEADER_SIZE, "not UTF-8, or a control character");
    front->names = (const char *)p;
    return ditmos_ok();
}

// Bytes of everything that is kept, and where each operation keeps its own.
static ditmos_status_t measure(ditmos_frontend_t *front, uint32_t begin) {
    ditmos_frontend_memory_t *memory = &front->memory;
    uint64_t state = 0;
    for (unsigned i = 0; i < front->count; i++) {
        ditmos_operation_t *operation = &front->operations[i];
        operation->state = (uint32_t)state;
        if (operation->kind == DITMOS_SPLIT) {
            state += 4u * operation->channels;
        } else if (i == front->own_at) {
            state += (sizeof(ditmos_affine_t) + sizeof(ditmos_sums_t)) * operation->channels;
        }
    }
    bool spectrum = front->spectrum_at < front->count;
    uint32_t width = spectrum ? front->operations[front->spectrum_at].channels : 0;
    bool keeps = ditmos_frontend_keeps_rows(front);
    uint64_t rows = keeps ? 2 * (uint64_t)front->row_channels * front->window : 0;
    uint64_t frame = 2 * (uint64_t)width * (spectrum ? front->spectrum.frame : 0);
    NEED(state + rows + frame < MAX_ARENA, "FRNT", begin, "keeps more than 16 MiB");
    memory->frame = padded((uint32_t)frame);
    memory->state = (uint32_t)state;
    memory->rows = padded((uint32_t)rows);
    memory->row = padded(2u * front->row_channels);
    unsigned bins = front->summary.bins;
    memory->features = bins ? padded(2 * ditmos_summary_size(front->row_channels, bins)) : 0;
    memory->work_size = spectrum ? DITMOS_SPECTRUM_WORK(front->spectrum.points) : 0;
    return ditmos_ok();
}

ditmos_status_t ditmos_frontend_parse(ditmos_frontend_t *front, const uint8_t *data, uint32_t begin, uint32_t size,
    unsigned window, unsigned channels, void *copy) {
    NEED(size >= HEADER_SIZE, "FRNT", begin, "cut short");
    section_t s = { .data = data + begin, .size = size, .begin = begin };
    if ((uintptr_t)s.data % 4 != 0) {
        s.data = memcpy(copy, s.data, size);
    }
    const uint8_t *p = s.data;
    *front = (ditmos_frontend_t) {
        .channels = ditmos_u16(p),
        .window = (uint16_t)window,
        .count = p[2],
        .spectrum_at = DITMOS_MAX_OPERATIONS,
        .own_at = DITMOS_MAX_OPERATIONS,
        .fs = ditmos_f32(p + 4),
        .scale = ditmos_f32(p + 8),
        .memory = { .kept = ditmos_u32(p + 12), .work = ditmos_u32(p + 16) },
    };
    NEED(1 <= front->channels && front->channels <= DITMOS_MAX_ROW, "FRNT.channels", begin, "must be 1 to 4096");
    NEED(1 <= front->count && front->count <= DITMOS_MAX_OPERATIONS, "FRNT.operations", begin + 2, "must be 1 to 8");
    NEED(p[3] == 0 && ditmos_u16(p + 22) == 0, "FRNT.reserved", begin + 3, "must be 0");
    NEED(ditmos_is_scale(front->fs), "FRNT.fs", begin + 4, "must be positive and finite");
    NEED(ditmos_is_scale(front->scale), "FRNT.scale", begin + 8, "must be positive and finite");
    NEED(front->memory.kept % 4 == 0, "FRNT.kept", begin + 12, "must be a multiple of 4");
    NEED(front->memory.work % 4 == 0, "FRNT.work", begin + 16, "must be a multiple of 4");
    uint32_t names = ditmos_u16(p + 20);
    ditmos_status_t status = parse_names(front, &s, names);
    uint32_t at = HEADER_SIZE + padded(names);
    uint32_t width = front->channels;
    for (unsigned i = 0; i < front->count && !status.field; i++) {
        NEED(at <= size, "FRNT.operation", begin + at, "cut short");
        status = parse_operation(front, &s, i, at, &width);
        if (!status.field) {
            NEED(width <= DITMOS_MAX_ROW, "FRNT.operation", begin + at, "more than 4096 channels");
            at += ditmos_u32(s.data + at + 4);
        }
    }
    if (status.field) {
        return status;
    }
    NEED(at == size, "FRNT", begin, "goes on after its operations");
    unsigned after = front->spectrum_at + 1u;
    NEED(!front->spectrum.wide || (after < front->count && front->operations[after].kind == DITMOS_AFFINE), "FRNT.wide",
        begin, "needs an Affine behind it");
    uint32_t read = front->reads_features ? ditmos_summary_size(width, front->summary.bins) : width;
    NEED(read == channels, "FRNT", begin, "rows have other channels than INPT");
    front->row_channels = (uint16_t)width;
    return measure(front, begin);
}
