"""Cell 4: the dataset. Which videos there are, and who trains, selects and reports.

Videos of one person or one source stay in one split. Splits that the data gives are kept; what is
missing is taken from the training videos by group.

第 4 格：数据集。按划分、类别、伪造方法统计视频；同一人物或同一来源的视频只会出现在一个划分里。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), found=2, settings=2)

manifest = read_manifest(found.path, settings.data, settings.loop.seed)
samples = first_clips(manifest, settings.clip, each=2)
title = f"{manifest.root}: {manifest.layout}"
notebook.show(
    notebook.data_table(manifest.records, title, manifest.notes),
    *(f"Passed over {path}: {why}" for path, why in samples.skipped),
    notebook.batch_picture(samples.clips, samples.labels, settings.augment),
)
