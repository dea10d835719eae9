// Test program of the emulated NUCLEO-F767ZI: one command a byte on USART3, one line in answer. See test_emulator.py.
#include <stdio.h>
#include <string.h>

#include "chip.h"
#include "engine.h"

#define ROMFS ((const uint8_t *)0x08100000)
#define SECTOR_11 ((volatile uint32_t *)0x081C0000)
#define RING (32)

static volatile uint32_t milliseconds;
static uint8_t ring[RING];
static volatile uint32_t ring_head, ring_tail;
static volatile uint32_t overruns;
static volatile char order[16];
static volatile uint32_t order_count;

// ----- line ---------------------------------------------------------------------------------------------------------

// As MicroPython's driver does it: with the ring full, the interrupt is switched off and bytes stay in the USART.
void USART3_Handler(void) {
    uint32_t status = USART_ISR;
    if (status & 1 << 5) {
        uint32_t next = (ring_head + 1) % RING;
        if (next != ring_tail) {
            ring[ring_head] = (uint8_t)USART_RDR;
            ring_head = next;
        } else {
            USART_CR1 &= ~(1u << 5);
        }
    }
    if (status & 1 << 3) {
        overruns++;
        USART_ICR = 1 << 3;
    }
}

static int take(void) {
    if (ring_head == ring_tail) {
        return -1;
    }
    int byte = ring[ring_tail];
    ring_tail = (ring_tail + 1) % RING;
    USART_CR1 |= 1 << 5;
    return byte;
}

static void put_line(const char *line) {
    for (; *line; line++) {
        while (!(USART_ISR & 1 << 7)) {
        }
        USART_TDR = (uint8_t)*line;
    }
    while (!(USART_ISR & 1 << 6)) {
    }
}

static void sleep_ms(uint32_t ms) {
    uint32_t start = milliseconds;
    while (milliseconds - start < ms) {
        __asm volatile ("wfi");
    }
}

// ----- exceptions ---------------------------------------------------------------------------------------------------

static void mark(char what) {
    order[order_count++ % sizeof(order)] = what;
}

void SysTick_Handler(void) {
    milliseconds++;
}

// Overwrites what a caller-saved register held, as any handler with floats does.
void PendSV_Handler(void) {
    mark('P');
    __asm volatile ("vmov.f32 s0, #2.0\n vmov.f32 s15, #3.0" ::: "s0", "s15");
}

// More urgent than PendSV, which it raises: PendSV must run after it, not within it.
void spare_handler(void) {
    mark('(');
    SCB_ICSR = 1 << 28;
    __asm volatile ("dsb\n isb");
    for (volatile int i = 0; i < 2000; i++) {
    }
    mark(')');
}

void HardFault_Handler(void) {
    put_line("fault\n");
    SCB_AIRCR = 0x05FA0004;
    for (;;) {
    }
}

static void settle(void) {
    for (volatile int i = 0; i < 2000; i++) {
    }
}

static void show_exceptions(char *line) {
    order_count = 0;
    memset((char *)order, 0, sizeof(order));
    register float kept __asm ("s0") = 1.0f;
    __asm volatile ("" : "+t" (kept));
    NVIC_ISPR0 = 1 << SPARE_IRQ;
    for (int i = 0; i < 20000; i++) {
        __asm volatile ("" : "+t" (kept));
    }
    int float_kept = kept == 1.0f;
    __asm volatile ("cpsid i");
    NVIC_ISPR0 = 1 << SPARE_IRQ;
    settle();
    mark('|');
    __asm volatile ("cpsie i");
    settle();
    __asm volatile ("msr basepri, %0" :: "r" (0x20)); // masks the spare interrupt (0x40) and PendSV
    NVIC_ISPR0 = 1 << SPARE_IRQ;
    settle();
    mark('|');
    __asm volatile ("msr basepri, %0" :: "r" (0));
    settle();
    sprintf(line, "%s %d\n", (const char *)order, float_kept);
}

// ----- flash, counters, model -----------------------------------------------------------------------------------------

static void flash_wait(void) {
    while (FLASH_SR & 1 << 16) {
    }
}

static void show_flash(char *line) {
    uint32_t before = SECTOR_11[0];
    uint32_t start = milliseconds;
    FLASH_KEYR = 0x45670123;
    FLASH_KEYR = 0xCDEF89AB;
    FLASH_CR = 1 << 1 | 11 << 3 | 2 << 8;
    FLASH_CR |= 1 << 16;
    flash_wait();
    uint32_t erased = SECTOR_11[0], took = milliseconds - start;
    FLASH_CR = 2 << 8 | 1;
    SECTOR_11[0] = before == 0xFFFFFFFF ? 0x12345678 : before - 1;
    flash_wait();
    FLASH_CR = 1u << 31;
    sprintf(line, "%08x %08x %08x %u\n", (unsigned)before, (unsigned)erased, (unsigned)SECTOR_11[0], (unsigned)took);
}

// A loop of 3 instructions, 1000 times.
static void show_count(char *line) {
    ITM_STIM0 = 1;
    DWT_CTRL |= 1;
    uint32_t start = DWT_CYCCNT;
    uint32_t n = 1000;
    __asm volatile ("1: nop\n subs %0, #1\n bne 1b" : "+r" (n) :: "cc");
    uint32_t spent = DWT_CYCCNT - start;
    ITM_STIM0 = 0;
    sprintf(line, "%u\n", (unsigned)spent);
}

// Memory for the tables of one model.
static void *allocate(size_t size) {
    static uint64_t tables[1024];
    static size_t used;
    void *p = &tables[used];
    used += (size + 7) / 8;
    return used <= sizeof(tables) / sizeof(tables[0]) ? p : NULL;
}

// ROMFS holds: size and bytes of a model file, then windows with the logits that are expected (ditmos.bench.golden.vectors).
static void show_model(char *line) {
    static ditmos_model_t model;
    static ditmos_engine_t engine;
    static int8_t arena[16384] __attribute__((aligned(4)));
    uint32_t size = ditmos_u32(ROMFS);
    const uint8_t *vectors = ROMFS + 4 + ((size + 3) & ~3u);
    ditmos_status_t status = ditmos_model_parse(&model, ROMFS + 4, size, allocate);
    if (status.field || model.plan.arena_size > sizeof(arena)) {
        sprintf(line, "refused: %s\n", status.field ? status.field : "arena");
        return;
    }
    const ditmos_plan_t *plan = &model.plan;
    unsigned wrong = 0;
    ditmos_engine_init(&engine, &model, arena, ditmos_model_weights(&model, -1), allocate);
    uint32_t count = ditmos_u32(vectors);
    const int8_t *next = (const int8_t *)vectors + 4;
    for (uint32_t i = 0; i < count; i++) {
        ITM_STIM0 = i == 0 ? 2 : 0;
        ditmos_engine_load(&engine, next);
        next += model.window * model.channels;
        for (unsigned s = 0; s < plan->select_slices; s++) {
            ditmos_engine_run(&engine, s);
        }
        ITM_STIM0 = i == 0 ? 3 : 0;
        wrong += memcmp(arena + plan->buffers[plan->selector_logits].offset, next, model.selector_outputs) != 0;
        next += model.selector_outputs;
        for (unsigned k = 0; k < model.classifiers; k++, next += model.classes) {
            ditmos_engine_choose(&engine, k, ditmos_model_weights(&model, (int)k));
            for (unsigned s = plan->select_slices; s < plan->slice_count; s++) {
                ditmos_engine_run(&engine, s);
            }
            wrong += memcmp(arena + plan->buffers[plan->logits].offset, next, model.classes) != 0;
        }
    }
    sprintf(line, "%u windows, %u wrong\n", (unsigned)count, wrong);
}

// ----- commands -------------------------------------------------------------------------------------------------------

static void answer(int command) {
    static char line[64];
    line[0] = 0;
    switch (command) {
        case 'p':
            strcpy(line, "pong\n");
            break;
        case 's': // sleep, then tell how many bytes have come meanwhile
            sleep_ms(20);
            sprintf(line, "%u\n", (unsigned)((ring_head + RING - ring_tail) % RING));
            break;
        case 'o':
            sprintf(line, "%u\n", (unsigned)overruns);
            break;
        case 't':
            sleep_ms(100);
            sprintf(line, "%u\n", (unsigned)milliseconds);
            break;
        case 'x':
            show_exceptions(line);
            break;
        case 'f':
            show_flash(line);
            break;
        case 'c':
            show_count(line);
            break;
        case 'm':
            show_model(line);
            break;
        case 'u':
            sprintf(line, "%u\n", (unsigned)TIM2_CNT);
            break;
        case 'h':
            sprintf(line, "%u\n", (unsigned)REGISTER(0x60000000));
            break;
        case 'r':
            SCB_AIRCR = 0x05FA0004;
            for (;;) {
            }
    }
    put_line(line);
}

int main(void) {
    SYST_RVR = CORE_HZ / 1000 - 1;
    SYST_CSR = 7;
    SCB_SHPR3 = 0xF0u << 16; // PendSV last
    NVIC_IPR(SPARE_IRQ) = 0x40;
    NVIC_ISER0 = 1 << SPARE_IRQ;
    NVIC_ISER1 = 1 << (USART3_IRQ - 32);
    USART_BRR = 54000000 / 115200;
    USART_CR1 = 1 | 1 << 2 | 1 << 3 | 1 << 5;
    put_line(RCC_CSR & 1 << 28 ? "ready again\n" : "ready\n");
    for (;;) {
        int command = take();
        if (command >= 0) {
            answer(command);
        } else {
            __asm volatile ("wfi");
        }
    }
}
