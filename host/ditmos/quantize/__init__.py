"""Float network -> `QuantizedModel`: folding, calibration, fine-tuning. Arithmetic: docs/arithmetic.md."""

from ditmos.quantize.quantize import Quantization, quantize

__all__ = ["Quantization", "quantize"]
