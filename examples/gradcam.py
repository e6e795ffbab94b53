#!/usr/bin/env python
"""Grad-CAM and saliency with net.backward: gradcam.py [PICTURE [OUT.npz]]"""

import os
import sys

import caffe
import numpy as np
from PIL import Image

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
labels = np.loadtxt(os.path.join(model, "labels.txt"), str, delimiter="\t")
picture = sys.argv[1] if len(sys.argv) > 1 else os.path.join(model, "pictures", "12-heart.jpg")
out = sys.argv[2] if len(sys.argv) > 2 else "gradcam.npz"

net = caffe.Net(os.path.join(model, "deploy.prototxt"), os.path.join(model, "shapes-cam.caffemodel"), caffe.TEST)
image = np.asarray(Image.open(picture).convert("RGB").resize((112, 112), Image.BILINEAR), np.float32)
net.blobs["data"].reshape(1, 3, 96, 96)
net.blobs["data"].data[0] = (image[8:104, 8:104, ::-1] - (104, 117, 123)).transpose(2, 0, 1)
best = net.forward()["prob"][0].argmax()

# The gradient of one class score. CAM_conv is overwritten in place by three layers: its diff is that of the features
# only as long as the pass has not gone through them.
net.blobs["CAM_fc"].diff[...] = 0
net.blobs["CAM_fc"].diff[0, best] = 1
net.backward(start="CAM_fc", end="CAM_pool")
features, slopes = net.blobs["CAM_conv"].data[0], net.blobs["CAM_conv"].diff[0].copy()
gradcam = np.maximum(np.tensordot(slopes.mean(axis=(1, 2)), features, axes=(0, 0)), 0)

saliency = np.abs(net.backward(start="CAM_relu")["data"][0]).max(axis=0)

np.savez(out, gradcam=gradcam, saliency=saliency, features=features, slopes=slopes)
print(labels[best], gradcam.shape, saliency.shape)
