"""Pictures: read, resampled, cropped, prepared for a net, and drawn."""
