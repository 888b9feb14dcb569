"""What knows nothing of norms: files, the state of modules."""
