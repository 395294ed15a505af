import numpy as np

from unmask.faces.outline import outline
from unmask.types import Face


def test_the_box_is_drawn_on_a_copy() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    points = np.full((5, 2), 50, np.float32)
    face = Face(box_xyxy_px=(20.0, 30.0, 80.0, 90.0), keypoints_px=points, confidence=1.0)
    drawn = outline(image, [face])
    assert not image.any()
    rows, columns = np.nonzero(drawn.any(axis=-1))
    assert (abs(np.array([rows.min(), columns.min()]) - (30, 20)) <= 1).all()  # smoothed edges
    assert (abs(np.array([rows.max(), columns.max()]) - (90, 80)) <= 1).all()
    assert drawn[50, 50].tolist() == [42, 127, 158]
    assert (outline(image, []) == image).all()
