"""The ways from a picture to its maps: a module each, and each adds its own to ``camcompat.cam.pipelines.base``."""
