"""Many pictures: folders and globs, several workers, restart where it stopped; `map_pictures` is the way in."""
