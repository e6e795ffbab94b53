"""`python -m camcompat`."""

from camcompat.cli import main

main(prog_name="camcompat")
