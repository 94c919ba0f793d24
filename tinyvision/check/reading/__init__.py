"""Reading other people's code: how a layer or a pair of functions is called, and in which layouts it thinks.

`words` knows the names that people give to things, `layouts` the orders of axes, `calling` fills a parameter list by
its names, `functions` and `layers` drive a pair or a class, `form` gives one reading of it this library's form, and
`recognise` tries the readings until one of them makes a right forward. What comes out is an ordinary pair
(x, weight, ...) -> (y, cache), NCHW, that `check.op` can examine.
"""

from .form import Reading
from .functions import Functions
from .layers import Layer, is_layer
from .recognise import RIGHT, level, recognise

__all__ = ["RIGHT", "Functions", "Layer", "Reading", "is_layer", "level", "recognise"]
