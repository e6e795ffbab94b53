"""One file per command of the command line; each is a thin shell over a function of the library."""
