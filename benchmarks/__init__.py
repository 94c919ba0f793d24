"""How fast tinyvision is, next to other libraries, on the machine it runs on: `python -m benchmarks`.

Results are compared before anything is timed; contestants take turns; medians come with their spread; ratios are
taken within one run. `python -m benchmarks report` turns records into RESULTS.md.
"""

import os

# It forces OpenBLAS to a kernel for another processor, which can cost a factor of ten. OpenBLAS reads it once, when
# NumPy loads, so it must go before any other import here.
CORETYPE_FOUND = os.environ.pop("OPENBLAS_CORETYPE", None)
