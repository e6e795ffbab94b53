"""The layer types of the old format (V1), an enum, and what today's format calls them.

BVLC's are those of ``UpgradeV1LayerType`` in ``caffe/util/upgrade_proto.cpp``. The forks' are the names that public
nets spell (C3D, SegNet, DeconvNet, DeepLab, ...); where the fork has moved on to today's format, its own string is
taken, else the name of its class.
"""

from __future__ import annotations

__all__ = ["FORK_TYPES", "V1_NUMBERS", "V1_TYPES"]


def _table(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


#: In the order of their numbers, from 0.
_BVLC = _table(
    """
    NONE: ACCURACY:Accuracy BNLL:BNLL CONCAT:Concat CONVOLUTION:Convolution DATA:Data DROPOUT:Dropout
    EUCLIDEAN_LOSS:EuclideanLoss FLATTEN:Flatten HDF5_DATA:HDF5Data HDF5_OUTPUT:HDF5Output IM2COL:Im2col
    IMAGE_DATA:ImageData INFOGAIN_LOSS:InfogainLoss INNER_PRODUCT:InnerProduct LRN:LRN
    MULTINOMIAL_LOGISTIC_LOSS:MultinomialLogisticLoss POOLING:Pooling RELU:ReLU SIGMOID:Sigmoid SOFTMAX:Softmax
    SOFTMAX_LOSS:SoftmaxWithLoss SPLIT:Split TANH:TanH WINDOW_DATA:WindowData ELTWISE:Eltwise POWER:Power
    SIGMOID_CROSS_ENTROPY_LOSS:SigmoidCrossEntropyLoss HINGE_LOSS:HingeLoss MEMORY_DATA:MemoryData ARGMAX:ArgMax
    THRESHOLD:Threshold DUMMY_DATA:DummyData SLICE:Slice MVN:MVN ABSVAL:AbsVal SILENCE:Silence
    CONTRASTIVE_LOSS:ContrastiveLoss EXP:Exp DECONVOLUTION:Deconvolution
    """
)

#: The names that only forks know: text files have them, binary files have colliding numbers instead.
FORK_TYPES = _table(
    # C3D.
    """
    CONVOLUTION3D:Convolution3D DECONVOLUTION3D:Deconvolution3D POOLING3D:Pooling3D VIDEO_DATA:VideoData
    VOLUME_DATA:VolumeData VIDEO_SEGMENTATION_DATA:VideoSegmentationData VOXEL_SOFTMAX:VoxelWiseSoftmax
    VOXEL_SOFTMAX_LOSS:VoxelWiseSoftmaxWithLoss VOXEL_CUSTOM_LOSS:VoxelCustomLoss DOWN_SAMPLING:DownSampling
    """
    # SegNet and DeconvNet.
    + """
    BN:BN UPSAMPLE:Upsample DENSE_IMAGE_DATA:DenseImageData UNPOOLING:Unpooling CROP:Crop
    ELTWISE_ACCURACY:EltwiseAccuracy BIN_ACCURACY:BinaryAccuracy RED_SOFTMAX_LOSS:RedSoftmaxWithLoss
    RED_ACCURACY:RedAccuracy SELECT_SEG_BINARY:SelectSegBinary WINDOW_CLS_DATA:WindowClsData
    WINDOW_SEG_DATA:WindowSegData WINDOW_SEG_BINARY:WindowSegBinary WINDOW_INST_SEG_DATA:WindowInstSegData
    """
    # DeepLab.
    + """
    IMAGE_SEG_DATA:ImageSegData SEG_ACCURACY:SegAccuracy INTERP:Interp PADDING:Padding MAT_READ:MatRead
    MAT_WRITE:MatWrite DENSE_CRF:DenseCRF UNIQUE_LABEL:UniqueLabel BIAS_CHANNEL:BiasChannel
    ADAPTIVE_BIAS_CHANNEL:AdaptiveBiasChannel DOMINANT_CHANNEL:DominantChannel GAIN_CHANNEL:GainChannel
    CENSOR_LABEL:CensorLabel CHANNEL_AGGREGATOR:ChannelAggregator IGNORE_OVERLAY:IgnoreOverlay HISTOGRAM:Histogram
    RELATIVE_ERROR:RelativeError ONEHOT:OneHot
    """
    # CRF-RNN.
    + """
    MULTI_STAGE_MEANFIELD:MultiStageMeanfield
    """
    # happynear's and ChenglongChen's forks.
    + """
    COMPACT_DATA:CompactData LOCAL:Local NORMALIZE:Normalize INSANITY:Insanity TRIPLET_LOSS:TripletLoss
    ROIPOOLING:ROIPooling BATCH_NORM:BatchNorm ELTWISE_AFFINE:EltwiseAffine
    """
    # Fast R-CNN.
    + """
    ROI_POOLING:ROIPooling SMOOTH_L1_LOSS:SmoothL1Loss
    """
    # Later layers of BVLC, written in the old format.
    + """
    PRELU:PReLU PYTHON:Python RESHAPE:Reshape SPP:SPP LSTM:LSTM LSTM_UNIT:LSTMUnit RNN:RNN LOG:Log ELU:ELU
    EMBED:Embed TILE:Tile REDUCTION:Reduction FILTER:Filter BATCH_REINDEX:BatchReindex PARAMETER:Parameter
    SCALE:Scale BIAS:Bias INPUT:Input CLIP:Clip SWISH:Swish
    """
    # Later layers of forks, likewise.
    + """
    PERMUTE:Permute PRIOR_BOX:PriorBox DETECTION_OUTPUT:DetectionOutput PSROI_POOLING:PSROIPooling PROPOSAL:Proposal
    AXPY:Axpy RELU6:ReLU6 SHUFFLE_CHANNEL:ShuffleChannel FLIP:Flip REORG:Reorg MAXOUT:Maxout
    """
)

#: V1's enum names and V2's strings.
V1_TYPES = {**_BVLC, **FORK_TYPES}

#: V1's numbers and V2's strings; the forks' numbers collide.
V1_NUMBERS = dict(enumerate(_BVLC.values()))
