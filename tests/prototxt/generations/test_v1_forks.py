"""Nets in the old format whose forks gave it new layers, against the same written by hand in today's format."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf import text_format

from prototxt import loads
from prototxt.generations.upgrade import upgrade
from prototxt.generations.v1_types import FORK_TYPES, V1_TYPES
from prototxt.schema import message_class


def message(text: str) -> Any:
    return text_format.Parse(text, message_class("NetParameter")())


def upgraded(text: str) -> Any:
    return upgrade(message(text)).message


# One layer each of public nets in the old format whose forks extended it, and the same by hand in today's.
FORKS = {
    "C3D": (
        """layers { name: "conv1a" type: CONVOLUTION3D bottom: "data" top: "conv1a" blobs_lr: 1 blobs_lr: 2
          convolution_param { num_output: 64 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 } }
        layers { name: "pool1" type: POOLING3D bottom: "conv1a" top: "pool1"
          pooling_param { pool: MAX kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1 } }
        layers { name: "up" type: DECONVOLUTION3D bottom: "pool1" top: "up"
          convolution_param { num_output: 8 kernel_size: 4 kernel_depth: 4 stride: 2 temporal_stride: 2 } }""",
        """layer { name: "conv1a" type: "Convolution3D" bottom: "data" top: "conv1a"
          param { lr_mult: 1 } param { lr_mult: 2 }
          convolution_param { num_output: 64 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 } }
        layer { name: "pool1" type: "Pooling3D" bottom: "conv1a" top: "pool1"
          pooling_param { pool: MAX kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1 } }
        layer { name: "up" type: "Deconvolution3D" bottom: "pool1" top: "up"
          convolution_param { num_output: 8 kernel_size: 4 kernel_depth: 4 stride: 2 temporal_stride: 2 } }""",
    ),
    "SegNet": (
        """layers { bottom: "c" top: "c" name: "c_bn" type: BN bn_param { bn_mode: INFERENCE
          scale_filler { type: "constant" value: 1 } shift_filler { type: "constant" value: 0.001 } } }
        layers { name: "up" type: UPSAMPLE bottom: "p" bottom: "p_mask" top: "u"
          upsample_param { scale: 2 upsample_w: 60 upsample_h: 45 } }
        layers { name: "d" type: DENSE_IMAGE_DATA top: "data" top: "label"
          dense_image_data_param { source: "train.txt" batch_size: 4 } }""",
        """layer { bottom: "c" top: "c" name: "c_bn" type: "BN" bn_param { bn_mode: INFERENCE
          scale_filler { type: "constant" value: 1 } shift_filler { type: "constant" value: 0.001 } } }
        layer { name: "up" type: "Upsample" bottom: "p" bottom: "p_mask" top: "u"
          upsample_param { scale: 2 upsample_w: 60 upsample_h: 45 } }
        layer { name: "d" type: "DenseImageData" top: "data" top: "label"
          dense_image_data_param { source: "train.txt" batch_size: 4 } }""",
    ),
    "DeepLab": (
        """layers { name: "fc6" type: CONVOLUTION bottom: "pool5a" top: "fc6" strict_dim: false
          convolution_param { num_output: 1024 pad: 12 kernel_size: 3 hole: 12 } }
        layers { bottom: "fc8" top: "fc8_interp" name: "fc8_interp" type: INTERP interp_param { zoom_factor: 8 } }
        layers { name: "w" type: MAT_WRITE bottom: "fc8_interp" mat_write_param { prefix: "fc8/" strip: 0 period: 1 } }
        layers { name: "a" type: SEG_ACCURACY bottom: "fc8" bottom: "l" top: "a"
          seg_accuracy_param { ignore_label: 255 } }""",
        """layer { name: "fc6" type: "Convolution" bottom: "pool5a" top: "fc6" strict_dim: false
          convolution_param { num_output: 1024 pad: 12 kernel_size: 3 hole: 12 } }
        layer { bottom: "fc8" top: "fc8_interp" name: "fc8_interp" type: "Interp" interp_param { zoom_factor: 8 } }
        layer { name: "w" type: "MatWrite" bottom: "fc8_interp" mat_write_param { prefix: "fc8/" strip: 0 period: 1 } }
        layer { name: "a" type: "SegAccuracy" bottom: "fc8" bottom: "l" top: "a"
          seg_accuracy_param { ignore_label: 255 } }""",
    ),
    "Fast R-CNN": (
        """layers { name: "roi_pool5" type: ROI_POOLING bottom: "conv5" bottom: "rois" top: "pool5"
          roi_pooling_param { pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 } }
        layers { name: "loss_bbox" type: SMOOTH_L1_LOSS bottom: "p" bottom: "t" bottom: "w" top: "l"
          loss_weight: 1 }""",
        """layer { name: "roi_pool5" type: "ROIPooling" bottom: "conv5" bottom: "rois" top: "pool5"
          roi_pooling_param { pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 } }
        layer { name: "loss_bbox" type: "SmoothL1Loss" bottom: "p" bottom: "t" bottom: "w" top: "l"
          loss_weight: 1 }""",
    ),
    "later layers": (
        """layers { name: "p" type: PRELU bottom: "a" top: "a" prelu_param { channel_shared: true } }
        layers { name: "r" type: RESHAPE bottom: "a" top: "b" reshape_param { shape { dim: [0, -1] } } }
        layers { name: "y" type: PYTHON bottom: "b" top: "c" python_param { module: "m" layer: "L" } }
        layers { name: "s" type: SCALE bottom: "c" top: "d" scale_param { bias_term: true } }
        layers { name: "n" type: BATCH_NORM bottom: "d" top: "e" batch_norm_param { eps: 0.001 } }
        layers { name: "t" type: TILE bottom: "e" top: "f" tile_param { tiles: 2 } }
        layers { name: "q" type: PERMUTE bottom: "f" top: "g" permute_param { order: [0, 2, 1] } }""",
        """layer { name: "p" type: "PReLU" bottom: "a" top: "a" prelu_param { channel_shared: true } }
        layer { name: "r" type: "Reshape" bottom: "a" top: "b" reshape_param { shape { dim: [0, -1] } } }
        layer { name: "y" type: "Python" bottom: "b" top: "c" python_param { module: "m" layer: "L" } }
        layer { name: "s" type: "Scale" bottom: "c" top: "d" scale_param { bias_term: true } }
        layer { name: "n" type: "BatchNorm" bottom: "d" top: "e" batch_norm_param { eps: 0.001 } }
        layer { name: "t" type: "Tile" bottom: "e" top: "f" tile_param { tiles: 2 } }
        layer { name: "q" type: "Permute" bottom: "f" top: "g" permute_param { order: [0, 2, 1] } }""",
    ),
}


@pytest.mark.parametrize("fork", FORKS)
def test_v1_nets_of_forks(fork: str) -> None:
    old, new = FORKS[fork]
    result = upgrade(message(old))
    assert result.message == message(new)
    assert result.ignored == ()


def test_v1_data_layers_of_forks_borrow_a_parameter_of_bvlcs() -> None:
    text = """layers { name: "d" type: VIDEO_DATA top: "data" top: "label" image_data_param { source: "list.txt"
        use_image: true mean_file: "m" batch_size: 50 crop_size: 112 mirror: false show_data: 0 new_length: 16 } }
      layers { name: "s" type: IMAGE_SEG_DATA top: "x" image_data_param { source: "l" label_type: PIXEL }
        transform_param { crop_size: 306 mean_value: 104.008 } }"""
    expected = """layer { name: "d" type: "VideoData" top: "data" top: "label" image_data_param { source: "list.txt"
        use_image: true batch_size: 50 show_data: false new_length: 16 }
        transform_param { mean_file: "m" crop_size: 112 mirror: false } }
      layer { name: "s" type: "ImageSegData" top: "x" image_data_param { source: "l" label_type: PIXEL }
        transform_param { crop_size: 306 mean_value: 104.008 } }"""
    assert upgraded(text) == message(expected)


def test_v1_net_of_a_fork_is_loaded_with_its_lines() -> None:
    text = f'input: "data" input_shape {{ dim: [1, 3, 16, 32, 32] }}\n{FORKS["C3D"][0]}'
    net = loads(text, source="c3d.prototxt")
    assert [layer.type for layer in net.layers] == ["Input", "Convolution3D", "Pooling3D", "Deconvolution3D"]
    assert [layer.line for layer in net.layers] == [1, 2, 4, 6]
    assert net.unknown == () and dict(net.inputs) == {"data": (1, 3, 16, 32, 32)}


def test_the_names_of_v1_types_of_forks() -> None:
    """Each is a name of today's format: no underscore, not all capitals unless BVLC has it so, and told apart."""
    assert set(FORK_TYPES) < set(V1_TYPES)
    for old, new in FORK_TYPES.items():
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", new)
        letters = re.sub(r"_|WITH", "", old), re.sub("WITH", "", new.upper())
        assert letters[0] == letters[1] or (old, new) in {
            ("BIN_ACCURACY", "BinaryAccuracy"),
            ("VOXEL_SOFTMAX", "VoxelWiseSoftmax"),
            ("VOXEL_SOFTMAX_LOSS", "VoxelWiseSoftmaxWithLoss"),
        }


def test_c3d_v1_1_has_other_names_for_its_parameters() -> None:
    text = """layer { name: "c" type: "Convolution3D"
        convolution3d_param { num_output: 4 kernel_size: 3 kernel_depth: 3 } }
      layer { name: "p" type: "Pooling3D" pooling3d_param { pool: AVE kernel_size: 2 kernel_depth: 1 } }"""
    expected = """layer { name: "c" type: "Convolution3D"
        convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 3 } }
      layer { name: "p" type: "Pooling3D" pooling_param { pool: AVE kernel_size: 2 kernel_depth: 1 } }"""
    assert upgraded(text) == message(expected)


def test_a_colliding_number_in_a_binary_file_means_what_it_means_in_bvlc() -> None:
    """39 is DECONVOLUTION; DeepLab calls IMAGE_SEG_DATA by it, ChenglongChen's fork BN."""
    text = message('layers { name: "d" type: RELU bottom: "x" top: "y" }').SerializeToString()
    binary = message_class("NetParameter").FromString(text.replace(bytes([5 << 3, 18]), bytes([5 << 3, 39])))
    assert upgrade(binary).message.layer[0].type == "Deconvolution"
