"""Trained models become revisions: safe file formats, the inputs they expect, and what they were trained on."""
