"""Layers over windows of maps: convolution, pooling, upsampling, and their forms on clips."""
