"""The rules for boxes: a module each, and each adds its rule to ``camcompat.boxes.rule.RULES``."""
