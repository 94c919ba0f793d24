"""PyTorch's names for the sizes of layers in hints of types: one number, or one for every axis."""

_size_1_t = int | tuple[int]
_size_2_t = int | tuple[int, int]
_size_3_t = int | tuple[int, int, int]
_size_4_t = int | tuple[int, int, int, int]
_size_2_opt_t = tuple[int | None, int | None]
_ratio_2_t = float | tuple[float, float]
_ratio_any_t = float | tuple[float, ...]
_size_any_t = int | tuple[int, ...]
