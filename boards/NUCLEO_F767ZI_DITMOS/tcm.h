// Blocks of DTCM for C code: modtcm.c.
#ifndef DITMOS_TCM_H
#define DITMOS_TCM_H

#include "py/obj.h"

// An object that keeps `size` bytes at *data, aligned to 4, as long as it lives; MP_OBJ_NULL if there is no such place.
mp_obj_t tcm_block(size_t size, uint8_t **data);

#endif // DITMOS_TCM_H
