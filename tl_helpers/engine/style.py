"""The colours, markers and lines of every figure, and which of them each method has, in all lessons. Lesson 00 shows some.

Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")  # the second eight, the third
