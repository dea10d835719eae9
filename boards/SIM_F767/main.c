// Start-up, interrupt vectors and the REPL loop.

#include "py/compile.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/runtime.h"
#include "shared/readline/readline.h"
#include "shared/runtime/pyexec.h"

#include "board.h"

extern const uint32_t isr_vector[16]; // from the port: exceptions only, no interrupts
extern uint32_t _heap_start, _heap_end, _estack, _sstack;

static uint32_t vector_table[64] __attribute__((aligned(256)));

static void board_init(void) {
    SCB_CPACR |= 0xF << 20; // FPU
    __asm volatile ("dsb\n isb");
    for (size_t i = 0; i < 16; i++) {
        vector_table[i] = isr_vector[i];
    }
    vector_table[EXCEPTION_SYSTICK] = (uint32_t)console_overrun_handler;
    vector_table[16 + IRQ_UART0_RX] = (uint32_t)console_rx_handler;
    vector_table[16 + IRQ_TIMER0] = (uint32_t)ticks_wrap_handler;
    vector_table[16 + IRQ_TIMER1] = (uint32_t)ticks_wake_handler;
    SCB_VTOR = (uint32_t)vector_table;
    NVIC_ISER = 1 << IRQ_UART0_RX | 1 << IRQ_TIMER0 | 1 << IRQ_TIMER1;
    ticks_init();
    console_init();
}

// machine.reset(); `status` because it stands in for exit().
void board_reset(int status) {
    (void)status;
    SCB_AIRCR = 0x05FA0004;
    for (;;) {
    }
}

int main(void) {
    board_init();
    for (;;) {
        mp_cstack_init_with_top(&_estack, (char *)&_estack - (char *)&_sstack);
        gc_init(&_heap_start, &_heap_end);
        mp_init();
        readline_init0();
        pyexec_frozen_module("_boot.py", false);
        int result = pyexec_file_if_exists("boot.py");
        if (!(result & PYEXEC_FORCED_EXIT) && pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL) {
            pyexec_file_if_exists("main.py");
        }
        do {
            result = pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl();
        } while (result == 0);
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}
