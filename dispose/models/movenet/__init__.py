"""MoveNet: people in one image by the network for several, their joints by the network for one."""
