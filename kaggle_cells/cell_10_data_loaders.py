"""Cell 10: loaders. Where the clips lie while the model trains, and how many make a step.

The batch size is found by trying; the training does that again by itself when it begins.

第 10 格：数据加载。片段放在显存、内存还是磁盘由可用空间决定；批大小自动试出。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), store=9, settings=2)

batch_size = settings.loop.batch_size or probe_batch_size(settings, store.path)
notebook.show(
    notebook.clips_table(store, settings),
    f"Batch size: {batch_size} clips a step on one device, {settings.clip.frames} frames each",
    notebook.store_picture(store),
)
