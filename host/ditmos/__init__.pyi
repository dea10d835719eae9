from ditmos.link.board import Board as Board
from ditmos.simulated.qemu import Simulator as Simulator

__version__: str
