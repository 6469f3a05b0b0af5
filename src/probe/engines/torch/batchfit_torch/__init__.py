"""batchfit's side of PyTorch: exporting modules as graphs, and running trials."""
