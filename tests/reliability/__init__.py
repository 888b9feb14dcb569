"""Load, faults and hostile input: what docs/reliability.md promises."""
