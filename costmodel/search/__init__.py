"""Design spaces, what their designs cost, and the search for the best under a budget.

from costmodel.search import Evaluator, load_space

space = load_space("fasternet")
columns = Evaluator(space, ["v100-sxm2"])(space.sample(1000))
"""

from costmodel.search.evaluation import DesignColumns as DesignColumns
from costmodel.search.evaluation import Evaluator as Evaluator
from costmodel.search.evaluation import evaluate as evaluate
from costmodel.search.reading import list_spaces as list_spaces
from costmodel.search.reading import load_space as load_space
from costmodel.search.space import Space as Space

__all__ = ["DesignColumns", "Evaluator", "Space", "evaluate", "list_spaces", "load_space"]
