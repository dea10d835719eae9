// What start.c gives to a bare-metal program on a simulated core.
#ifndef DITMOS_BENCH_BARE_H
#define DITMOS_BENCH_BARE_H

#include <stdint.h>

// Where the host loads what a program works on: PSRAM.
#define BARE_INPUT ((const uint8_t *)BARE_PSRAM)

void bare_print(const char *text);
_Noreturn void bare_exit(uint32_t code);
void bare_timer_start(void);
uint32_t bare_timer(void);
// Instructions between two readings of the timer.
uint32_t bare_instructions(uint32_t before, uint32_t after);

#endif // DITMOS_BENCH_BARE_H
