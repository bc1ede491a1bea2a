"""``python -m treaty.cli`` is ``treaty``. This room holds nothing else."""

import sys

from treaty.cli import main

sys.exit(main())
