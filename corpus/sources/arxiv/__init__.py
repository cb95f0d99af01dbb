"""ArXiv: bulk tars of LaTeX submissions."""
