#!/usr/bin/env python
"""Classify windows of a picture: detect_windows.py [PICTURE]"""

import os
import sys

import caffe
import numpy as np

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
labels = np.loadtxt(os.path.join(model, "labels.txt"), str, delimiter="\t")
picture = sys.argv[1] if len(sys.argv) > 1 else os.path.join(model, "pictures", "05-star.jpg")

detector = caffe.Detector(
    os.path.join(model, "deploy.prototxt"),
    os.path.join(model, "shapes-cam.caffemodel"),
    mean=np.array([104.0, 117.0, 123.0]),
    raw_scale=255,
    channel_swap=(2, 1, 0),
    context_pad=16,
)
size = caffe.io.load_image(picture).shape
windows = [(0, 0, size[0], size[1])]
windows += [(y, x, y + 56, x + 56) for y in range(0, size[0] - 55, 24) for x in range(0, size[1] - 55, 24)]

detections = detector.detect_windows([(picture, np.array(windows))])
for detection in sorted(detections, key=lambda each: -each["prediction"].max())[:5]:
    best = detection["prediction"].argmax()
    print(f"{labels[best]:8} {detection['prediction'][best]:.3f} at", *detection["window"])
