"""Simulated Sentinel-2 data with known truth, written to disk as Theia or ESA would deliver them."""

from toolkit.demo.scene import DemoParams, Scene, make_scene
from toolkit.demo.write import write_demo

__all__ = ["DemoParams", "Scene", "make_scene", "write_demo"]
