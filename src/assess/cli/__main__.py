"""`python -m assess.cli`: the command line where no script was installed."""

from assess.cli import main

main()
