#include "file.h"

bool ditmos_is_text(const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        uint8_t lead = *p++;
        if (lead < 0x80) {
            if ((0 < lead && lead < 0x20) || lead == 0x7f) {
                return false;
            }
            continue;
        }
        if (lead == 0xc2 && p < end && *p < 0xa0) { // U+0080 to U+009F
            return false;
        }
        unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || end - p < (int)more) {
            return false;
        }
        // The second byte also excludes overlong forms, surrogates and what is beyond U+10FFFF.
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (unsigned i = 0; i < more; i++, p++) {
            if (*p < low || *p > high) {
                return false;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}
