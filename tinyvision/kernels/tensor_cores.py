"""Which kernel of tensor_cores.cu computes a layer on which generation of GPUs: a table, and the rule that reads it.

It is one table for TF32 and for factors of 16 bits, whose tiles have the same rows of 128 bytes."""

import math
from dataclasses import dataclass

MOST_TAPS = 15  # along a side of a kernel, so that a bit for each fits half an integer


@dataclass(frozen=True)
class Tile:
    """A kernel: a block of so many threads computes rows × columns sums, from a ring of so many stages; so many blocks
    fit a multiprocessor at once."""

    rows: int
    columns: int
    stages: int
    threads: int
    resident: int

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
    "correlate_mma_128x64": Tile(128, 64, 3, 128, 3),
    "correlate_mma_64x64": Tile(64, 64, 4, 128, 3),
    "correlate_mma_64x64_short": Tile(64, 64, 3, 128, 3),
    "correlate_wgmma_128x256": Tile(128, 256, 4, 256, 1),
    "correlate_wgmma_128x128": Tile(128, 128, 3, 256, 2),
    "correlate_wgmma_128x64": Tile(128, 64, 3, 256, 3),
    "weight_gradient_mma_128x128": Tile(128, 128, 2, 256, 1),
    "weight_gradient_mma_64x128": Tile(64, 128, 2, 128, 2),
    "weight_gradient_mma_64x64": Tile(64, 64, 2, 128, 2),
    "weight_gradient_wgmma_128x256": Tile(128, 256, 2, 256, 1),
    "weight_gradient_wgmma_128x128": Tile(128, 128, 2, 256, 2),
    "weight_gradient_wgmma_64x192": Tile(64, 192, 2, 256, 2),
    "weight_gradient_wgmma_64x128": Tile(64, 128, 2, 128, 3),
    "weight_gradient_wgmma_64x64": Tile(64, 64, 2, 128, 3),
}


@dataclass(frozen=True)
class Choice:
    """A kernel, and the smallest matrix of sums that it pays for: its rows and columns, how many products make a sum,
    and how many blocks it gives."""

    kernel: str
    rows: int = 1
    columns: int = 1
    depth: int = 1
    blocks: int = 1


# The precisions that tensor cores have factors for.
MODES: dict[str | None, tuple[str, ...]] = {
    "turing": ("fp16",),
    "ampere": ("tf32", "bf16", "fp16"),
    "hopper": ("tf32", "bf16", "fp16"),
}

# (generation, primitive) -> the first that fits is taken. Measured on an H200 in TF32, also the kernels by mma.sync,
# which are for all other GPUs; those of 16 bits, and Turing's, are not yet measured.
CHOICES = {
    ("hopper", "correlate"): (
        Choice("correlate_wgmma_128x256", columns=193, depth=2048, blocks=90),
        Choice("correlate_wgmma_128x128", columns=65, blocks=66),
        Choice("correlate_wgmma_128x64"),
    ),
    ("hopper", "weight_gradient"): (
        Choice("weight_gradient_wgmma_128x256", rows=65, columns=2304),
        Choice("weight_gradient_wgmma_128x128", rows=65, columns=65),
        Choice("weight_gradient_wgmma_64x192", columns=257),
        Choice("weight_gradient_wgmma_64x128", columns=65),
        Choice("weight_gradient_wgmma_64x64"),
    ),
    ("ampere", "correlate"): (
        Choice("correlate_mma_128x64", blocks=264),
        Choice("correlate_mma_64x64"),
    ),
    ("ampere", "weight_gradient"): (
        Choice("weight_gradient_mma_128x128", rows=65, columns=65),
        Choice("weight_gradient_mma_64x128", columns=65),
        Choice("weight_gradient_mma_64x64"),
    ),
    ("turing", "correlate"): (Choice("correlate_mma_64x64_short"),),
    ("turing", "weight_gradient"): (
        Choice("weight_gradient_mma_64x128", columns=65),
        Choice("weight_gradient_mma_64x64"),
    ),
}


def choose(generation: str, primitive: str, rows: int, columns: int, depth: int) -> str:
    """The kernel for a matrix of sums rows × columns of `depth` products each. A shape always gets the same one."""
    return next(
        choice.kernel
        for choice in CHOICES[generation, primitive]
        if rows >= choice.rows
        and columns >= choice.columns
        and depth >= choice.depth
        and TILES[choice.kernel].blocks(rows, columns) >= choice.blocks
    )


def candidates(generation: str, primitive: str) -> tuple[str, ...]:
    """All kernels that `choose` may give."""
    return tuple(choice.kernel for choice in CHOICES[generation, primitive])
