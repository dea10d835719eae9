// What start.c gives to a bare-metal program on the simulated Cortex-M7.
#ifndef DITMOS_BENCH_M7_H
#define DITMOS_BENCH_M7_H

#include <stdint.h>

// Where the host loads what a program works on: PSRAM.
#define M7_INPUT ((const uint8_t *)0x60000000)

void m7_print(const char *text);
_Noreturn void m7_exit(uint32_t code);
void m7_timer_start(void);
uint32_t m7_timer(void);
// Instructions between two readings of the timer.
uint32_t m7_instructions(uint32_t before, uint32_t after);

#endif // DITMOS_BENCH_M7_H
