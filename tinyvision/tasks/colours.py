"""Colours for classes, which can be told apart on photographs, and by most people who do not see all colours."""

COLOURS = [
    (230, 75, 53), (77, 187, 213), (0, 160, 135), (250, 200, 40), (60, 84, 136),
    (243, 155, 127), (132, 92, 180), (126, 97, 72), (145, 209, 130), (220, 100, 160),
]  # fmt: skip
