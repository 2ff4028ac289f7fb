"""What the training loop need not show: its settings, progress, checkpoints, short memory, several processes.

Lessons 03 and 11 open parts of it.
"""
