"""Cell 12: the training. From the clips to the best model, its ONNX file and all results.

Stop it whenever you like: the same cell resumes. The best epoch is chosen by the validation AUC;
test videos are only reported on.

第 12 格：训练。完成训练、导出 ONNX 与测试评估；可随时中断，重新运行本格即续训。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), store=9, settings=2, run=2)

results = notebook.train(store.path, settings, run)
notebook.show(notebook.Picture.read(run / "results" / "training_history.png"))
