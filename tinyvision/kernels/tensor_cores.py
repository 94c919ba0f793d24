"""Which kernel of tensor_cores.cu computes a layer on which generation of GPUs: a table, and the rule that reads it."""

import math
from dataclasses import dataclass

MOST_TAPS = 15  # along a side of a kernel, so that a bit for each fits half an integer


@dataclass(frozen=True)
class Tile:
    """A kernel: a block of so many threads computes rows × columns sums, from a ring of so many stages."""

    rows: int
    columns: int
    stages: int
    threads: int

    @property
    def shared(self) -> int:
        """Bytes of shared memory: 128 for each row of both factors and stage, and what it takes to begin at a multiple
        of 1024."""
        return self.stages * (self.rows + self.columns) * 128 + 1024

    def blocks(self, rows: int, columns: int) -> int:
        """How many blocks a matrix of sums takes."""
        return math.ceil(rows / self.rows) * math.ceil(columns / self.columns)


# As tensor_cores.cu declares them.
TILES = {
    "correlate_mma_128x128": Tile(128, 128, 3, 128),
    "correlate_mma_128x64": Tile(128, 64, 3, 128),
    "correlate_mma_64x64": Tile(64, 64, 4, 128),
    "correlate_wgmma_128x256": Tile(128, 256, 4, 256),
    "correlate_wgmma_128x128": Tile(128, 128, 3, 256),
    "correlate_wgmma_128x64": Tile(128, 64, 3, 256),
    "weight_gradient_mma_128x128": Tile(128, 128, 2, 256),
    "weight_gradient_mma_64x64": Tile(64, 64, 2, 128),
    "weight_gradient_wgmma_128x128": Tile(128, 128, 2, 256),
    "weight_gradient_wgmma_64x192": Tile(64, 192, 2, 256),
    "weight_gradient_wgmma_64x64": Tile(64, 64, 2, 128),
}

# (generation, primitive) -> (kernel, rows and columns from which it pays, blocks it must give): the first that fits.
CHOICES = {
    ("hopper", "correlate"): (
        ("correlate_wgmma_128x256", 1, 193, 90),
        ("correlate_wgmma_128x128", 1, 65, 66),
        ("correlate_wgmma_128x64", 1, 1, 1),
    ),
    ("hopper", "weight_gradient"): (
        ("weight_gradient_wgmma_128x128", 65, 65, 1),
        ("weight_gradient_wgmma_64x192", 1, 65, 1),
        ("weight_gradient_wgmma_64x64", 1, 1, 1),
    ),
    ("ampere", "correlate"): (
        ("correlate_mma_128x128", 1, 65, 132),
        ("correlate_mma_128x64", 1, 1, 132),
        ("correlate_mma_64x64", 1, 1, 1),
    ),
    ("ampere", "weight_gradient"): (
        ("weight_gradient_mma_128x128", 65, 65, 1),
        ("weight_gradient_mma_64x64", 1, 1, 1),
    ),
}


def choose(generation: str, primitive: str, rows: int, columns: int) -> str:
    """The kernel for a matrix of sums rows × columns. Deterministic: a shape always gets the same one."""
    return next(
        kernel
        for kernel, least_rows, least_columns, least_blocks in CHOICES[generation, primitive]
        if rows >= least_rows and columns >= least_columns and TILES[kernel].blocks(rows, columns) >= least_blocks
    )
