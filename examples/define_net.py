#!/usr/bin/env python
# ruff: noqa: C408
"""Write a net in Python, draw it and run it: define_net.py [FOLDER]"""

import os
import sys

import caffe
import caffe.draw
import numpy as np
from caffe import layers as L, params as P

folder = sys.argv[1] if len(sys.argv) > 1 else "."


def conv_relu(bottom, nout):
    conv = L.Convolution(bottom, kernel_size=3, pad=1, num_output=nout, weight_filler=dict(type="msra"))
    return conv, L.ReLU(conv, in_place=True)


n = caffe.NetSpec()
n.data = L.Input(shape=dict(dim=[2, 3, 16, 16]))
n.conv1, n.relu1 = conv_relu(n.data, 8)
n.pool1 = L.Pooling(n.relu1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
n.left, n.right = L.Slice(n.pool1, ntop=2, slice_param=dict(axis=1, slice_point=4))
n.sum = L.Eltwise(n.left, n.right, operation=P.Eltwise.SUM)
n.score = L.InnerProduct(n.sum, num_output=5, weight_filler=dict(type="xavier"))
n.prob = L.Softmax(n.score)

path = os.path.join(folder, "small.prototxt")
with open(path, "w") as f:
    f.write(str(n.to_proto()))
caffe.draw.draw_net_to_file(n.to_proto(), os.path.join(folder, "small.dot"))

caffe.set_random_seed(1)
net = caffe.Net(path, caffe.TEST)
prob = net.forward(data=np.ones((2, 3, 16, 16)))["prob"]
print(list(net.blobs), prob.sum(axis=1))
