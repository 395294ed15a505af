"""Cell 6: the loss, and the monitor that watches the machine while a model trains.

Focal loss mutes what the model already gets right, so that the hard clips count.

第 6 格：损失与监控。Focal loss 降低已学会样本的权重；
监控记录吞吐量、等待数据的时间、GPU 与内存占用。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), settings=2)

device = notebook.device_of(settings)
with Monitor(device, interval_seconds=0.05) as monitor:
    picture = notebook.loss_picture(settings.loss)
notebook.show(
    picture, notebook.usage_table(monitor.epoch_summary(), "What the monitor saw meanwhile")
)
