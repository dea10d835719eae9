// Reset, faults, semihosting and the instruction counter of the bare-metal bench.
#include "bare.h"

#include <string.h>

extern uint32_t _stack_top[], _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[];

int main(void);

static int32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return (int32_t)r0;
}

void bare_print(const char *text) {
    semihost(0x04, text); // SYS_WRITE0
}

_Noreturn void bare_exit(uint32_t code) {
    uint32_t arguments[2] = { 0x20026, code }; // ADP_Stopped_ApplicationExit
    semihost(0x20, arguments); // SYS_EXIT_EXTENDED
    for (;;) {
    }
}

// CMSDK timer 0 counts down; with `-icount shift=8` an instruction takes 256 ns.
#define TIMER ((volatile uint32_t *)BARE_TIMER)

void bare_timer_start(void) {
    TIMER[2] = 0xffffffff; // reload
    TIMER[1] = 0xffffffff;
    TIMER[0] = 1;
}

uint32_t bare_timer(void) {
    return TIMER[1];
}

uint32_t bare_instructions(uint32_t before, uint32_t after) {
    return (uint32_t)(((uint64_t)(before - after) * BARE_TICK + 128) / 256);
}

void reset(void);

void reset(void) {
    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; // floating point on
    __asm__ volatile ("dsb\nisb");
    memcpy(_data_start, _data_load, (size_t)((char *)_data_end - (char *)_data_start));
    memset(_bss_start, 0, (size_t)((char *)_bss_end - (char *)_bss_start));
    bare_exit((uint32_t)main());
}

static void fault(void) {
    bare_print("fault\n");
    bare_exit(3);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    _stack_top, reset, fault, fault, fault, fault, fault,
};
