"""One person over all frames: places that the cameras, the body and the motion agree on."""
