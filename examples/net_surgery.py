#!/usr/bin/env python
"""Cast the classifier into a fully convolutional net, which takes pictures of any size: net_surgery.py [FOLDER]"""

import os
import sys

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "weights", "embedded", "shapes-cam")
folder = sys.argv[1] if len(sys.argv) > 1 else "."
prototxt, weights = os.path.join(model, "deploy.prototxt"), os.path.join(model, "shapes-cam.caffemodel")

# The same net with CAM_fc as a 1x1 convolution, and no pooling that would need one input size.
spec = caffe_pb2.NetParameter()
with open(prototxt) as f:
    text_format.Merge(f.read(), spec)
for layer in spec.layer:
    if layer.name == "CAM_pool":
        layer.pooling_param.kernel_size, layer.pooling_param.stride = 12, 1
    if layer.name == "CAM_fc":
        layer.name, layer.type = "CAM_fc-conv", "Convolution"
        layer.top[0] = "CAM_fc-conv"
        layer.convolution_param.num_output, layer.convolution_param.kernel_size[:] = 10, [1]
        layer.ClearField("inner_product_param")
    if layer.name == "prob":
        layer.bottom[0] = "CAM_fc-conv"
convolutional = os.path.join(folder, "fully_convolutional.prototxt")
with open(convolutional, "w") as f:
    f.write(text_format.MessageToString(spec))

net = caffe.Net(prototxt, weights, caffe.TEST)
full = caffe.Net(convolutional, weights, caffe.TEST)

# Transplant: the weights of an inner product are those of a convolution over a 1x1 blob.
full.params["CAM_fc-conv"][0].data.flat = net.params["CAM_fc"][0].data.flat
full.params["CAM_fc-conv"][1].data[...] = net.params["CAM_fc"][1].data
full.save(os.path.join(folder, "fully_convolutional.caffemodel"))

rng = np.random.RandomState(0)
picture = rng.standard_normal((1, 3, 96, 96)) * 50
net.blobs["data"].reshape(*picture.shape)
full.blobs["data"].reshape(*picture.shape)
one = net.forward(data=picture)["prob"].reshape(10)
same = full.forward(data=picture)["prob"].reshape(10)
print(f"largest difference at 96x96: {np.abs(one - same).max():.1e}")

full.blobs["data"].reshape(1, 3, 160, 192)
full.reshape()
full.blobs["data"].data[...] = rng.standard_normal((1, 3, 160, 192)) * 50
print("at 160x192:", full.forward()["prob"].shape)
