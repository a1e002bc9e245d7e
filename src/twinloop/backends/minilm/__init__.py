"""all-MiniLM-L6-v2 in process: safetensors become an ONNX graph here, onnxruntime runs it, no torch anywhere."""
