"""Figures of trials and studies, drawn without pyplot's global state."""

from regress.plots.study_figures import render_study_figures
from regress.plots.trial_figures import Scales, render_trial, render_trials, shared_scales

__all__ = ["Scales", "render_study_figures", "render_trial", "render_trials", "shared_scales"]
