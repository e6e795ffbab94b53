#!/usr/bin/env python
"""Class activation maps with pycaffe: cam.py [PICTURE [OUT]] writes OUT.npy (the map) and OUT.png (over the picture)"""

import os
import sys

import caffe
import numpy as np
from PIL import Image

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
labels = np.loadtxt(os.path.join(model, "labels.txt"), str, delimiter="\t")
picture = sys.argv[1] if len(sys.argv) > 1 else os.path.join(model, "pictures", "12-heart.jpg")
out = sys.argv[2] if len(sys.argv) > 2 else "cam"

net = caffe.Net(os.path.join(model, "deploy.prototxt"), os.path.join(model, "shapes-cam.caffemodel"), caffe.TEST)

# The input as this net was trained on it: 112x112, the centre of 96x96, BGR minus the mean.
image = np.asarray(Image.open(picture).convert("RGB").resize((112, 112), Image.BILINEAR), np.float32)
image = image[8:104, 8:104, ::-1] - (104, 117, 123)
net.blobs["data"].reshape(1, 3, 96, 96)
net.blobs["data"].data[0] = image.transpose(2, 0, 1)
scores = net.forward()["prob"][0]

weights = net.params["CAM_fc"][0].data
features = net.blobs["CAM_conv"].data[0]
best = scores.argmax()
activation = np.tensordot(weights[best], features, axes=(0, 0))
np.save(out + ".npy", activation)
print(f"{labels[best]} {scores[best]:.4f}, strongest at", *np.unravel_index(activation.argmax(), activation.shape))

heat = caffe.io.resize_image(activation[:, :, np.newaxis], (96, 96))[:, :, 0]
heat = (heat - heat.min()) / (heat.max() - heat.min())
shown = image[:, :, ::-1] + (123, 117, 104)
shown = 0.4 * shown + 153 * np.dstack([heat, 1 - np.abs(2 * heat - 1), 1 - heat])
Image.fromarray(shown.clip(0, 255).astype(np.uint8)).resize((192, 192)).save(out + ".png")
