"""Reports of a verification, for people and machines."""
