"""Published tables against our own figures, cell by cell.

`reproduce()` gives one record for every published cell: a prediction with its ratio, or the reason
why there is none. `compare_conditions()` shows which way of running fits what was published.
"""

from costmodel.measurement.reproduction.conditions import Condition as Condition
from costmodel.measurement.reproduction.conditions import condition_of as condition_of
from costmodel.measurement.reproduction.records import Record as Record
from costmodel.measurement.reproduction.records import Reproduction as Reproduction
from costmodel.measurement.reproduction.records import reproduce as reproduce
from costmodel.measurement.reproduction.scores import ColumnScore as ColumnScore
from costmodel.measurement.reproduction.scores import ConditionScore as ConditionScore
from costmodel.measurement.reproduction.scores import compare_conditions as compare_conditions
from costmodel.measurement.reproduction.scores import score_columns as score_columns

__all__ = [
    "ColumnScore",
    "Condition",
    "ConditionScore",
    "Record",
    "Reproduction",
    "compare_conditions",
    "condition_of",
    "reproduce",
    "score_columns",
]
