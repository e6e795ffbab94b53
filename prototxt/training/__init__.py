"""From a training definition to the net that one runs."""
