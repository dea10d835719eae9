#include "boards/NUCLEO_F767ZI/stm32f7xx_hal_conf.h"
