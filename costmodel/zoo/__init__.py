"""Operators and networks as readable modules; needs torch and nothing else.

`create("fasternet_t0")` builds one, `names()` lists them, `input_shape(name)` says what one
example looks like. Everything builds on the meta device, without weights.
"""

from costmodel.zoo.fasternet import FasterNet as FasterNet
from costmodel.zoo.pconv import PConv as PConv
from costmodel.zoo.registry import create as create
from costmodel.zoo.registry import input_shape as input_shape
from costmodel.zoo.registry import names as names
from costmodel.zoo.registry import register as register

__all__ = ["FasterNet", "PConv", "create", "input_shape", "names", "register"]
