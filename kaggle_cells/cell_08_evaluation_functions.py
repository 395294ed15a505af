"""Cell 8: what the measures say, on the batch that was just learned by heart.

These clips were trained on, so that good numbers mean nothing here: they only show the words.

第 8 格：评估指标。在刚刚背下的批次上演示各项指标的含义（训练过的样本，数值好不代表模型好）。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), learned=7)

notebook.show(
    notebook.measures_table(
        learned.labels, learned.logits, "Measures on the learned batch (not a result)"
    )
)
