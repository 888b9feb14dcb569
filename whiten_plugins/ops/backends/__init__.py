"""The same mathematics in PyTorch, C++ and Triton."""
