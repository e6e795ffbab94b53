"""A CAM network on onnxruntime: pictures in, class activation maps out."""
