"""Pictures that a person can move; on a page that nobody watches, the picture alone."""

from maskrf_core.workbook.viewers.epipolar_viewer import epipolar_check
from maskrf_core.workbook.viewers.mask_viewer import masked_unmasked_truth
from maskrf_core.workbook.viewers.ray_viewer import inspect_rays

__all__ = ["epipolar_check", "inspect_rays", "masked_unmasked_truth"]
