"""Definitions of every generation as those of today: V0 and V1 upgraded, legacy inputs, what only forks know."""
