"""What a launcher has written into the environment: how many processes it believes to have started."""

import os
from collections.abc import Mapping

# (launcher, the number of this process, how many there are). A batch job of Slurm has SLURM_NTASKS even where nothing
# was started with srun; only a step's own number says how many processes run side by side.
_LAUNCHERS = (
    ("Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MPICH's or Intel's mpiexec", "PMI_RANK", "PMI_SIZE"),
    ("MVAPICH's mpirun", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("torchrun", "RANK", "WORLD_SIZE"),
)

# What the library of an MPI calls itself that understands a launcher; others believe that they are alone, or give up.
_UNDERSTOOD_BY = {
    "Open MPI's mpirun": ("Open MPI",),
    "MPICH's or Intel's mpiexec": ("MPICH", "Intel", "MVAPICH"),
    "MVAPICH's mpirun": ("MVAPICH",),
}

# What to do where MPI sees other processes than a launcher has started; {count} of them.
_REMEDIES = {
    "torchrun": "torchrun tells MPI nothing; start the processes with mpirun -n {count} in its place",
    "srun": "srun --mpi=list names what it can tell: pmix is for Open MPI, pmi2 for MPICH and Intel's MPI",
}


def remedy(launcher: str, count: int) -> str:
    """What to do where MPI does not see the processes that a launcher has started."""
    other = "start the script with the mpiexec of that MPI, or install mpi4py against the launcher's"
    return _REMEDIES.get(launcher, other).format(count=count)


def understands(library: str, launcher: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether an MPI whose version text is `library` finds the other processes of a launcher, as far as is known."""
    environment = os.environ if environment is None else environment
    names = _UNDERSTOOD_BY.get(launcher)
    # Under Slurm, the variables of one MPI may be set for another's processes.
    return names is None or "SLURM_PROCID" in environment or any(name in library for name in names)


def launched_as(environment: Mapping[str, str] | None = None) -> tuple[str, int, int] | None:
    """(launcher, number of this process, number of processes) if one of several, as the environment says; else None."""
    environment = os.environ if environment is None else environment
    for launcher, number, count in _LAUNCHERS:
        texts = environment.get(number, ""), environment.get(count, "")
        if all(text.isascii() and text.isdigit() for text in texts) and int(texts[1]) > 1:
            return launcher, int(texts[0]), int(texts[1])
    return None
