"""What belongs to the lessons: checks of exercises, experiments, and the pretraining of the backbones.

Lessons 00 to 14 call it.
"""
