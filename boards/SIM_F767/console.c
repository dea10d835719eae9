// The REPL's serial line: UART 0 with a receive interrupt, a ring buffer of the real board's size, and Ctrl-C.
//
// A UART at 115200 baud gives a program 22 ms before 260 bytes are full; qemu's is as fast as the host. So a full
// buffer first holds the host back: the byte stays in the UART, and qemu sends no more. Only a program that has not
// read for OVERRUN_MS loses bytes, as on the real board, and Ctrl-C still reaches it.

#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"

#include "board.h"

#define OVERRUN_MS (500)

static uint8_t rx_memory[BOARD_RX_BUFFER];
static ringbuf_t rx_buffer = {rx_memory, sizeof(rx_memory), 0, 0};
static volatile bool rx_held; // a byte waits in the UART for room in the buffer
static bool rx_dropping; // held too long: what does not fit is lost until something is read

static void overrun_timer(bool on) {
    SYSTICK_CSR = 0;
    if (on) {
        SYSTICK_RVR = TIMER_HZ / 1000 * OVERRUN_MS;
        SYSTICK_CVR = 0;
        SYSTICK_CSR = 7; // processor clock, interrupt, enable
    }
}

static void drain(void) {
    while (UART0->STATE & UART_RX_FULL) {
        if (ringbuf_free(&rx_buffer) == 0 && !rx_dropping) {
            rx_held = true;
            UART0->CTRL = UART_TX_ENABLE | UART_RX_ENABLE;
            overrun_timer(true);
            return;
        }
        uint8_t byte = UART0->DATA;
        if (byte == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
        } else {
            ringbuf_put(&rx_buffer, byte); // refuses where it is full
        }
    }
}

void console_rx_handler(void) {
    UART0->INTSTATUS = UART_INT_RX; // before draining: a byte that comes later raises a new interrupt
    drain();
}

static void accept(void) {
    rx_held = false;
    overrun_timer(false);
    UART0->CTRL = UART_TX_ENABLE | UART_RX_ENABLE | UART_RX_INTERRUPT;
    NVIC_ISPR = 1 << IRQ_UART0_RX; // the held byte's own interrupt is over
}

void console_overrun_handler(void) {
    rx_dropping = true;
    accept();
}

void console_init(void) {
    accept();
}

uintptr_t mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if ((flags & MP_STREAM_POLL_RD) && ringbuf_avail(&rx_buffer)) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

// What comes behind a Ctrl-C is not for the program that it interrupts. Bytes are 87 us apart on the real line, so a
// program that waits for input or runs bytecode is gone before the next one; here they come at once, and one is only
// handed out while no interrupt is due.
static int receive(void) {
    int byte = -1;
    __asm volatile ("cpsid i" ::: "memory");
    if (MP_STATE_MAIN_THREAD(mp_pending_exception) == MP_OBJ_NULL) {
        byte = ringbuf_get(&rx_buffer);
        if (byte < 0) {
            // With interrupts masked, none can come between the look and the sleep; a pending one still ends WFI.
            __asm volatile ("wfi");
        }
    }
    __asm volatile ("cpsie i" ::: "memory");
    return byte;
}

int mp_hal_stdin_rx_chr(void) {
    for (;;) {
        mp_event_handle_nowait();
        int byte = receive();
        if (byte >= 0) {
            rx_dropping = false;
            if (rx_held) {
                accept();
            }
            return byte;
        }
        ticks_woken();
    }
}

mp_uint_t mp_hal_stdout_tx_strn(const char *str, size_t len) {
    for (size_t i = 0; i < len; i++) {
        while (UART0->STATE & UART_TX_FULL) {
        }
        UART0->DATA = (uint8_t)str[i];
    }
    return len;
}
