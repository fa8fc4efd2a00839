"""Plotly figures as pictures: a notebook names them, a headless run writes them as PNG and SVG."""

import plotly.graph_objects as go


def named(figure: go.Figure, name: str) -> go.Figure:
    """Say under which file name a headless run exports a plotly figure; returns the figure."""
    return figure.update_layout(meta={"name": name})
