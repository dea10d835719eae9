// Hardware of qemu's mps2-an500 that this board uses: CMSDK (Cortex-M System Design Kit) peripherals and the NVIC.
#ifndef DITMOS_SIM_BOARD_H
#define DITMOS_SIM_BOARD_H

#include <stdint.h>

typedef struct {
    volatile uint32_t DATA;
    volatile uint32_t STATE;
    volatile uint32_t CTRL;
    volatile uint32_t INTSTATUS; // write 1 to clear
} cmsdk_uart_t;

typedef struct {
    volatile uint32_t CTRL;
    volatile uint32_t VALUE; // counts down at TIMER_HZ
    volatile uint32_t RELOAD;
    volatile uint32_t INTSTATUS; // write 1 to clear
} cmsdk_timer_t;

#define TIMER0 ((cmsdk_timer_t *)0x40000000)
#define TIMER1 ((cmsdk_timer_t *)0x40001000)
#define UART0 ((cmsdk_uart_t *)0x40004000)
#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CSR REGISTER(0xE000E010)
#define SYSTICK_RVR REGISTER(0xE000E014)
#define SYSTICK_CVR REGISTER(0xE000E018)
#define NVIC_ISER REGISTER(0xE000E100)
#define NVIC_ISPR REGISTER(0xE000E200)
#define SCB_VTOR REGISTER(0xE000ED08)
#define SCB_AIRCR REGISTER(0xE000ED0C)
#define SCB_CPACR REGISTER(0xE000ED88)

#define TIMER_HZ (25000000)
#define TIMER_ENABLE (1 << 0)
#define TIMER_INTERRUPT (1 << 3)
#define UART_TX_FULL (1 << 0)
#define UART_RX_FULL (1 << 1)
#define UART_TX_ENABLE (1 << 0)
#define UART_RX_ENABLE (1 << 1)
#define UART_RX_INTERRUPT (1 << 3)
#define UART_INT_RX (1 << 1)

#define EXCEPTION_SYSTICK (15)
#define IRQ_UART0_RX (0)
#define IRQ_TIMER0 (8)
#define IRQ_TIMER1 (9)

// Bytes the console holds, as USART3 on the NUCLEO_F767ZI (MICROPY_HW_UART_REPL_RXBUF of the stm32 port).
#ifndef BOARD_RX_BUFFER
#define BOARD_RX_BUFFER (260)
#endif

// External memory that stands for the second half of the STM32's flash; with a file behind it (`ditmos sim --flash`)
// its contents outlive qemu. ROMFS has 15 MiB, where the real board has 1 MiB, so that whole test sets fit. The
// filesystem behind it is in frozen/_boot.py.
#define ROMFS_START (0x60000000)
#define ROMFS_SIZE (0x00f00000)

void console_init(void);
void console_rx_handler(void);
void console_overrun_handler(void);
void ticks_init(void);
void ticks_woken(void);
void ticks_wrap_handler(void);
void ticks_wake_handler(void);
void board_reset(int status);

#endif // DITMOS_SIM_BOARD_H
