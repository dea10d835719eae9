// Time, from CMSDK timer 0 that runs freely at 25 MHz. Nothing interrupts periodically, so that a count of
// instructions counts nothing else.

#include "py/mphal.h"
#include "py/runtime.h"
#include "lib/oofatfs/ff.h"
#include "shared/timeutils/timeutils.h"

#include "board.h"

static volatile uint32_t wraps;

// Where the count of instructions started from when the core last woke up.
static uint64_t woken_ticks;
static uint32_t woken_count;

void ticks_init(void) {
    TIMER0->CTRL = 0;
    TIMER0->RELOAD = 0xffffffff;
    TIMER0->VALUE = 0xffffffff;
    TIMER0->CTRL = TIMER_ENABLE | TIMER_INTERRUPT;
}

void ticks_wrap_handler(void) {
    TIMER0->INTSTATUS = 1;
    wraps++;
}

// Units of 40 ns since the start. A wrap is counted here when its interrupt has not been taken yet: qemu takes none in
// the middle of straight code, and time would go back by 172 s.
static uint64_t ticks(void) {
    uint32_t masked;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (masked) :: "memory");
    uint32_t low = 0xffffffff - TIMER0->VALUE;
    uint32_t high = wraps;
    if ((TIMER0->INTSTATUS & 1) && low < 0x80000000) {
        high++;
    }
    __asm volatile ("msr primask, %0" :: "r" (masked) : "memory");
    return (uint64_t)high << 32 | low;
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks() / (TIMER_HZ / 1000000);
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks() / (TIMER_HZ / 1000);
}

// Units of 256 ns. Under `qemu -icount shift=8`, where every instruction takes exactly that, differences are numbers of
// instructions executed: the place of the real board's cycle counter. They are exact where the core did not sleep in
// between: a sleep lasts any time, so each starts a new count that the timer's steps of 40 ns are rounded from.
mp_uint_t mp_hal_ticks_cpu(void) {
    return woken_count + (uint32_t)(((ticks() - woken_ticks) * 40 + 128) >> 8);
}

// To be called after WFI, interrupts enabled: what woke the core may have been a wrap of the timer.
void ticks_woken(void) {
    woken_count = mp_hal_ticks_cpu();
    woken_ticks = ticks();
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t end = ticks() + (uint64_t)us * (TIMER_HZ / 1000000);
    while (ticks() < end) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t end = ticks() + (uint64_t)ms * (TIMER_HZ / 1000);
    for (;;) {
        mp_event_handle_nowait();
        uint64_t now = ticks();
        if (now >= end) {
            return;
        }
        ticks_wait((end - now) / (TIMER_HZ / 1000));
    }
}

void ticks_wake_handler(void) {
    TIMER1->INTSTATUS = 1;
}

// Sleep until an interrupt, at most `timeout_ms` (negative: no limit of the caller's). An interrupt may slip in
// before WFI, so no sleep is longer than 10 ms.
void ticks_wait(int timeout_ms) {
    uint32_t sleep_ms = timeout_ms < 0 || timeout_ms > 10 ? 10 : timeout_ms;
    if (sleep_ms == 0) {
        return;
    }
    TIMER1->CTRL = 0;
    TIMER1->RELOAD = TIMER1->VALUE = sleep_ms * (TIMER_HZ / 1000);
    TIMER1->CTRL = TIMER_ENABLE | TIMER_INTERRUPT;
    __asm volatile ("wfi");
    ticks_woken();
    TIMER1->CTRL = 0;
}

uint64_t mp_hal_time_ns(void) {
    return ticks() * 40;
}

// The board has no clock that knows the date: files are of 1 January 2025.
DWORD get_fattime(void) {
    return (2025 - 1980) << 25 | 1 << 21 | 1 << 16;
}
