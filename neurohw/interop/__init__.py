"""Models from and to other tools: NIR, snnTorch, lava-dl."""
