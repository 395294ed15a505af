"""Cell 7: does training work at all? A fresh model must learn one small batch by heart.

Mixed precision on a GPU, as in the real training. If this fails, more data will not help: look at
the rates, the labels and the weights first.

第 7 格：训练函数自检。用混合精度让新模型背下一个小批次；如果做不到，先检查学习率、标签和权重。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), device=6, samples=4, settings=2)

with Monitor(device, interval_seconds=0.1) as monitor:
    learned = overfit_one_batch(settings, samples.clips, samples.labels.tolist())
    monitor.step(len(learned.losses) * len(samples.clips) * settings.clip.frames)
notebook.show(
    notebook.overfit_table(learned),
    notebook.overfit_picture(learned),
    notebook.usage_table(monitor.epoch_summary(), "What the monitor saw"),
)
