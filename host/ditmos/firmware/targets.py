"""The firmwares that can be built, and where a built one lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ditmos.errors import DitmosError
from ditmos.paths import BUILD


@dataclass(frozen=True)
class Target:
    """How to build one firmware.

    port: folder under ``ports/``. output: the file that make leaves in its build folder. tools: programs the build
    needs, the compiler last. arguments: for make, beyond the common ones. board: folder whose makefiles are part of
    the build. submodules: of MicroPython's git that the port needs, in any version. stock: MicroPython as it is,
    without our module.
    """

    name: str
    port: str
    output: str
    tools: tuple[str, ...]
    arguments: tuple[str, ...]
    board: str = ""
    submodules: tuple[str, ...] = ()
    stock: bool = False

    @property
    def folder(self) -> Path:
        """Where make works."""
        return BUILD / "firmware" / self.name

    @property
    def version_file(self) -> Path:
        """Holds the version of ditmos that the built firmware carries."""
        return self.folder / "ditmos-version"

    @property
    def provenance_file(self) -> Path:
        """Says which MicroPython the built firmware is of: `ditmos.firmware.provenance.Provenance` as JSON."""
        return self.folder / "micropython.json"

    def built(self) -> Path:
        """The file that the last build made.

        Raises:
            DitmosError: there is none.
        """
        path = self.folder / self.output
        if not path.is_file():
            raise DitmosError(f"{path}: not built yet; run: ditmos firmware build {self.name}")
        return path


UNIX = Target(
    name="unix",
    port="unix",
    output="micropython",
    tools=("make", "gcc"),
    arguments=(
        "VARIANT=standard",
        "MICROPY_PY_FFI=0",
        "MICROPY_PY_SSL=0",
        "MICROPY_SSL_MBEDTLS=0",
        "MICROPY_PY_BTREE=0",
        "MICROPY_PY_BLUETOOTH=0",
    ),
)

SIM = Target(
    name="sim",
    port="qemu",
    output="firmware.elf",
    tools=("make", "arm-none-eabi-gcc"),
    arguments=("BOARD=SIM_F767",),
    board="boards/SIM_F767",
)

NUCLEO = Target(
    name="nucleo",
    port="stm32",
    output="firmware.elf",
    tools=("make", "arm-none-eabi-gcc"),
    arguments=(),
    board="boards/NUCLEO_F767ZI_DITMOS",
    submodules=("lib/stm32lib", "lib/tinyusb", "lib/CMSIS_6"),
)

# MicroPython's own boards for qemu, as they are: smaller cores than ours, on the portable kernels.
CORTEX_M3 = Target("cortex-m3", "qemu", "firmware.elf", SIM.tools, ("BOARD=MPS2_AN385",))
CORTEX_M0 = Target("cortex-m0", "qemu", "firmware.elf", SIM.tools, ("BOARD=MICROBIT",))
# The same without our module, for its native form. The Cortex-M0 is told to load native code, as MicroPython does on
# boards that have one.
STOCK_M3 = Target("stock-m3", "qemu", "firmware.elf", SIM.tools, ("BOARD=MPS2_AN385",), stock=True)
STOCK_M0 = Target(
    name="stock-m0",
    port="qemu",
    output="firmware.elf",
    tools=SIM.tools,
    arguments=("BOARD=MICROBIT", "CFLAGS_EXTRA=-DMICROPY_EMIT_THUMB=1 -DMICROPY_EMIT_THUMB_ARMV7M=0"),
    stock=True,
)

TARGETS = {target.name: target for target in (UNIX, SIM, NUCLEO, CORTEX_M3, CORTEX_M0, STOCK_M3, STOCK_M0)}
NUCLEO_IMAGE = BUILD / "nucleo"  # the NUCLEO's image in every form, checked


def target(name: str) -> Target:
    """Raises DitmosError for a name that is none."""
    if name not in TARGETS:
        raise DitmosError(f"firmware target {name!r}, expected one of {', '.join(TARGETS)}")
    return TARGETS[name]


def nucleo_image(kind: str) -> Path:
    """``build/nucleo/firmware.KIND`` of the last build.

    Raises:
        DitmosError: nothing has been built.
    """
    path = NUCLEO_IMAGE / f"firmware.{kind}"
    if not path.is_file():
        raise DitmosError(f"{path}: not built yet; run: ditmos firmware build nucleo --micropython DIR")
    return path
