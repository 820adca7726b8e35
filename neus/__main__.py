"""`python -m neus VERB ...`."""

import sys

from neus.cli.main import main

sys.exit(main())
