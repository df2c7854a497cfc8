"""Operators and networks as readable modules; needs torch and nothing else.

`create("fasternet_t0")` builds one, `names()` lists them, `input_shape(name)` says what one
example looks like. Everything builds on the meta device, without weights.
"""

from costmodel.zoo.convnext import ConvNeXt as ConvNeXt
from costmodel.zoo.dpconv import DPConv as DPConv
from costmodel.zoo.dynamic_split import DynamicSplit as DynamicSplit
from costmodel.zoo.fasternet import FasterNet as FasterNet
from costmodel.zoo.inverted_residual import InvertedResidual as InvertedResidual
from costmodel.zoo.learnt_splits import learnt_splits as learnt_splits
from costmodel.zoo.mask_rcnn import MaskRCNN as MaskRCNN
from costmodel.zoo.mobilenet_v2 import MobileNetV2 as MobileNetV2
from costmodel.zoo.partialnet import PartialNet as PartialNet
from costmodel.zoo.partialnet import merge_pat_sp as merge_pat_sp
from costmodel.zoo.pat_channel import PATch as PATch
from costmodel.zoo.pat_self import PATsf as PATsf
from costmodel.zoo.pat_spatial import PATsp as PATsp
from costmodel.zoo.pconv import PConv as PConv
from costmodel.zoo.poolformer import PoolFormer as PoolFormer
from costmodel.zoo.pvt import PVTBackbone as PVTBackbone
from costmodel.zoo.registry import create as create
from costmodel.zoo.registry import input_shape as input_shape
from costmodel.zoo.registry import names as names
from costmodel.zoo.registry import register as register
from costmodel.zoo.resnet import ResNet as ResNet
from costmodel.zoo.separable import SeparableConv as SeparableConv
from costmodel.zoo.squeeze_excitation import SqueezeExcitation as SqueezeExcitation
from costmodel.zoo.style_attention import SRM as SRM
from costmodel.zoo.style_attention import GaussianSE as GaussianSE

__all__ = [
    "SRM",
    "ConvNeXt",
    "DPConv",
    "DynamicSplit",
    "FasterNet",
    "GaussianSE",
    "InvertedResidual",
    "MaskRCNN",
    "MobileNetV2",
    "PATch",
    "PATsf",
    "PATsp",
    "PConv",
    "PVTBackbone",
    "PartialNet",
    "PoolFormer",
    "ResNet",
    "SeparableConv",
    "SqueezeExcitation",
    "create",
    "input_shape",
    "learnt_splits",
    "merge_pat_sp",
    "names",
    "register",
]
