// libFuzzer target: parse, check and dry-run whatever comes, with the length and checksum of the header put right.
//   clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -Icmodule $(grep -L model_object.h cmodule/*.c) \
//       tests/cmodule/fuzz_model.c -o build/fuzz_model
//   python -m ditmos.bench.golden build/corpus && rm build/corpus/*.vec && build/fuzz_model build/corpus
#include "blocks.h"
#include "engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t crc32(const uint8_t *p, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

static void put_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ditmos_model_t model;
    uint8_t *file = copy(data, size);
    if (size >= 16) {
        put_u32(file + 8, (uint32_t)size);
        put_u32(file + 12, crc32(file + 16, size - 16));
    }
    if (ditmos_model_parse(&model, file, (uint32_t)size, take).field == NULL) {
        for (int k = -1; k < model.classifiers; k++) {
            uint32_t bytes = k < 0 ? model.selector_weights_size : model.classifier_stride;
            uint8_t *block = copy(ditmos_model_weights(&model, k), bytes);
            ditmos_model_check_weights(&model, file, k, block);
            free(block);
        }
    }
    free(model.plan.slices);
    free(model.front);
    free(model.forest);
    free(file);
    return 0;
}
