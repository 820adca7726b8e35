"""The command line that NeuS users know, `exp_runner.py --mode train --conf C --case NAME`, and the verbs beside it."""

import sys

from neus.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
