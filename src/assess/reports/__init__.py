"""Figures and texts about a calibration, made from DataFrames and parameters."""
