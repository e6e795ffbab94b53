#!/usr/bin/env python
"""Draw the filters of the first layer and its responses, without matplotlib: filters.py [FOLDER [PICTURE]]"""

import os
import sys

import caffe
import numpy as np
from PIL import Image

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
folder = sys.argv[1] if len(sys.argv) > 1 else "."
picture = sys.argv[2] if len(sys.argv) > 2 else os.path.join(model, "pictures", "05-star.jpg")


def tile(data, path):
    """Write an array of shape (n, height, width) or (n, height, width, 3) as a square of tiles."""
    data = (data - data.min()) / (data.max() - data.min())
    n = int(np.ceil(np.sqrt(data.shape[0])))
    padding = ((0, n**2 - data.shape[0]), (0, 1), (0, 1)) + ((0, 0),) * (data.ndim - 3)
    data = np.pad(data, padding, mode="constant", constant_values=1)
    data = data.reshape((n, n) + data.shape[1:]).transpose((0, 2, 1, 3) + tuple(range(4, data.ndim + 1)))
    data = data.reshape((n * data.shape[1], n * data.shape[3]) + data.shape[4:])
    Image.fromarray((data * 255).astype(np.uint8)).save(path)
    print(path, data.shape)


net = caffe.Net(os.path.join(model, "deploy.prototxt"), os.path.join(model, "shapes-cam.caffemodel"), caffe.TEST)
transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
transformer.set_transpose("data", (2, 0, 1))
transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
transformer.set_raw_scale("data", 255)
transformer.set_channel_swap("data", (2, 1, 0))
net.blobs["data"].data[...] = transformer.preprocess("data", caffe.io.load_image(picture))
net.forward(end="relu1")

for layer, blobs in net.params.items():
    print(layer, *(blob.data.shape for blob in blobs))
filters = net.params["conv1"][0].data
tile(filters.transpose(0, 2, 3, 1)[..., ::-1], os.path.join(folder, "conv1-filters.png"))
tile(net.blobs["conv1"].data[0], os.path.join(folder, "conv1-responses.png"))
