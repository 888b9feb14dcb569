"""The reference in PyTorch: any device, any dtype, any memory format."""
