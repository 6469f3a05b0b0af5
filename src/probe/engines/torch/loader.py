"""Starts batchfit_torch.loader. This folder leaves the import path, so that a user's own modules keep their names."""
import sys

import batchfit_torch.loader

# Worker processes that are spawned, not forked, import this file again.
if __name__ == "__main__":
    del sys.path[0]
    sys.exit(batchfit_torch.loader.main())
