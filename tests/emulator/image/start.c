// Vector table and start-up.
#include "chip.h"

extern uint32_t _estack[], _sidata[], _sdata[], _edata[], _sbss[], _ebss[], _siitcm[], _sitcm[], _eitcm[];
extern int main(void);
extern void HardFault_Handler(void), PendSV_Handler(void), SysTick_Handler(void), USART3_Handler(void),
    spare_handler(void);

static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from) {
    while (to < end) {
        *to++ = *from++;
    }
}

void Reset_Handler(void) {
    SCB_CPACR |= 0xf << 20; // floating point
    __asm volatile ("dsb\n isb");
    copy(_sitcm, _eitcm, _siitcm);
    copy(_sdata, _edata, _sidata);
    for (uint32_t *p = _sbss; p < _ebss; p++) {
        *p = 0;
    }
    main();
    for (;;) {
    }
}

__attribute__((section(".isr_vector"), used)) static void *const vectors[16 + USART3_IRQ + 1] = {
    [0] = _estack,
    [1] = Reset_Handler,
    [3] = HardFault_Handler,
    [14] = PendSV_Handler,
    [15] = SysTick_Handler,
    [16 + SPARE_IRQ] = spare_handler,
    [16 + USART3_IRQ] = USART3_Handler,
};
