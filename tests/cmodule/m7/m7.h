// What start.c gives to a bare-metal program on the simulated Cortex-M7.
#ifndef DITMOS_TESTS_M7_H
#define DITMOS_TESTS_M7_H

#include <stdint.h>

void m7_print(const char *text);
_Noreturn void m7_exit(uint32_t code);
void m7_timer_start(void);
uint32_t m7_timer(void);
// Instructions between two readings of the timer.
uint32_t m7_instructions(uint32_t before, uint32_t after);

#endif // DITMOS_TESTS_M7_H
