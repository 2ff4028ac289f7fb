"""What the ground floor need not show: checks of input, how models are taken apart, checkpoints, memory, drawing, and more.

Lessons 03 and 11 open parts of it.
"""
