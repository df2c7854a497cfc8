"""`estimate`: the waist of the house. A graph and devices go in, an `Estimate` comes out.

An estimate explains itself: time, bound, intensity and achieved share of the ceiling of every
operator; latency, throughput and peak memory of the whole; what was assumed and what was not
covered.
"""

from costmodel.estimation.result import Estimate as Estimate
from costmodel.estimation.result import OperatorEstimate as OperatorEstimate
from costmodel.estimation.result import Uncovered as Uncovered
from costmodel.estimation.sweeping import Sweep as Sweep
from costmodel.estimation.sweeping import estimate as estimate
from costmodel.estimation.sweeping import sweep as sweep
from costmodel.estimation.targets import resolve_target as resolve_target
