"""The published tables that predictions are examined against, as data.

`tables()` and `table(id)` give the figures, `model(table, row)` says which model a row is. Needs
neither torch nor any other package.
"""

from costmodel.published.models import PublishedModel as PublishedModel
from costmodel.published.models import model as model
from costmodel.published.models import models as models
from costmodel.published.tables import Cell as Cell
from costmodel.published.tables import Column as Column
from costmodel.published.tables import Table as Table
from costmodel.published.tables import table as table
from costmodel.published.tables import tables as tables

__all__ = ["Cell", "Column", "PublishedModel", "Table", "model", "models", "table", "tables"]
