"""What the training loop need not show: its arguments, progress, checkpoints, short memory, several processes."""
