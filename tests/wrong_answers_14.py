"""Right and typical wrong answers to the exercises of lesson 14."""

from wrong_answers_tools import Later


def _numbers(outputs, inputs, side, rank):
    return rank * (outputs + inputs * side * side)


def _megabytes(way, tasks=10, backbone=1):
    from tl_helpers.course import lesson_14

    return tasks * lesson_14.megabytes(way) + backbone * lesson_14.megabytes("fine-tuning")


def _scaling(scores, temperature):
    scores /= temperature
    return scores.softmax(1)


RIGHT = {
    "adapter_numbers": _numbers,
    "softened": lambda scores, temperature: (scores / temperature).softmax(1),
    "ten_tasks": Later(lambda: ("low-rank adapters", _megabytes("low-rank adapters"))),
}
WRONG = {
    "adapter_numbers": [
        (lambda outputs, inputs, side, rank: None, "returns nothing"),
        (lambda outputs, inputs, side, rank: rank * (outputs + inputs), "whole kernels"),
        (lambda outputs, inputs, side, rank: rank * (outputs + inputs * side), "not 3"),
        (lambda outputs, inputs, side, rank: outputs * inputs * side * side, "frozen matrix W"),
        (lambda outputs, inputs, side, rank: rank * outputs, "B alone"),
        (lambda outputs, inputs, side, rank: rank * inputs * side * side, "A alone"),
        (lambda outputs, inputs, side, rank: rank * outputs * inputs * side * side, "not multiplied"),
        (lambda *a: _numbers(*a) / (a[0] * a[1] * a[2] ** 2), "a share of W"),
        (lambda *a: 4 * _numbers(*a), "the bytes"),
        (lambda *a: _numbers(*a) + 1, "it should be"),
        (lambda *a: "many", "A number is wanted"),
    ],
    "softened": [
        (lambda scores, temperature: None, "returns nothing"),
        (lambda scores, temperature: scores.softmax(1), "plays no part"),
        (lambda scores, temperature: scores / temperature, "scores still"),
        (lambda scores, temperature: (scores * temperature).softmax(1), "Divide."),
        (lambda scores, temperature: scores.softmax(1) / temperature, "before softmax"),
        (lambda scores, temperature: (scores / temperature).softmax(0), "Which dimension"),
        (lambda scores, temperature: (scores / temperature).log_softmax(1), "not log_softmax"),
        (lambda scores, temperature: scores.argmax(1), "As many numbers"),
        (lambda scores, temperature: (scores / temperature**2).softmax(1), "are off"),
        (_scaling, "changes the scores"),
    ],
    "ten_tasks": [
        (("all of them", 20.0), "Choose one of"),
        (("probe", "little"), "give a number"),
        (Later(lambda: ("low-rank adapters", _megabytes("low-rank adapters", backbone=0))), "no use without"),
        (Later(lambda: ("low-rank adapters", _megabytes("low-rank adapters", backbone=10))), "keep it once"),
        (Later(lambda: ("norms only", _megabytes("norms only", tasks=1))), "There are ten"),
        (Later(lambda: ("norms only", 1000 * _megabytes("norms only"))), "in kilobytes"),
        (("probe", 5.0), "What do ten tasks need"),
        (Later(lambda: ("fine-tuning", _megabytes("fine-tuning", backbone=0))), "room for 25"),
        (Later(lambda: ("probe", _megabytes("probe"))), "behind fine-tuning"),
    ],
}
