"""What belongs to the lessons: checks of exercises, experiments, and the pretraining of the backbones."""
