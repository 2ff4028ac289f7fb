"""Right and typical wrong answers to the exercises of lesson 08."""

import torch


def _in_place(first, second, classes):
    second += classes
    return torch.cat([first, second])


RIGHT = {
    "joined_labels": lambda first, second, classes: torch.cat([first, second + classes]),
    "of_one_head": lambda p, start, stop: p[:, start:stop] / p[:, start:stop].sum(1, keepdim=True),
}
WRONG = {
    "joined_labels": [
        (lambda first, second, classes: None, "nothing so far"),
        (lambda first, second, classes: torch.cat([first, second]), "have to begin at 10"),
        (lambda first, second, classes: torch.cat([first, second + 10]), "use the argument"),
        (lambda first, second, classes: torch.stack([first, second[:3]]), "seven in one row"),
        (lambda first, second, classes: torch.cat([first, second + first.max()]), "with 10 classes came"),
        (_in_place, "changed in place"),
    ],
    "of_one_head": [
        (lambda p, start, stop: None, "nothing so far"),
        (lambda p, start, stop: p[:, start:stop], "Divide"),
        (lambda p, start, stop: p[:, start : stop + 1], "not including"),
        (lambda p, start, stop: p[:, start:stop].softmax(1), "proportions have changed"),
        (lambda p, start, stop: p[:, :10] / p[:, :10].sum(1, keepdim=True), "not for the second"),
        (lambda p, start, stop: p[:, start:stop] / p[:, start:stop].sum(), "its own sum"),
    ],
}
