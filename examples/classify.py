#!/usr/bin/env python
"""Classify pictures: classify.py [PICTURE ...]"""

import glob
import os
import sys

import caffe
import numpy as np

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
labels = np.loadtxt(os.path.join(model, "labels.txt"), str, delimiter="\t")
pictures = sys.argv[1:] or sorted(glob.glob(os.path.join(model, "pictures", "*.jpg")))

caffe.set_mode_cpu()
classifier = caffe.Classifier(
    os.path.join(model, "deploy.prototxt"),
    os.path.join(model, "shapes-cam.caffemodel"),
    image_dims=(112, 112),
    mean=np.array([104.0, 117.0, 123.0]),
    raw_scale=255,
    channel_swap=(2, 1, 0),
)

predictions = classifier.predict([caffe.io.load_image(path) for path in pictures])
for path, prediction in zip(pictures, predictions):
    top = prediction.argsort()[::-1][:3]
    print(os.path.basename(path), " ".join(f"{labels[i]} {prediction[i]:.4f}" for i in top))
