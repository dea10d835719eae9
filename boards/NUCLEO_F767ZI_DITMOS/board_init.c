// Start of the board: hot kernels to ITCM before anything can call them. Memory for the weights in use.

#include <string.h>

#include "py/mphal.h"
#include "py/mpstate.h"
#include "py/runtime.h"
#include "boardctrl.h"
#include "tcm.h"

// Defined in the linker script.
extern uint8_t _ditmos_itcm_start[], _ditmos_itcm_load[], _ditmos_itcm_size[];

void ditmos_board_early_init(void) {
    memcpy(_ditmos_itcm_start, _ditmos_itcm_load, (size_t)_ditmos_itcm_size);
    __DSB();
    __ISB();
    NUCLEO_F767ZI_board_early_init();
}

void ditmos_board_start_soft_reset(boardctrl_state_t *state) {
    boardctrl_start_soft_reset(state);
    for (size_t i = 0; i < MICROPY_HW_MAX_I2S; i++) {
        if (MP_STATE_PORT(machine_i2s_obj)[i] != NULL) {
            mp_obj_t deinit[2];
            mp_load_method(MP_OBJ_FROM_PTR(MP_STATE_PORT(machine_i2s_obj)[i]), MP_QSTR_deinit, deinit);
            mp_call_method_n_kw(0, 0, deinit);
        }
    }
}

// Called by the `_ditmos` module: flash has wait states, so weights of a model in flash are used through a copy here.
mp_obj_t ditmos_fast_block(const void *file, size_t size, uint8_t **data) {
    bool in_flash = (uintptr_t)file >= FLASHAXI_BASE && (uintptr_t)file < FLASHAXI_BASE + (2u << 20);
    return in_flash ? tcm_block(size, data) : MP_OBJ_NULL;
}
