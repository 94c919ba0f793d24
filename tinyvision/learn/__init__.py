"""The exercises and their runner: `tinyvision learn`, and `check_exercise` for notebooks.

from tinyvision.learn import check_exercise
check_exercise("conv_dx", my_conv_dx)
"""

from .judge import check_exercise, points

__all__ = ["check_exercise", "points"]
