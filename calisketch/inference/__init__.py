"""How a network is run: its precision and engine, its form for inference, its graph in ONNX."""
