"""`python -m corpus.kernels`: compile the kernels into numba's cache, at set-up."""

from corpus.kernels.warm_up import warm_up

warm_up()
