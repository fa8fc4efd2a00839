"""The study of context in lifting one image, in miniature: it runs, and its lines can be broken."""

import torch

from dispose_benchmarks.studies.lift_context import (
    AT_JOINTS,
    CONTEXT,
    COORDINATES,
    LIFTERS,
    OWN,
    PROMISES,
    SMOKE,
    WRONG,
    frozen,
    study_seed,
    train_lifters,
    train_pyramid,
)
from dispose_benchmarks.studies.lift_context import draw_pictures as draw
from dispose_benchmarks.studies.promises import kept
from dispose_synthetic.human36m_rig import TEST_SUBJECTS


def test_every_promise_finds_its_lines_and_who_sees_nothing_does_not_mind_a_wrong_picture():
    lines = study_seed(0, SMOKE)
    assert all(kept(promise, lines) >= 0 for promise in PROMISES)
    found = {(line.case, line.method): line.value for line in lines}
    assert found[OWN, COORDINATES] == found[WRONG, COORDINATES]
    for name in (AT_JOINTS, CONTEXT):
        assert found[OWN, name] != found[WRONG, name]
    assert study_seed(0, SMOKE) == lines


def test_lifters_begin_alike_and_only_one_looks_around():
    assert LIFTERS[AT_JOINTS].context == LIFTERS[COORDINATES].context == 0 < LIFTERS[CONTEXT].context
    pictures = draw(torch.Generator().manual_seed(1), TEST_SUBJECTS, 8)
    backbone = train_pyramid(0, SMOKE, pictures)
    networks = train_lifters(0, SMOKE, pictures, backbone)
    gradient, change = frozen(backbone, networks)
    assert gradient.value == change.value == 0
    # A network that moved would be caught.
    with torch.no_grad():
        networks[CONTEXT].pyramid.trunk[1].running_mean += 0.5  # pyright: ignore[reportAttributeAccessIssue, reportIndexIssue, reportOperatorIssue]
    assert frozen(backbone, networks)[1].value == 0.5


def test_mirrored_pictures_follow_the_others():
    pictures = draw(torch.Generator().manual_seed(1), TEST_SUBJECTS, 3)
    assert len(pictures) == 6
    assert torch.equal(pictures.crops.pixels[3:], pictures.crops.pixels[:3].flip(-1))
    torch.testing.assert_close(pictures.xyz[3:, 5, 0], -pictures.xyz[:3, 6, 0])
