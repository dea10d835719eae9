// Start of the board: hot kernels to ITCM before anything can call them.

#include <string.h>

#include "py/mphal.h"

// Defined in the linker script.
extern uint8_t _ditmos_itcm_start[], _ditmos_itcm_load[], _ditmos_itcm_size[];

void ditmos_board_early_init(void) {
    memcpy(_ditmos_itcm_start, _ditmos_itcm_load, (size_t)_ditmos_itcm_size);
    __DSB();
    __ISB();
    NUCLEO_F767ZI_board_early_init();
}
