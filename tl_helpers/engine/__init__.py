"""What the training loop need not show: its settings, progress, checkpoints, short memory, several processes."""
