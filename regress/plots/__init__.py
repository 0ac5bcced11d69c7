"""Figures of trials and studies, drawn without pyplot's global state."""

from regress.plots.study_figures import study_plots
from regress.plots.trial_figures import Scales, scales, trial_png, trial_pngs

__all__ = ["Scales", "scales", "study_plots", "trial_png", "trial_pngs"]
