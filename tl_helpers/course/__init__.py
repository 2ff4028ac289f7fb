"""What belongs to the lessons: checks of exercises, experiments, and the pretraining of the backbones.

Lessons 00 to 11 call it.
"""
