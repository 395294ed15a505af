"""Cell 11: devices. One or several GPUs, precision, learning rates.

Several GPUs work as DDP, in processes of their own, which a notebook allows.

第 11 格：设备设置。单 GPU 或多 GPU（在独立进程里用 DDP，notebook 中可用）、精度与学习率。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), model=5, settings=2)

notebook.show(notebook.devices_table(settings, model))
