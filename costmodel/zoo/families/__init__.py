"""Families of networks, from whose parameters design spaces are made.

`family("fasternet").build(width=64)` gives a module; `families()` lists the names.
"""

from costmodel.zoo.families.code import pytorch_code as pytorch_code
from costmodel.zoo.families.decoder import DECODER as DECODER
from costmodel.zoo.families.dense import BACKBONE as BACKBONE
from costmodel.zoo.families.dense import SEGMENTER as SEGMENTER
from costmodel.zoo.families.design_file import design_text as design_text
from costmodel.zoo.families.design_file import read_design as read_design
from costmodel.zoo.families.dpconv import DPCONV as DPCONV
from costmodel.zoo.families.efficientnet import EFFICIENTNET as EFFICIENTNET
from costmodel.zoo.families.efficientnet import EFFICIENTNET_COMPOUND as EFFICIENTNET_COMPOUND
from costmodel.zoo.families.family import Cell as Cell
from costmodel.zoo.families.family import Family as Family
from costmodel.zoo.families.family import Parameter as Parameter
from costmodel.zoo.families.family import Slot as Slot
from costmodel.zoo.families.family import Value as Value
from costmodel.zoo.families.family import families as families
from costmodel.zoo.families.family import family as family
from costmodel.zoo.families.family import on_meta as on_meta
from costmodel.zoo.families.fasternet import FASTERNET as FASTERNET
from costmodel.zoo.families.mobilenet import MOBILENET_V2 as MOBILENET_V2
from costmodel.zoo.families.nasbench201 import NASBENCH201 as NASBENCH201
from costmodel.zoo.families.vit import VIT as VIT

__all__ = [
    "BACKBONE",
    "DECODER",
    "DPCONV",
    "EFFICIENTNET",
    "EFFICIENTNET_COMPOUND",
    "FASTERNET",
    "MOBILENET_V2",
    "NASBENCH201",
    "SEGMENTER",
    "VIT",
    "Cell",
    "Family",
    "Parameter",
    "Slot",
    "Value",
    "design_text",
    "families",
    "family",
    "on_meta",
    "pytorch_code",
    "read_design",
]
