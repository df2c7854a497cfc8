"""What would help: changes to a model or to how it is run, each predicted by the engine.

`consider(estimate)` tries them all and ranks them: a larger batch, a lower precision, compiled
execution, batch norms folded, channels-last images, partial instead of dense or depthwise
convolutions. The last ones are graph rewrites, pure functions of their own.
"""

from costmodel.changes.considering import Change as Change
from costmodel.changes.considering import Considered as Considered
from costmodel.changes.considering import LeftOut as LeftOut
from costmodel.changes.considering import consider as consider
from costmodel.changes.norms import fold_norms as fold_norms
from costmodel.changes.partial import replace_by_partial as replace_by_partial
