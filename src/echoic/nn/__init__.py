"""Networks in torch. What trains or converts a model imports them; a search runs ONNX and never does."""
