"""Which loss, learning rate and initial scale survive outliers and a hostile data order?"""

__version__ = "0.1.0"
