"""Starts batchfit_torch.export. This folder leaves the import path, so that a user's own modules keep their names."""
import sys

import batchfit_torch.export

del sys.path[0]
sys.exit(batchfit_torch.export.main())
