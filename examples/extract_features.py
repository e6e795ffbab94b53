#!/usr/bin/env python
"""Save a blob of every picture: extract_features.py [BLOB [OUT.npy [PICTURE ...]]]"""

import glob
import os
import sys

import caffe
import numpy as np

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
blob = sys.argv[1] if len(sys.argv) > 1 else "CAM_pool"
out = sys.argv[2] if len(sys.argv) > 2 else "features.npy"
pictures = sys.argv[3:] or sorted(glob.glob(os.path.join(model, "pictures", "*.jpg")))

net = caffe.Net(os.path.join(model, "deploy.prototxt"), os.path.join(model, "shapes-cam.caffemodel"), caffe.TEST)
for name, each in net.blobs.items():
    print(name, each.data.shape)

transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
transformer.set_transpose("data", (2, 0, 1))
transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
transformer.set_raw_scale("data", 255)
transformer.set_channel_swap("data", (2, 1, 0))

net.blobs["data"].reshape(len(pictures), 3, 96, 96)
for i, path in enumerate(pictures):
    net.blobs["data"].data[i] = transformer.preprocess("data", caffe.io.load_image(path))
net.forward()

features = net.blobs[blob].data.reshape(len(pictures), -1)
np.save(out, features)
print(f"{out}: {blob} of {len(features)} pictures")
