"""The Glue job. Glue has installed shoplake as --additional-python-modules says; its arguments become settings."""

import sys

from shoplake.aws.job import main

main(sys.argv[1:])
