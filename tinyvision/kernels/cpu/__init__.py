"""Drop-ins for the CPU: loops that read like `ops/naive.py`, compiled by numba (the extra `fast`).

NumPy makes a pass through memory for every operation, and between two of its calls only one thread can run. A compiled
loop makes one pass, and several threads run it at once. Each file here holds plain Python loops marked with `loop`, and
the drop-ins that call them, for float32 with the channels last in memory.

They are compiled ahead, by `tinyvision doctor --compile`, or by a process of the lowest priority beside the first
`tinyvision train`, and kept on disk. A process that finds all of them there when its first op asks uses them from then
on; any other process leaves everything to NumPy, so that no job ever waits for a compiler, and none changes its way of
computing while it runs.
"""
