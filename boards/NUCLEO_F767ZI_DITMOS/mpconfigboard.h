// MicroPython's NUCLEO_F767ZI with the differences below; the clock (216 MHz), pins and LEDs are the stock board's.
#include "boards/NUCLEO_F767ZI/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "NUCLEO-F767ZI with DiTMoS"

// Copies the hot kernels to ITCM, then runs the stock board's early init.
#undef MICROPY_BOARD_EARLY_INIT
#define MICROPY_BOARD_EARLY_INIT ditmos_board_early_init
void ditmos_board_early_init(void);

// No Ethernet: its descriptors and lwIP would take RAM from the heap.
#undef MICROPY_HW_ETH_MDC
#undef MICROPY_HW_ETH_MDIO
#undef MICROPY_HW_ETH_RMII_REF_CLK
#undef MICROPY_HW_ETH_RMII_CRS_DV
#undef MICROPY_HW_ETH_RMII_RXD0
#undef MICROPY_HW_ETH_RMII_RXD1
#undef MICROPY_HW_ETH_RMII_TX_EN
#undef MICROPY_HW_ETH_RMII_TXD0
#undef MICROPY_HW_ETH_RMII_TXD1
#define MICROPY_PY_NETWORK (0)
#define MICROPY_PY_SOCKET (0)

// A microphone: I2S2 on D18 (PB13, clock), D19 (PB12, word select), D17 (PB15, data), which Ethernet has on other boards.
#define MICROPY_HW_I2S2 (1)

// Stops I2S before a soft reset takes away the heap that its DMA writes to; the port does not.
struct _boardctrl_state_t;
void ditmos_board_start_soft_reset(struct _boardctrl_state_t *state);
#define MICROPY_BOARD_START_SOFT_RESET ditmos_board_start_soft_reset

// ROMFS: the second MiB of flash, sectors 8 to 11, mounted at /rom. The linker script gives its place.
#define MICROPY_HW_ROMFS_ENABLE_INTERNAL_FLASH (1)
#define MICROPY_HW_ROMFS_ENABLE_PART0 (1)

// Two windows of the largest streamed kind fit while Python is at work on a third.
#define MICROPY_HW_UART_REPL_RXBUF (2048)
#define MICROPY_HW_USB_CDC_RX_DATA_SIZE (2048)

// USB is a serial port and nothing else: a disk that a host caches and the board writes too gets corrupted.
#define MICROPY_HW_USB_MSC (0)
// `pyb.usb_mode("VCP+VCP")` in boot.py gives a second port, for data beside the REPL.
#define MICROPY_HW_USB_CDC_NUM (2)
#define MICROPY_HW_USB_PRODUCT_FS_STRING "DiTMoS NUCLEO-F767ZI"
