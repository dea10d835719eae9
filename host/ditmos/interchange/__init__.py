"""Networks of other tools, ONNX and TFLite, as models of this project: `ditmos import-model`."""
