"""fuzz: hostile files for every parser, coverage-guided fuzzing, and the table of docs/robustness.md.

>>> from fuzz.targets import TARGETS
>>> sorted(TARGETS)
['caffemodel', 'convert', 'hdf5', 'mean', 'onnx', 'picture', 'prototxt']
"""
