"""Which loss, learning rate and initial scale survive outliers and a hostile data order?"""

import os

__version__ = "0.1.0"

# Read by MKL at its first call, so set before anything multiplies a matrix. On some AMD processors the
# kernels that MKL chooses by itself give a column of a matrix product other bits in another place.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
