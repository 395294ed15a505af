"""Cell 5: the model. A backbone for every frame (ResNet), an LSTM over time, attention, one logit.

第 5 格：模型。逐帧骨干网络（ResNet）+ 双向 LSTM + 注意力，输出一个 logit；打印各部分参数量。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), settings=2)

model = notebook.model_of(settings)
notebook.show(notebook.model_table(model))
