"""Model files, `.dtm`: docs/format.md."""

from ditmos.modelfile.reader import ModelFileError, decode, read_model
from ditmos.modelfile.writer import encode, write_model

__all__ = ["ModelFileError", "decode", "encode", "read_model", "write_model"]
