"""Cell 3: data processing. From a video to the crops that the model sees.

Frames spread over the whole video are decoded, faces are found, followed and aligned. The boxes
below are what the face detector found; the crops are one row a person.

第 3 格：视频处理。解码一个视频，检测、跟踪并对齐人脸，展示画面与裁剪结果。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), found=2, settings=2)

look = notebook.preview(found, settings.clip)
notebook.show(look.table(), look.frames, look.crops)
