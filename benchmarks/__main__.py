"""`python -m benchmarks ...`"""

import os
import sys

from . import CORETYPE_FOUND

if __name__ == "__main__":
    if CORETYPE_FOUND and "numpy" in sys.modules:
        # Something (a sitecustomize, say) loaded NumPy before us; the variable is gone, so a new process starts clean.
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    from .cli import main

    sys.exit(main())
