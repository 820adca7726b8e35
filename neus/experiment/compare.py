"""Two runs of one scene side by side on one page."""

from pathlib import Path
from typing import Any

import numpy as np

from neus.datasets.scene import Scene
from neus.errors import InputError
from neus.evaluation.error_map import color_error, error_picture
from neus.evaluation.report import duration, figure, page, paragraph, section, sheet, table
from neus.evaluation.six_sides import six_sides, upright_extent
from neus.experiment.config import config_as_dict
from neus.experiment.contact_sheet import SheetView, fitting_sheet, sheet_of
from neus.experiment.load import load_model
from neus.experiment.report import RunGathered, gathered, mesh_of_run, onlooker
from neus.experiment.report_sections import curve_charts, error_scale, figures_of, mesh_rows, score_of
from neus.experiment.run_folder import RunFolder
from neus.experiment.views import scene_of_run
from neus.files import written_whole
from neus.rendering.marched import fastest_renderer

EQUAL = "="
